package vuln_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"seawall.io/seawall/internal/vuln"
)

// record is what the tests read of an OSV record. It is read here once more, so
// that these tests hold the matching alone to the data, apart from how the
// product builds its database.
type record struct {
	ID        string   `json:"id"`
	Aliases   []string `json:"aliases"`
	Upstream  []string `json:"upstream"`
	Related   []string `json:"related"`
	Summary   string   `json:"summary"`
	Withdrawn string   `json:"withdrawn"`
	Affected  []struct {
		Package struct {
			Ecosystem string `json:"ecosystem"`
			Name      string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Type   string              `json:"type"`
			Events []map[string]string `json:"events"`
		} `json:"ranges"`
		Versions []string `json:"versions"`
		Specific struct {
			Imports []struct {
				Path    string   `json:"path"`
				Symbols []string `json:"symbols"`
				GOOS    []string `json:"goos"`
				GOARCH  []string `json:"goarch"`
			} `json:"imports"`
		} `json:"ecosystem_specific"`
	} `json:"affected"`
}

// advisories turns a record into one advisory for each package that it names.
func (r *record) advisories(source string) []vuln.Advisory {
	if r.Withdrawn != "" {
		return nil
	}
	upstream := r.Upstream
	if strings.HasPrefix(r.ID, "ALSA-") {
		upstream = r.Related
	}
	var out []vuln.Advisory
	for _, affected := range r.Affected {
		a := vuln.Advisory{
			ID: r.ID, Aliases: r.Aliases, Upstream: upstream, Source: source,
			Ecosystem: affected.Package.Ecosystem, Package: affected.Package.Name, Versions: affected.Versions,
		}
		for _, i := range affected.Specific.Imports {
			a.Imports = append(a.Imports, vuln.Import{Path: i.Path, Symbols: i.Symbols, GOOS: i.GOOS, GOARCH: i.GOARCH})
		}
		for _, ranges := range affected.Ranges {
			if ranges.Type == "GIT" {
				continue
			}
			open := false
			for _, event := range ranges.Events {
				if v, ok := event["introduced"]; ok {
					a.Ranges, open = append(a.Ranges, vuln.Range{Introduced: v}), true
				}
				if !open {
					continue
				}
				last := &a.Ranges[len(a.Ranges)-1]
				if v, ok := event["fixed"]; ok {
					last.Fixed, open = v, false
				}
				if v, ok := event["last_affected"]; ok {
					last.LastAffected, open = v, false
				}
			}
		}
		out = append(out, a)
	}
	return out
}

// readLines calls each for every line of a file, which may be compressed.
func readLines(tb testing.TB, path string, each func(line []byte)) {
	tb.Helper()
	file, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	if strings.HasSuffix(path, ".gz") {
		unpacked, err := gzip.NewReader(file)
		if err != nil {
			tb.Fatal(err)
		}
		lines = bufio.NewScanner(unpacked)
	}
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		each(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
}

func readRecords(tb testing.TB, path string, each func(*record)) {
	tb.Helper()
	readLines(tb, path, func(line []byte) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		each(&r)
	})
}
