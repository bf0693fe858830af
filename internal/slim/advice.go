package slim

import (
	"fmt"
	"strings"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
)

// advice says what to change in the Dockerfile.
func (a *analysis) advice(p *Plan) []string {
	var out []string
	for _, w := range p.Waste {
		if w.Bytes < 1<<20 {
			continue
		}
		by := ""
		if w.By < len(a.in.Layers) {
			by = instruction(a.in.Layers[w.By].CreatedBy)
		}
		out = append(out, fmt.Sprintf("layer %d (%s) holds %s that layer %d (%s) hides, /%s most of all: delete files in the RUN that makes them",
			w.Layer+1, instruction(w.CreatedBy), Bytes(w.Bytes), w.By+1, by, w.Largest))
	}
	for i, l := range a.in.Layers {
		if strings.Contains(l.CreatedBy, "apt-get install") && !strings.Contains(l.CreatedBy, "--no-install-recommends") {
			out = append(out, fmt.Sprintf("layer %d (%s): apt-get install --no-install-recommends leaves out what is merely recommended", i+1, instruction(l.CreatedBy)))
		}
		if strings.Contains(l.CreatedBy, "apk add") && !strings.Contains(l.CreatedBy, "--no-cache") {
			out = append(out, fmt.Sprintf("layer %d (%s): apk add --no-cache leaves no index behind", i+1, instruction(l.CreatedBy)))
		}
	}
	for _, it := range p.Items {
		switch {
		case it.Kind != "leftover" || it.Bytes < 1<<20:
		case it.Name == "/var/lib/apt/lists":
			out = append(out, fmt.Sprintf("end each RUN of apt-get with rm -rf /var/lib/apt/lists/*: %s", Bytes(it.Bytes)))
		case it.Name == "/var/cache/apt":
			out = append(out, fmt.Sprintf("end each RUN of apt-get with apt-get clean: %s", Bytes(it.Bytes)))
		case it.Name == "/root/.npm":
			out = append(out, fmt.Sprintf("npm ci --cache /tmp/npm with a cache mount keeps npm's cache out of the image: %s", Bytes(it.Bytes)))
		case it.Name == "/root/.cache":
			out = append(out, fmt.Sprintf("pip install --no-cache-dir, or a cache mount, keeps caches out of the image: %s", Bytes(it.Bytes)))
		}
	}
	modules := 0
	for _, it := range p.Items {
		if it.Kind == "module" && packageOf(it.Name+"/x") == "" {
			modules++
		}
	}
	if modules > 0 {
		out = append(out, fmt.Sprintf("%d packages of languages are required by nothing that runs: npm ci --omit=dev, or leave them out of the manifest", modules))
	}
	if base := a.baseImage(); base != "" {
		out = append(out, base)
	}
	return out
}

// baseImage names a base that would do.
func (a *analysis) baseImage() string {
	dynamic, runtime := false, ""
	for p, k := range a.kept {
		if !k.active {
			continue
		}
		f, _ := a.tree.Lstat(p)
		if facts := f.Facts(); facts != nil && facts.ELF != nil && f.Kind() == image.Regular && !facts.ELF.Static {
			dynamic = true
		}
		switch base := p[strings.LastIndexByte(p, '/')+1:]; {
		case base == "node" || base == "java":
			runtime = base
		case strings.HasPrefix(base, "python3"):
			runtime = "python3"
		}
	}
	switch {
	case len(a.reached) == 0 && !dynamic:
		return "the program is static: FROM scratch, or a distroless static base, with CA certificates and /etc/passwd is enough"
	case runtime != "":
		return "a distroless base for " + runtime + " has the runtime without shell and package manager"
	case a.manager() == inventory.Deb:
		return "a distroless cc base has the C library without shell and package manager"
	}
	return ""
}

// instruction shortens what the history says of a layer.
func instruction(createdBy string) string {
	text := strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(createdBy, "/bin/sh -c "), "#(nop) "))
	text = strings.Join(strings.Fields(strings.TrimSuffix(text, "# buildkit")), " ")
	if text == "" {
		return "no instruction known"
	}
	if r := []rune(text); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return text
}

// Bytes writes a size for people: 12.3 MB, in powers of 1000.
func Bytes(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
