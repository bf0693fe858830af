package vuln

import (
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// A distribution's advisories speak of the packages that the distribution
// built. The same name from another builder has other patches under another
// version, so that a comparison would say something wrong in both directions.
// foreign tells such packages apart and names their builder; they are reported
// as not evaluated.
//
// The version decides first: builders mark it (1.24.0-1nodesource1,
// 15.3-1.pgdg120+1, 5:24.0.7-1~debian.12~bookworm). Next is the Vendor. An rpm
// says who signed for it, so every other name than the distribution's is
// foreign. dpkg mostly has the maintainer's mail domain only, and those of
// Debian write from anywhere: there a domain is foreign only when it is one of
// the known builders of repositories. The origin of an apk says nothing of who
// built it.
func foreign(d *inventory.Distro, p *inventory.Package) (builder string, yes bool) {
	switch p.Type {
	case inventory.Deb:
		for _, mark := range debMarks {
			if strings.Contains(p.Version, mark.text) {
				return mark.builder, true
			}
		}
		if p.Vendor == "" {
			return "", false
		}
		vendor := strings.ToLower(p.Vendor)
		for _, domain := range debBuilders {
			if vendor == domain || strings.HasSuffix(vendor, "."+domain) {
				return domain, true
			}
		}
	case inventory.RPM:
		if p.Vendor == "" {
			return "", false
		}
		own, ok := rpmVendors[d.ID]
		if !ok {
			return "", false
		}
		vendor := strings.ToLower(p.Vendor)
		for _, name := range own {
			if strings.Contains(vendor, name) {
				return "", false
			}
		}
		return p.Vendor, true
	case inventory.APK, inventory.Go, inventory.NPM, inventory.PyPI, inventory.Conda, inventory.Maven,
		inventory.Cargo, inventory.Gem, inventory.Composer, inventory.NuGet:
	}
	return "", false
}

var debMarks = []struct{ text, builder string }{ //nolint:gochecknoglobals // a constant table
	{"nodesource", "NodeSource"},
	{".pgdg", "the PostgreSQL project"},
	{"~debian.", "Docker"},
	{"~ubuntu.", "Docker"},
	{"deb.sury.org", "sury.org"},
	{"+maria~", "the MariaDB project"},
	{"~ppa", "a personal archive"},
	{"+ppa", "a personal archive"},
}

var debBuilders = []string{ //nolint:gochecknoglobals // a constant table
	"nodesource.com", "docker.com", "nginx.com", "nginx.org", "microsoft.com", "elastic.co", "hashicorp.com",
	"grafana.com", "mongodb.com", "percona.com", "mariadb.org", "mariadb.com", "sury.org", "gitlab.com", "redis.com",
	"redis.io", "influxdata.com", "nvidia.com", "confluent.io", "cloudflare.com", "datadoghq.com", "newrelic.com",
	"azul.com", "adoptium.net", "yarnpkg.com", "kong.com", "konghq.com", "haproxy.com", "rabbitmq.com", "vmware.com",
}

var rpmVendors = map[string][]string{ //nolint:gochecknoglobals // a constant table
	"rhel":          {"red hat"},
	"centos":        {"centos", "red hat"},
	"almalinux":     {"almalinux", "cloudlinux"},
	"rocky":         {"rocky"},
	"amzn":          {"amazon"},
	"ol":            {"oracle"},
	"sles":          {"suse"},
	"opensuse-leap": {"suse"},
	"photon":        {"vmware", "broadcom"},
	"azurelinux":    {"microsoft"},
	"mariner":       {"microsoft"},
}

// backport tells Debian's backports: 1.2-3~bpo12+1 is 1.2-3 of the release after
// 12, built again. No advisory of 12 speaks of it, so it is held as 1.2-3
// against the release it came from.
func backport(version string) (origin, ecosystem string, yes bool) {
	at := strings.LastIndex(version, "~bpo")
	if at < 0 {
		return "", "", false
	}
	number, _, _ := strings.Cut(version[at+len("~bpo"):], "+")
	next, ok := afterDebian[number]
	if !ok {
		return "", "", false
	}
	return version[:at], "Debian:" + next, true
}

var afterDebian = map[string]string{ //nolint:gochecknoglobals // a constant table
	"8": "9", "9": "10", "10": "11", "11": "12", "12": "13", "13": "14", "14": "15",
}

// fromPro tells a package that Ubuntu Pro brought by its version.
func fromPro(version string) bool {
	return strings.Contains(version, "+esm") || strings.Contains(version, "~esm")
}
