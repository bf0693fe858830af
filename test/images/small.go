package images

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Debian is a small image in the manner of Debian 12 in three layers, with
// packages of most ecosystems, whose flaws stand in Advisories, and what a
// build leaves behind: a package that an upper layer removed, a credential that
// was deleted, hard links, links of directories, and each kind of compression.
func Debian() (v1.Image, error) {
	base, err := NewLayer(Entries(
		Dir("etc"), Dir("usr"), Dir("usr/bin"), Dir("usr/lib"), Symlink("bin", "usr/bin"), Symlink("lib", "usr/lib"),
		File("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"),
		File("etc/debian_version", "12.5\n"),
		File("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/app:/bin/sh\n"),
		File("var/lib/dpkg/status", dpkg("libssl3", "openssl", "3.0.11-1~deb12u1")+dpkg("zlib1g", "zlib", "1:1.2.13.dfsg-1")+dpkg("curl", "curl", "7.88.1-10")),
		File("var/lib/dpkg/info/curl.list", "/.\n/bin/curl\n"), File("var/lib/dpkg/info/libssl3.list", "/.\n/lib/libssl.so.3\n"),
		Program("usr/bin/curl", []byte("#!/bin/sh\n")), Program("usr/lib/libssl.so.3", []byte("not really a library\n")),
		Program("usr/bin/sh", []byte("#!/bin/sh\n")), Hardlink("usr/bin/dash", "usr/bin/sh"),
		File("root/.netrc", "machine git.example.com login build password "+madeUp("netrc", 20)+"\n"),
		File("opt/old/package.json", `{"name":"minimist","version":"1.2.0"}`),
	), Gzip)
	if err != nil {
		return nil, err
	}
	jar, err := jarOf("org.apache.logging.log4j", "log4j-core", "2.14.1")
	if err != nil {
		return nil, err
	}
	modules, err := NewLayer(Entries(
		File("app/node_modules/lodash/package.json", `{"name":"lodash","version":"4.17.4","license":"MIT"}`),
		File("app/node_modules/lodash/lodash.js", "module.exports = {};\n"),
		File("app/lib/requests-2.19.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: requests\nVersion: 2.19.0\nLicense: Apache 2.0\n"),
		Program("app/app.jar", jar),
		File("app/gems/specifications/rack-2.0.1.gemspec", "Gem::Specification.new do |s|\n  s.name = \"rack\".freeze\n  s.version = \"2.0.1\"\nend\n"),
	), Zstd)
	if err != nil {
		return nil, err
	}
	// The package manager writes its whole database anew: curl goes, git comes.
	last, err := NewLayer(Entries(
		File("var/lib/dpkg/status", dpkg("libssl3", "openssl", "3.0.11-1~deb12u1")+dpkg("zlib1g", "zlib", "1:1.2.13.dfsg-1")+dpkg("git", "git", "1:2.39.2-1.1")),
		Whiteout("usr/bin/curl"), Whiteout("var/lib/dpkg/info/curl.list"), Whiteout("root/.netrc"),
		Opaque("opt/old"), File("opt/old/NOTES", "moved away\n"),
		Hardlink("app/lodash.json", "app/node_modules/lodash/package.json"),
		File("app/.npmrc", "//registry.npmjs.org/:_authToken=npm"+"_"+madeUp("npm", 36)+"\n"),
	), None)
	if err != nil {
		return nil, err
	}
	return New(v1.Config{
		User: "1000", Entrypoint: []string{"/usr/bin/dash", "/app/start"}, Env: []string{"PATH=/usr/bin", "API_TOKEN=" + madeUp("env", 32)},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
	}, base, modules, last)
}

// Distroless is an image without a package manager, whose packages stand in
// files of their own.
func Distroless() (v1.Image, error) {
	l, err := NewLayer(Entries(
		File("etc/os-release", "PRETTY_NAME=\"Distroless\"\nNAME=\"Debian GNU/Linux\"\nID=\"debian\"\nVERSION_ID=\"12\"\n"),
		File("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n"),
		File("var/lib/dpkg/status.d/libssl3", dpkg("libssl3", "openssl", "3.0.11-1~deb12u1")),
		File("var/lib/dpkg/status.d/zlib1g", dpkg("zlib1g", "zlib", "1:1.2.13.dfsg-1")),
	), Gzip)
	if err != nil {
		return nil, err
	}
	return New(v1.Config{User: "65532"}, l)
}

// Alpine is an image with apk's database.
func Alpine() (v1.Image, error) {
	var db strings.Builder
	for _, p := range [][3]string{{"libssl3", "openssl", "3.1.1-r0"}, {"libcrypto3", "openssl", "3.1.1-r0"}, {"busybox", "busybox", "1.36.1-r0"}} {
		fmt.Fprintf(&db, "C:Q1%sAAAAAAA=\nP:%s\nV:%s\nA:x86_64\nS:1000\nI:4096\nT:made for a test\nU:https://example.org/\nL:MIT\no:%s\nm:A <a@alpinelinux.org>\nF:bin\nR:%s\n\n",
			strings.Repeat("A", 19), p[0], p[2], p[1], p[0])
	}
	l, err := NewLayer(Entries(
		File("etc/os-release", "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.18.2\nPRETTY_NAME=\"Alpine Linux v3.18\"\n"),
		File("etc/alpine-release", "3.18.2\n"), File("lib/apk/db/installed", db.String()),
		Program("bin/busybox", []byte("#!\n")),
	), Gzip)
	if err != nil {
		return nil, err
	}
	return New(v1.Config{Cmd: []string{"/bin/busybox"}}, l)
}

// Advisories returns OSV records, by name of the file, with flaws of the packages
// in the small images. The flaws are made up; the packages and versions are not.
func Advisories() map[string]string {
	record := func(id, ecosystem, name, fixed string) string {
		events := `{"introduced":"0"}`
		if fixed != "" {
			events += `,{"fixed":"` + fixed + `"}`
		}
		return fmt.Sprintf(`{"schema_version":"1.6.0","id":%q,"modified":"2024-02-01T00:00:00Z","published":"2024-01-01T00:00:00Z","summary":"a flaw made for tests","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"affected":[{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[%s]}]}]}`,
			id, ecosystem, name, events)
	}
	linked := func(id, path, symbol string) string {
		return fmt.Sprintf(`{"schema_version":"1.6.0","id":%q,"modified":"2024-02-01T00:00:00Z","published":"2024-01-01T00:00:00Z","summary":"a flaw made for tests","affected":[{"package":{"ecosystem":"Go","name":"stdlib"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],"ecosystem_specific":{"imports":[{"path":%q,"symbols":[%q]}]}}]}`,
			id, path, symbol)
	}
	return map[string]string{
		"function.json": linked("GO-2024-10015", "net/url", "Parse"),
		"package.json":  linked("GO-2024-10016", "net/url", "JoinPath"),
		"absent.json":   linked("GO-2024-10017", "net/smtp", "Dial"),
		"openssl.json":  record("CVE-2024-10001", "Debian:12", "openssl", "3.0.13-1~deb12u1"),
		"zlib.json":     record("CVE-2024-10002", "Debian:12", "zlib", ""),
		"curl.json":     record("CVE-2024-10003", "Debian:12", "curl", "7.88.1-11"),
		"git.json":      record("CVE-2024-10004", "Debian:12", "git", "1:2.39.5-0+deb12u1"),
		"lodash.json":   record("CVE-2024-10005", "npm", "lodash", "4.17.5"),
		"requests.json": record("CVE-2024-10006", "PyPI", "requests", "2.20.0"),
		"log4j.json":    record("CVE-2024-10007", "Maven", "org.apache.logging.log4j:log4j-core", "2.15.0"),
		"rack.json":     record("CVE-2024-10008", "RubyGems", "rack", "2.0.6"),
		"minimist.json": record("CVE-2024-10009", "npm", "minimist", "1.2.6"),
		"alpine.json":   record("CVE-2024-10010", "Alpine:v3.18", "openssl", "3.1.4-r0"),
		"rpm.json":      record("CVE-2024-10013", "AlmaLinux:9", "openssl-libs", "1:3.0.7-25.el9_3"),
		"rpm-safe.json": record("CVE-2024-10014", "AlmaLinux:9", "curl", "7.76.1-26.el9_3"), // older than what is installed
		"busybox.json":  record("CVE-2024-10011", "Alpine:v3.18", "busybox", ""),
		"safe.json":     record("CVE-2024-10012", "Debian:12", "zlib", "1:1.2.12"), // older than what is installed
	}
}

// dpkg is one package in the words of dpkg's database.
func dpkg(name, source, version string) string {
	return fmt.Sprintf("Package: %s\nStatus: install ok installed\nPriority: optional\nSection: libs\nInstalled-Size: 100\nMaintainer: Debian <d@lists.debian.org>\nArchitecture: amd64\nSource: %s\nVersion: %s\nDescription: made for a test\n\n", name, source, version)
}

// jarOf is a jar that says by its pom.properties which it is.
func jarOf(group, artifact, version string) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for path, text := range map[string]string{
		"META-INF/maven/" + group + "/" + artifact + "/pom.properties": "groupId=" + group + "\nartifactId=" + artifact + "\nversion=" + version + "\n",
	} {
		w, err := z.Create(path)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			return nil, fmt.Errorf("a jar: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("a jar: %w", err)
	}
	return out.Bytes(), nil
}

// madeUp is n letters and digits that look drawn by lot and are always the same.
func madeUp(seed string, n int) string {
	const alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	out := make([]byte, n)
	x := uint32(2166136261)
	for i := range out {
		x = (x ^ uint32(seed[i%len(seed)]) ^ uint32(i)) * 16777619
		out[i] = alphabet[(x>>8)%uint32(len(alphabet))]
	}
	return string(out)
}
