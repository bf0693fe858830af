package secret

import (
	"bytes"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
)

// Limit is the size in bytes beyond which files are not worth a scan: what
// people write and deploy is smaller.
const Limit = 2 << 20

// Wants says, by name, mode and size alone, whether a file of an image or a
// source tree is worth scanning: regular files of at most Limit bytes, but those
// whose format holds no text, packed files, and translations. Folders of tests
// and documentation are wanted: keys in them are marked as examples, not hidden.
func Wants(name string, mode fs.FileMode, size int64) bool {
	if !mode.IsRegular() || size < 8 || size > Limit {
		return false
	}
	for _, folder := range [...]string{"usr/share/locale/", "usr/share/zoneinfo/", "usr/share/man/", "usr/share/i18n/", "usr/share/terminfo/", "var/lib/dpkg/info/", "var/lib/apt/lists/"} {
		if strings.HasPrefix(name, folder) {
			return false
		}
	}
	if strings.Contains(name, ".git/objects/") {
		return false // compressed; package gitobj reads them
	}
	return !opaque(extension(name))
}

// opaque says whether files with an extension hold no text.
func opaque(ext string) bool {
	switch ext {
	case "so", "a", "o", "ko", "dll", "dylib", "pyc", "pyo", "class", "wasm", "node", "rlib", "rmeta", "elc", "beam", "mo", "gmo", "qm",
		"png", "jpg", "jpeg", "gif", "webp", "ico", "icns", "bmp", "tif", "tiff", "avif", "heic", "psd", "svgz",
		"ttf", "otf", "woff", "woff2", "eot", "pfb", "pfm", "afm", "pcf", "mp3", "mp4", "ogg", "wav", "flac", "webm", "avi", "mov", "mkv",
		"gz", "tgz", "bz2", "xz", "zst", "lz4", "lzma", "br", "zip", "7z", "rar", "jar", "war", "ear", "whl", "egg", "nupkg", "gem", "deb", "rpm", "apk",
		"pdf", "dat", "pack", "idx", "cap", "pcap", "tzdata", "icu", "hyb", "gresource", "typelib", "cache":
		return true
	}
	return false
}

func extension(name string) string {
	ext := path.Ext(name)
	if len(ext) < 2 || len(ext) > 12 {
		return ""
	}
	return strings.ToLower(ext[1:])
}

// fileKind is what a file's name says of its content.
type fileKind uint8

const (
	configFile fileKind = iota
	codeFile
	proseFile
	netrcFile
	pgpassFile
	railsKeyFile
	shadowFile
	htpasswdFile
)

// kindOf tells a file by its name. What is not known may be configuration.
func kindOf(name string) fileKind {
	switch base := path.Base(name); base {
	case ".netrc", "_netrc", "netrc":
		return netrcFile
	case ".pgpass", "pgpass.conf":
		return pgpassFile
	case "master.key":
		return railsKeyFile
	case "shadow", "shadow-", "gshadow", "gshadow-", "master.passwd":
		return shadowFile
	case "README", "PKG-INFO", "METADATA", "CHANGELOG", "NEWS":
		return proseFile
	case ".htpasswd", "htpasswd", ".htdigest":
		return htpasswdFile
	}
	switch extension(name) {
	case "htpasswd":
		return htpasswdFile
	case "go", "py", "js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "java", "kt", "scala", "groovy", "c", "h", "cc", "cpp", "hpp", "cs", "rb", "rs", "php", "pl", "pm",
		"swift", "m", "lua", "r", "dart", "ex", "exs", "erl", "clj", "hs", "vue", "svelte", "vim", "el", "tcl", "pyi", "pyx", "vb", "fs", "d", "zig", "jl", "sol", "map", "html", "htm", "css", "t", "asm", "s":
		return codeFile
	case "md", "markdown", "rst", "adoc", "tex", "org", "pod", "1", "3", "5", "7", "8", "texi", "info":
		return proseFile
	}
	return configFile
}

// isExamplePath says that a path has a folder in it that holds tests, examples
// or documentation.
func isExamplePath(name string) bool {
	for {
		part, rest, more := strings.Cut(name, "/")
		if !more {
			stem, _, _ := strings.Cut(part, ".")
			return stem == "test" || stem == "tests" || strings.Contains(part, "_test.") || strings.Contains(part, "test_data") || strings.HasPrefix(part, "test_") || strings.Contains(part, ".test.") ||
				strings.Contains(part, ".spec.") || strings.Contains(part, "example") || strings.Contains(part, ".sample")
		}
		part = strings.ToLower(part)
		if strings.HasPrefix(part, "test") || strings.HasSuffix(part, "test") || strings.HasSuffix(part, "tests") {
			return true
		}
		switch part {
		case "__tests__", "__mocks__", "spec", "specs", "fixture", "fixtures", "__fixtures__",
			"example", "examples", "sample", "samples", "demo", "demos", "doc", "docs", "documentation", "mock", "mocks", "e2e", "selftests", "vectors":
			return true
		}
		name = rest
	}
}

// wholeFile judges files whose name says what each line holds.
func (s *scan) wholeFile() {
	switch s.kind {
	case shadowFile, htpasswdFile:
		s.lines(s.hashes)
	case pgpassFile:
		s.lines(s.pgpass)
	case netrcFile:
		s.netrc()
	case railsKeyFile:
		key := bytes.TrimSpace(s.body)
		if _, err := hex.Decode(make([]byte, 16), key[:min(len(key), 32)]); err == nil && len(key) == 32 {
			start := bytes.Index(s.body, key)
			s.add(match{kind: s.f.slugs["rails-master-key"], start: start, end: start + 32, proof: silent})
		}
	default:
	}
}

func (s *scan) lines(do func(at int, line []byte)) {
	for at := 0; at < len(s.body) && !s.more; {
		line := s.body[at:]
		next := len(s.body)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line, next = line[:i], at+i+1
		}
		do(at, bytes.TrimSuffix(line, []byte("\r")))
		at = next
	}
}

// hashes reads user:hash. Locked logins have an asterisk or exclamation mark.
func (s *scan) hashes(at int, line []byte) {
	user, rest, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(line) > 0 && line[0] == '#' {
		return
	}
	hash, _, _ := bytes.Cut(rest, []byte(":"))
	start := at + len(user) + 1
	k := s.f.slugs["shadow-hash"]
	if s.kind == htpasswdFile {
		k = s.f.slugs["htpasswd-hash"]
	}
	text := string(hash)
	if isHash(text) && len(hash) >= 16 || s.kind == htpasswdFile && (strings.HasPrefix(text, "{SHA}") && len(hash) == 33 || len(hash) == 13 && entropy(hash) > 2.5) {
		s.add(match{kind: k, start: start, end: start + len(hash), name: clip(string(user)), proof: silent})
	}
}

// pgpass reads host:port:database:user:password.
func (s *scan) pgpass(at int, line []byte) {
	if len(line) == 0 || line[0] == '#' {
		return
	}
	parts := bytes.SplitN(line, []byte(":"), 5)
	if len(parts) == 5 && len(parts[4]) > 0 && !isPlaceholder(string(parts[4])) {
		s.add(match{kind: s.f.slugs["pgpass-password"], start: at + len(line) - len(parts[4]), end: at + len(line), name: clip(string(parts[3])), proof: silent})
	}
}

// netrc reads words: machine m login l password p.
func (s *scan) netrc() {
	isPassword := false
	for at := 0; at < len(s.body) && !s.more; {
		end := at
		for end < len(s.body) && s.body[end] > ' ' {
			end++
		}
		word := string(s.body[at:min(end, at+maxValue)])
		if isPassword && !isPlaceholder(word) {
			s.add(match{kind: s.f.slugs["netrc-password"], start: at, end: at + len(word), proof: silent})
		}
		isPassword = word == "password"
		for end < len(s.body) && s.body[end] <= ' ' {
			end++
		}
		at = end
	}
}

func clip(name string) string {
	if len(name) > maxName {
		return name[:maxName]
	}
	return name
}
