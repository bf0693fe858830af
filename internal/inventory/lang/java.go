package lang

import (
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// parseGradle reads gradle.lockfile, each line of which names the configurations
// that use a module:
//
//	org.slf4j:slf4j-api:1.7.36=compileClasspath,runtimeClasspath
func parseGradle(f inventory.File, facts *inventory.Facts) error {
	l := newListing(f, facts, inventory.Maven, inventory.Locked)
	defer l.close()
	number := 0
	for line := range strings.Lines(string(text(f.Body))) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		coordinates, configurations, _ := strings.Cut(line, "=")
		group, rest, ok := strings.Cut(coordinates, ":")
		artifact, version, ok2 := strings.Cut(rest, ":")
		if !ok || !ok2 {
			if coordinates != "empty" {
				l.malformed.note(coordinates)
			}
			continue
		}
		dev := configurations != ""
		for configuration := range strings.SplitSeq(configurations, ",") {
			if !strings.HasPrefix(configuration, "test") && !strings.HasPrefix(configuration, "androidTest") {
				dev = false
			}
		}
		l.add(inventory.Package{Name: group + ":" + artifact, Version: version, Dev: dev, Line: number})
	}
	return nil
}

// parsePOM reads the dependencies of a pom.xml with the versions that the file
// itself gives: in the dependency, by a property, or in its dependency
// management. Versions that stand in a parent or in an imported list of
// versions are in other files, often on a server, and are named in a problem.
func parsePOM(f inventory.File, facts *inventory.Facts) error {
	root, err := parseXML(f)
	if err != nil {
		return err
	}
	l := newListing(f, facts, inventory.Maven, inventory.Declared)
	defer l.close()
	lookup := pomProperties(root)
	var outside tally
	coordinates := func(d *element) string {
		group, ok := expand(d.value("groupId"), "${", "}", lookup)
		artifact, ok2 := expand(d.value("artifactId"), "${", "}", lookup)
		if !ok || !ok2 || group == "" || artifact == "" {
			return ""
		}
		return group + ":" + artifact
	}
	managed := make(map[string]*element)
	for _, d := range root.get("dependencyManagement").get("dependencies").all("dependency") {
		managed[coordinates(d)] = d
	}
	for _, d := range root.get("dependencies").all("dependency") {
		name := coordinates(d)
		version, scope := d.value("version"), d.value("scope")
		if m := managed[name]; m != nil {
			if version == "" {
				version = m.value("version")
			}
			if scope == "" {
				scope = m.value("scope")
			}
		}
		version, known := expand(version, "${", "}", lookup)
		if scope == "system" {
			continue // a file of the project
		}
		if name == "" || !known || version == "" {
			outside.note(d.value("groupId") + ":" + d.value("artifactId"))
			continue
		}
		if exactMaven(version) == "" {
			l.open.note(d.value("groupId") + ":" + d.value("artifactId"))
			continue
		}
		l.add(inventory.Package{Name: name, Version: exactMaven(version), Dev: scope == "test", Line: d.line})
	}
	l.problem(outside, "with versions that are said in a parent or an imported POM, and not judged")
	return nil
}

// pomProperties returns what ${name} stands for in a POM: its properties, and
// what it says of itself and its parent.
func pomProperties(root *element) func(string) (string, bool) {
	properties := make(map[string]string)
	parent := root.get("parent")
	for _, name := range [...]string{"groupId", "artifactId", "version"} {
		own, above := root.value(name), ""
		if parent != nil {
			above = parent.value(name)
			properties["project.parent."+name], properties["parent."+name] = above, above
		}
		if own == "" {
			own = above
		}
		if own != "" {
			properties["project."+name], properties["pom."+name] = own, own
		}
	}
	if group := root.get("properties"); group != nil {
		for _, p := range group.kids {
			properties[p.name] = p.text
		}
	}
	return func(name string) (string, bool) {
		value, ok := properties[name]
		return value, ok
	}
}

// exactMaven returns the version that a dependency names: 1.2 and [1.2] are one,
// ranges and LATEST are not.
func exactMaven(version string) string {
	if inside, ok := strings.CutPrefix(version, "["); ok {
		if inside, ok = strings.CutSuffix(inside, "]"); ok {
			version = inside
		}
	}
	if strings.ContainsAny(version, ",()[]") || version == "LATEST" || version == "RELEASE" {
		return ""
	}
	return version
}

// Limits of what one value with properties may become.
const (
	expandSteps = 32
	expandBytes = 1000
)

// expand puts values in the place of properties, $(name) or ${name}, also of
// those within values. It reports false if one is unknown, or if they lead in
// circles.
func expand(s, opening, closing string, lookup func(string) (string, bool)) (string, bool) {
	for range expandSteps {
		before, rest, ok := strings.Cut(s, opening)
		if !ok {
			return s, true
		}
		name, after, ok := strings.Cut(rest, closing)
		if !ok {
			return "", false
		}
		value, ok := lookup(name)
		if !ok || len(before)+len(value)+len(after) > expandBytes {
			return "", false
		}
		s = before + value + after
	}
	return "", false
}
