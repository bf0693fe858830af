package vuln

import (
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// Ecosystem names the OSV ecosystem of a language's packages, and is empty for
// kinds that no feed speaks of.
func Ecosystem(t inventory.Type) string {
	switch t {
	case inventory.Go:
		return "Go"
	case inventory.NPM:
		return "npm"
	case inventory.PyPI:
		return "PyPI"
	case inventory.Maven:
		return "Maven"
	case inventory.Cargo:
		return "crates.io"
	case inventory.Gem:
		return "RubyGems"
	case inventory.Composer:
		return "Packagist"
	case inventory.NuGet:
		return "NuGet"
	case inventory.Deb, inventory.APK, inventory.RPM, inventory.Conda:
		return ""
	}
	return ""
}

// Ecosystems names the OSV ecosystems whose advisories speak of the packages of
// a distribution's release. A database may cover any of them: a release of Red
// Hat is spread over repositories, each with a name (a CPE) of its own. It
// returns nil for distributions that are not known by their ID: what is merely
// like another one has versions of its own.
//
// Amazon Linux and Oracle Linux have no name in OSV's list; theirs here follow
// its form.
func Ecosystems(d inventory.Distro) []string {
	major, minor := release(d.Version)
	switch d.ID {
	case "debian", "raspbian":
		return debian(d, major)
	case "ubuntu":
		if minor == "" {
			return nil
		}
		return []string{ubuntu("Ubuntu:", major, minor)}
	case "alpine":
		if strings.Contains(d.Version, "_alpha") || d.Codename == "edge" || major == "edge" {
			return []string{"Alpine:edge"}
		}
		if minor == "" {
			return nil
		}
		return []string{"Alpine:v" + major + "." + minor}
	case "wolfi":
		return []string{"Wolfi"}
	case "chainguard":
		return []string{"Chainguard", "Wolfi"}
	case "azurelinux", "mariner":
		return azure(d.ID, major, minor)
	}
	if major == "" {
		return nil
	}
	switch d.ID {
	case "almalinux":
		return []string{"AlmaLinux:" + major}
	case "rocky":
		return []string{"Rocky Linux:" + major}
	case "rhel", "centos":
		return redhat(major)
	case "amzn":
		return []string{"Amazon Linux:" + major}
	case "ol":
		return []string{"Oracle Linux:" + major}
	case "photon":
		return []string{"Photon OS:" + dotted(major, minor, "0")}
	case "opensuse-leap", "opensuse":
		return []string{"openSUSE:Leap " + dotted(major, minor, "0")}
	case "opensuse-tumbleweed":
		return []string{"openSUSE:Tumbleweed"}
	case "sles", "sle_hpc", "sled", "sles_sap":
		return suse(major, minor)
	}
	return nil
}

// debian names the release by its number. Testing has no VERSION_ID but the
// codename of what it will be; unstable never becomes a release.
func debian(d inventory.Distro, major string) []string {
	if number, ok := debianReleases[d.Codename]; ok && major == "" {
		major = number
	}
	if major == "" {
		// debian_version of testing and unstable: trixie/sid.
		codename, _, _ := strings.Cut(d.Version, "/")
		major = debianReleases[codename]
	}
	switch {
	case d.Codename == "sid":
		return []string{"Debian:sid", "Debian:unstable"}
	case major == "":
		return nil
	}
	return []string{"Debian:" + major}
}

var debianReleases = map[string]string{ //nolint:gochecknoglobals // a constant table
	"wheezy": "7", "jessie": "8", "stretch": "9", "buster": "10", "bullseye": "11",
	"bookworm": "12", "trixie": "13", "forky": "14", "duke": "15",
}

// ubuntu marks the releases of April in even years, which are supported long.
func ubuntu(prefix, major, minor string) string {
	name := prefix + major + "." + minor
	if minor == "04" && len(major) == 2 && (major[1]-'0')%2 == 0 {
		name += ":LTS"
	}
	return name
}

// ubuntuPro names the ecosystem of the fixes that only subscribers get.
func ubuntuPro(d inventory.Distro) string {
	major, minor := release(d.Version)
	if d.ID != "ubuntu" || minor == "" {
		return ""
	}
	return ubuntu("Ubuntu:Pro:", major, minor)
}

func redhat(major string) []string {
	if !digits(major) {
		return nil
	}
	names := []string{"Red Hat:" + major, "Red Hat:enterprise_linux:" + major}
	if major >= "6" && len(major) == 1 && major < "8" {
		for _, variant := range []string{"server", "client", "workstation", "computenode"} {
			names = append(names, "Red Hat:enterprise_linux:"+major+"::"+variant)
		}
		return names
	}
	for _, repository := range []string{"baseos", "appstream", "crb", "highavailability", "nfv", "realtime", "resilientstorage", "sap", "sap_hana", "supplementary"} {
		names = append(names, "Red Hat:enterprise_linux:"+major+"::"+repository)
	}
	return names
}

func suse(major, minor string) []string {
	if minor == "" || minor == "0" {
		return []string{"SUSE:Linux Enterprise Server " + major}
	}
	if major == "16" {
		return []string{"SUSE:Linux Enterprise Server 16." + minor}
	}
	pack := " " + major + " SP" + minor
	return []string{
		"SUSE:Linux Enterprise Server" + pack,
		"SUSE:Linux Enterprise Module for Basesystem" + pack,
		"SUSE:Linux Enterprise Module for Server Applications" + pack,
		"SUSE:Linux Enterprise Module for Web and Scripting" + pack,
		"SUSE:Linux Enterprise Module for Development Tools" + pack,
		"SUSE:Linux Enterprise Module for Python 3" + pack,
		"SUSE:Linux Enterprise Server" + pack + "-LTSS",
	}
}

func azure(id, major, minor string) []string {
	if major == "" {
		return nil
	}
	if id == "mariner" {
		return []string{"Azure Linux:" + major, "CBL-Mariner:" + dotted(major, minor, "0")}
	}
	return []string{"Azure Linux:" + major}
}

// release cuts a VERSION_ID (12, 24.04, 3.20.3, 9.4) into its first two numbers.
func release(version string) (major, minor string) {
	if version == "" || !digits(version[:1]) {
		return "", ""
	}
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ = strings.Cut(rest, ".")
	return major, minor
}

func dotted(major, minor, absent string) string {
	if minor == "" {
		minor = absent
	}
	return major + "." + minor
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
