package jar

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"strings"
)

// readManifest reads the main section of a manifest. Keys are lower case. Lines
// are at most 72 bytes long and go on in the next where that starts with a space.
func readManifest(b []byte) map[string]string {
	out := map[string]string{}
	key := ""
	for len(b) > 0 {
		var line []byte
		if i := bytes.IndexAny(b, "\r\n"); i >= 0 {
			line = b[:i]
			b = bytes.TrimPrefix(b[i:], []byte("\r"))
			b = bytes.TrimPrefix(b, []byte("\n"))
		} else {
			line, b = b, nil
		}
		if len(line) == 0 {
			if len(out) > 0 {
				break // other sections are about single entries
			}
			continue
		}
		if line[0] == ' ' {
			if key != "" && len(out[key]) < maxValue {
				out[key] += string(line[1:])
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		key = strings.ToLower(string(name))
		if !wanted(key) {
			key = ""
			continue
		}
		out[key] = strings.TrimSpace(string(value))
	}
	for k, v := range out {
		out[k] = strings.TrimSpace(v)
	}
	return out
}

const maxValue = 1024

// wanted says whether a manifest's attribute is read.
func wanted(key string) bool {
	switch key {
	case "manifest-version", "implementation-version", "bundle-version",
		"group-id", "short-name", "plugin-version", "nar-group", "nar-id", "nar-version":
		return true
	}
	return false
}

// readProperties reads pom.properties.
func readProperties(b []byte) coordinates {
	var c coordinates
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value := line, ""
		if i := strings.IndexAny(line, "=:"); i >= 0 {
			key, value = strings.TrimSpace(line[:i]), strings.ReplaceAll(strings.TrimSpace(line[i+1:]), `\`, "")
		}
		switch key {
		case "groupId":
			c.group = value
		case "artifactId":
			c.artifact = value
		case "version":
			c.version = value
		}
	}
	return c
}

// readModel reads pom.xml. What it leaves out it has from its parent; what does
// not parse gives nothing.
func readModel(b []byte) coordinates {
	type parent struct {
		Group   string `xml:"groupId"`
		Version string `xml:"version"`
	}
	var m struct {
		XMLName  xml.Name `xml:"project"`
		Group    string   `xml:"groupId"`
		Artifact string   `xml:"artifactId"`
		Version  string   `xml:"version"`
		Parent   parent   `xml:"parent"`
	}
	if xml.Unmarshal(b, &m) != nil {
		return coordinates{}
	}
	s := strings.TrimSpace
	return coordinates{cmp.Or(s(m.Group), s(m.Parent.Group)), s(m.Artifact), cmp.Or(s(m.Version), s(m.Parent.Version))}
}
