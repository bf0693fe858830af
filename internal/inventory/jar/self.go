package jar

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// self tells what the archive is itself, where none of the artifacts found in it
// is it.
func (c *clues) self(file string, found []coordinates) (coordinates, inventory.Evidence, bool) {
	if co, ok := c.declared(); ok {
		return co, inventory.Installed, !slices.Contains(found, co)
	}
	if co, ok := repository(file); ok {
		return co, inventory.Installed, !slices.Contains(found, co)
	}
	artifact, version, code := splitName(path.Base(file))
	if !code {
		return coordinates{}, 0, false
	}
	stated := c.version()
	switch {
	case version == "":
		version = stated
	case stated != "" && strings.HasPrefix(version, stated+"-"):
		version = stated // what follows in the file's name is a classifier
	}
	for _, co := range found {
		// A single pom.properties that agrees in name or version is the archive's
		// own, however the file was renamed; so is one that nothing contradicts.
		if co.artifact == artifact || co.version == version || len(found) == 1 && version == "" {
			return coordinates{}, 0, false
		}
	}
	if version == "" || !isName(artifact) {
		return coordinates{}, 0, false
	}
	group, known := wellKnown(artifact)
	return coordinates{group, known, version}, inventory.Guessed, true
}

// declared reads manifests whose attributes are coordinates by definition: those
// of Jenkins plugins and of NiFi archives.
func (c *clues) declared() (coordinates, bool) {
	for _, keys := range [][3]string{{"group-id", "short-name", "plugin-version"}, {"nar-group", "nar-id", "nar-version"}} {
		co := coordinates{c.manifest[keys[0]], c.manifest[keys[1]], c.manifest[keys[2]]}
		// Jenkins adds the builder's name in brackets to versions of snapshots.
		co.version, _, _ = strings.Cut(co.version, " ")
		if co.complete() {
			return co, true
		}
	}
	return coordinates{}, false
}

// version is the archive's version as its manifest states it. The version of the
// specification that it implements is another thing.
func (c *clues) version() string {
	for _, key := range []string{"implementation-version", "bundle-version"} {
		if v := c.manifest[key]; isVersion(v) {
			return v
		}
	}
	return ""
}

// repository reads the layouts of Maven's local repository, Debian's maven-repo
// among them, and of Gradle's cache.
func repository(file string) (coordinates, bool) {
	parts := strings.Split(file, "/")
	n := len(parts)
	for i, p := range parts {
		var co coordinates
		switch {
		case (p == "repository" || p == "maven-repo" || p == "maven2") && n-i > 4:
			co = coordinates{strings.Join(parts[i+1:n-3], "."), parts[n-3], parts[n-2]}
		case p == "files-2.1" && n-i == 6:
			co = coordinates{parts[i+1], parts[i+2], parts[i+3]}
		default:
			continue
		}
		if co.complete() && strings.HasPrefix(parts[n-1], co.artifact+"-"+co.version) {
			return co, true
		}
	}
	return coordinates{}, false
}

//nolint:gochecknoglobals // compiled patterns
var (
	// classifier is what follows the version of archives built for one system or
	// holding their dependencies.
	classifier = regexp.MustCompile(`-(?:linux|windows|win|osx|macos|darwin|aix|natives?|jar-with-dependencies|with-dependencies|all|shaded|fat|uber|nodep|noaop|runner|exec|boot|standalone)(?:[-_][\w-]+)?$`)
	// noCode marks archives of sources and the like.
	noCode = regexp.MustCompile(`-(?:sources?|javadoc|tests?|test-sources|groovydoc|scaladoc)$`)
	// release is what versions look like. Words are limited to those that versions
	// hold, so that log4j-1.2-api-2.19.0 is split in the right place.
	release = regexp.MustCompile(`(?i)^v?\d+(?:[.\-_+]?(?:\d+|final|ga|release|sp|rc|cr|m|snapshot|alpha|beta|a|b|p|r|u|v|jre|jdk|java|android|incubating|pre|dev|build|redhat|jboss|hadoop|spark|patch|sec\w*|stable))*$`)
)

// splitName splits artifact-version.jar. code is false for archives that hold
// sources or documentation; version is empty where the name has none.
func splitName(base string) (artifact, version string, code bool) {
	name := strings.TrimSuffix(base, path.Ext(base))
	if noCode.MatchString(name) {
		return "", "", false
	}
	plain := name
	for range 2 { // linux-x86_64 and all
		plain = classifier.ReplaceAllString(plain, "")
	}
	for i := 1; i+1 < len(plain); i++ {
		if plain[i] == '-' && digit(plain[i+1]) && release.MatchString(plain[i+1:]) {
			return plain[:i], plain[i+1:], true
		}
	}
	return name, "", true
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// isName says whether s may be a group or an artifact: Maven allows these bytes.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !digit(c) && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 256
}

// isVersion says whether s may be a version: a word with a digit in it that has
// no property left to be filled in.
func isVersion(s string) bool {
	digits := false
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("$@{}<>\"'\\:;,", c) >= 0 {
			return false
		}
		digits = digits || digit(c)
	}
	return digits && len(s) <= 128
}
