package ospkg

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/inventory"
)

const bookworm = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
`

func TestDecide(t *testing.T) {
	type files map[string]string
	tests := []struct {
		name  string
		files files
		want  *inventory.Distro
	}{
		{"nothing", files{}, nil},
		{
			"debian with its point release",
			files{"usr/lib/os-release": bookworm, "etc/debian_version": "12.7\n"},
			&inventory.Distro{ID: "debian", Version: "12.7", Codename: "bookworm", Name: "Debian GNU/Linux 12 (bookworm)", Path: "usr/lib/os-release"},
		},
		{
			"debian with the point release of another one",
			files{"usr/lib/os-release": bookworm, "etc/debian_version": "13.1\n"},
			&inventory.Distro{ID: "debian", Version: "12", Codename: "bookworm", Name: "Debian GNU/Linux 12 (bookworm)", Path: "usr/lib/os-release"},
		},
		{
			"debian testing",
			files{"usr/lib/os-release": "ID=debian\nNAME='Debian GNU/Linux'\nPRETTY_NAME=\"Debian GNU/Linux trixie/sid\"\nVERSION_CODENAME=trixie\n", "etc/debian_version": "trixie/sid\n"},
			&inventory.Distro{ID: "debian", Version: "trixie/sid", Codename: "trixie", Name: "Debian GNU/Linux trixie/sid", Path: "usr/lib/os-release"},
		},
		{
			"debian_version alone",
			files{"etc/debian_version": "bullseye/sid\n"},
			&inventory.Distro{ID: "debian", Version: "bullseye/sid", Codename: "bullseye", Path: "etc/debian_version"},
		},
		{
			"ubuntu, whose debian_version speaks of another distribution",
			files{
				"usr/lib/os-release": "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n",
				"etc/debian_version": "trixie/sid\n", "etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=24.04\nDISTRIB_CODENAME=noble\nDISTRIB_DESCRIPTION=\"Ubuntu 24.04.1 LTS\"\n",
			},
			&inventory.Distro{ID: "ubuntu", Like: []string{"debian"}, Version: "24.04", Codename: "noble", Name: "Ubuntu 24.04.1 LTS", Path: "usr/lib/os-release"},
		},
		{
			"lsb-release and debian_version",
			files{"etc/debian_version": "jessie/sid\n", "etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=14.04\nDISTRIB_CODENAME=trusty\n"},
			&inventory.Distro{ID: "ubuntu", Version: "14.04", Codename: "trusty", Path: "etc/lsb-release"},
		},
		{
			"alpine",
			files{"etc/os-release": "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine Linux v3.20\"\n", "etc/alpine-release": "3.20.3\n"},
			&inventory.Distro{ID: "alpine", Version: "3.20.3", Name: "Alpine Linux v3.20", Path: "etc/os-release"},
		},
		{
			"centos, whose os-release knows the major version only",
			files{
				"usr/lib/os-release": "NAME=\"CentOS Linux\"\nVERSION_ID=\"7\"\nID=\"centos\"\nID_LIKE=\"rhel fedora\"\n",
				"etc/centos-release": "CentOS Linux release 7.9.2009 (Core)\n",
			},
			&inventory.Distro{ID: "centos", Like: []string{"rhel", "fedora"}, Version: "7.9.2009", Codename: "", Path: "usr/lib/os-release"},
		},
		{
			"before os-release",
			files{"etc/redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n"},
			&inventory.Distro{ID: "rhel", Version: "6.10", Codename: "Santiago", Name: "Red Hat Enterprise Linux Server release 6.10 (Santiago)", Path: "etc/redhat-release"},
		},
		{
			"etc comes before usr/lib",
			files{"usr/lib/os-release": "ID=fedora\nVERSION_ID=41\n", "etc/os-release": "ID=mine\nVERSION_ID=1\n"},
			&inventory.Distro{ID: "mine", Version: "1", Path: "etc/os-release"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var found []inventory.Distro
			for path, body := range tt.files {
				if facts := mustRead(t, path, body); facts.Distro != nil {
					found = append(found, *facts.Distro)
				}
			}
			if diff := cmp.Diff(tt.want, Decide(found)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOSReleaseIsReadAsAShellWould(t *testing.T) {
	for word, want := range map[string]string{
		`plain`:           "plain",
		`"a b" # comment`: "a b",
		`'a "b" \n'`:      `a "b" \n`,
		`"a \"b\" \$c"`:   `a "b" $c`,
		`a\ b c`:          "a b",
		`"never closed`:   "never closed",
		`12"."4`:          "12.4",
		``:                "",
		`\`:               `\`,
	} {
		if got := unquote([]byte(word)); got != want {
			t.Errorf("unquote(%s) = %q, want %q", word, got, want)
		}
	}
}

func TestReleaseFilesThatSayNothing(t *testing.T) {
	for path, body := range map[string]string{
		"etc/os-release":     "NAME=x\nrubbish\n",
		"etc/redhat-release": "Some other text\n",
		"etc/debian_version": "\n \n",
	} {
		facts, err := read(t, path, body)
		if err == nil || facts.Distro != nil {
			t.Errorf("%s: %+v and error %v, want an error alone", path, facts.Distro, err)
		}
	}
	facts := mustRead(t, "etc/lsb-release", "LSB_VERSION=core-4.1-amd64\n")
	if facts.Distro != nil {
		t.Errorf("lsb-release without an ID: %+v", facts.Distro)
	}
	if facts := mustRead(t, "etc/os-release", "ID=x\nPRETTY_NAME="+strings.Repeat("y", 10_000)); len(facts.Distro.Name) != maxField {
		t.Errorf("a name of %d bytes, want %d", len(facts.Distro.Name), maxField)
	}
}
