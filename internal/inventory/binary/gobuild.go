package binary

import (
	"bytes"
	endian "encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// maxBuildInfo is how many bytes of build information are read: some 100 for each
// module.
const maxBuildInfo = 2 << 20

var errNoBuildInfo = errors.New("no build information")

// buildInfo is what the go command wrote into a binary.
type buildInfo struct {
	goVersion    string
	goos, goarch string
	debug.BuildInfo
}

// readBuildInfo reads the build information at the place that the marks name.
// The format is that of cmd/link (buildinfo in data.go): a header of 32 bytes,
// followed since Go 1.18 by two strings, and before by pointers to them.
func readBuildInfo(h *header, v *view, m *marks) (*buildInfo, error) {
	if m.buildInfoAt == nowhere {
		return nil, errNoBuildInfo
	}
	b := v.from(m.buildInfoAt, maxBuildInfo)
	if len(b) < 32 {
		return nil, fmt.Errorf("it breaks off after %d bytes", len(b))
	}
	var version, modules string
	if b[15]&2 != 0 {
		var err error
		if version, modules, err = inlineStrings(b[32:]); err != nil {
			return nil, err
		}
	} else {
		if uint64(b[14]) != h.width() {
			return nil, fmt.Errorf("pointers of %d bytes in a file of %d", b[14], h.width())
		}
		version, modules = h.goString(v, h.word(b[16:])), h.goString(v, h.word(b[16+h.width():]))
	}
	info, err := parseBuildInfo(version, modules)
	if info == nil {
		return nil, err
	}
	if info.goarch == "" {
		info.goarch = machineOf(h.machine).goarch
	}
	if info.goos == "" && (h.abi == 0 || h.abi == 3) {
		info.goos = "linux" // the other systems that Go writes ELF for set their own number or are rare in images
	}
	return info, err
}

// inlineStrings reads two strings that each follow their length.
func inlineStrings(b []byte) (version, modules string, err error) {
	for _, s := range []*string{&version, &modules} {
		n, used := endian.Uvarint(b)
		if used <= 0 {
			return "", "", errors.New("a string without its length")
		}
		if b = b[used:]; n > uint64(len(b)) {
			return "", "", fmt.Errorf("a string of %d bytes in %d", n, len(b))
		}
		*s, b = string(b[:n]), b[n:]
	}
	return version, modules, nil
}

// goString reads the Go string whose header is at an address.
func (h *header) goString(v *view, addr uint64) string {
	w := h.width()
	off, ok := h.offset(addr)
	if !ok {
		return ""
	}
	head := v.at(off, 2*w)
	if head == nil {
		return ""
	}
	n := h.word(head[w:])
	if off, ok = h.offset(h.word(head)); !ok || n > maxBuildInfo {
		return ""
	}
	return string(v.at(off, n))
}

// parseBuildInfo reads the Go version and the list of modules. It returns nil
// only where there is neither.
func parseBuildInfo(version, modules string) (*buildInfo, error) {
	info := &buildInfo{goVersion: version}
	// Two marks of 16 bytes stand around the list.
	if n := len(modules); n >= 33 && modules[n-17] == '\n' {
		modules = modules[16 : n-16]
	} else {
		modules = ""
	}
	if version == "" && modules == "" {
		return nil, errNoBuildInfo
	}
	if modules == "" {
		if !strings.HasPrefix(version, "go") && !strings.HasPrefix(version, "devel") {
			return nil, fmt.Errorf("%w: the Go version is %.40q and there is no list of modules", errNoBuildInfo, version)
		}
		return info, errors.New("there is no list of modules")
	}
	parsed, err := debug.ParseBuildInfo(modules)
	if err != nil {
		return info, fmt.Errorf("list of modules: %w", err)
	}
	info.BuildInfo = *parsed
	for _, s := range parsed.Settings {
		switch s.Key {
		case "GOOS":
			info.goos = s.Value
		case "GOARCH":
			info.goarch = s.Value
		}
	}
	return info, nil
}

// packages returns the standard library, the main module and the modules that it
// needs, each of which may hold functions of the binary.
func (b *buildInfo) packages(path string) []inventory.Package {
	add := func(out []inventory.Package, name, version string, g inventory.GoModule) []inventory.Package {
		g.GOOS, g.GOARCH = b.goos, b.goarch
		return append(out, inventory.Package{Type: inventory.Go, Name: name, Version: version, Path: path, Go: &g})
	}
	out := add(nil, stdlib, stdVersion(b.goVersion), inventory.GoModule{})
	if strings.HasPrefix(b.Path, "cmd/") {
		// A command of the Go distribution itself: advisories call these toolchain.
		out = add(out, toolchain, stdVersion(b.goVersion), inventory.GoModule{Main: true})
	}
	module := func(m *debug.Module, main bool) {
		g := inventory.GoModule{Main: main}
		name, version := m.Path, moduleVersion(m.Version)
		switch r := m.Replace; {
		case r == nil:
		case strings.HasPrefix(r.Path, ".") || strings.HasPrefix(r.Path, "/"):
			// A folder stands in for the module. What is in it has no version.
			version, g.Replaced = "", r.Path
		default:
			name, version, g.Replaced = r.Path, moduleVersion(r.Version), m.Path
		}
		if main && strings.HasPrefix(version, "0.0.0-") {
			version = "" // no tag to tell a version by: ranges must not match it
		}
		if name != "" {
			out = add(out, name, version, g)
		}
	}
	if b.Main.Path != "" {
		module(&b.Main, true)
	}
	for _, m := range b.Deps {
		module(m, false)
	}
	return out
}

// stdlib and toolchain are what the Go vulnerability database calls the two
// parts of a Go distribution.
const (
	stdlib    = "stdlib"
	toolchain = "toolchain"
)

// moduleVersion takes the v away, and what go build adds where files were
// changed since the commit.
func moduleVersion(v string) string {
	if !strings.HasPrefix(v, "v") {
		return "" // (devel)
	}
	v = strings.TrimSuffix(v, "+dirty")
	return strings.TrimSuffix(v[1:], ".dirty")
}

//nolint:gochecknoglobals // a compiled pattern
var goRelease = regexp.MustCompile(`^go(1\.[0-9]+)(\.[0-9]+)?(?:(rc|beta)([0-9]+))?`)

// stdVersion turns what runtime.Version gives into the semantic version that the
// Go vulnerability database uses: go1.21.5 X:boringcrypto is 1.21.5, go1.20 is
// 1.20.0, go1.22rc1 is 1.22.0-rc.1. Development versions are between releases
// and have none.
func stdVersion(v string) string {
	m := goRelease.FindStringSubmatch(v)
	if m == nil {
		return ""
	}
	out := m[1] + m[2]
	if m[2] == "" {
		out += ".0"
	}
	if m[3] != "" {
		out += "-" + m[3] + "." + m[4]
	}
	if rest := v[len(m[0]):]; strings.HasPrefix(rest, "-devel") {
		return ""
	}
	return out
}

func isPE(b []byte) bool { return bytes.HasPrefix(b, []byte("MZ")) }

func isMachO(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\xcf\xfa\xed\xfe")) || bytes.HasPrefix(b, []byte("\xca\xfe\xba\xbe")) && len(b) > 8 && b[4] == 0 && b[7] < 20
}

// foreign reads Go binaries for Windows and macOS, which images hold to be
// downloaded from them. Build information since Go 1.18 and the function table
// are found by their marks, so the containers need not be understood.
func foreign(body []byte, path string, facts *inventory.Facts) error {
	m := newMarks()
	m.buildInfo(window{body, 0, 0, len(body)})
	if m.buildInfoAt == nowhere {
		return nil
	}
	h := &header{wide: true, order: endian.LittleEndian, abi: 0xff, readOnly: []extent{{0, uint64(len(body))}}}
	v := &view{size: uint64(len(body)), spans: []span{{0, body}}}
	info, err := readBuildInfo(h, v, m)
	if info == nil {
		return nil //nolint:nilerr // a chance match, or an old Go version: nothing is known of such a file
	}
	if err != nil {
		facts.Problems = append(facts.Problems, "Go build information: "+err.Error())
	}
	modules := info.packages(path)
	if err := linkFunctions(h, v, info, modules); err != nil {
		facts.Problems = append(facts.Problems, "Go function table: "+err.Error())
	}
	facts.Packages = append(facts.Packages, modules...)
	return nil
}
