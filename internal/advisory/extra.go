package advisory

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/vuln"
	"seawall.io/seawall/internal/vuln/cvss"
)

// The section extra: IDs by their key. Strings lie in areaTexts.
const (
	areaEntries = 0 // key (8 bytes), EPSS in parts of a thousand million (4), place of details + 1 (4); by key
	areaDetails = 2 // day of KEV, severity, whether code is run, CVSS, CWEs
)

const (
	extraEntry = 16
	epssUnit   = 1e9 // EPSS is published with at most nine decimals
)

// extraKey is a number for an ID: of a CVE its year and number, of others a hash
// with the highest bit set.
func extraKey(id string) uint64 {
	if year, number, ok := cve(id); ok {
		return uint64(year)<<32 | uint64(number)
	}
	return hash("", id) | 1<<63
}

// cve reads the year and number of a CVE's ID as it is written, CVE-2021-44228,
// so that no two IDs are one number.
func cve(id string) (year uint16, number uint32, ok bool) {
	if len(id) < 13 || len(id) > 19 || id[:4] != "CVE-" || id[8] != '-' {
		return 0, 0, false
	}
	y, err1 := strconv.ParseUint(id[4:8], 10, 15)
	n, err2 := strconv.ParseUint(id[9:], 10, 32)
	if err1 != nil || err2 != nil || y < 1000 || len(id) > 13 && id[9] == '0' {
		return 0, 0, false
	}
	return uint16(y), uint32(n), true
}

// isCVE says that an ID is a CVE's.
func isCVE(id string) bool {
	_, _, ok := cve(id)
	return ok
}

// extras gathers what is known of flaws beside advisories.
type extras map[string]*vuln.Extra

func (x extras) of(id string) *vuln.Extra {
	e := x[id]
	if e == nil {
		e = &vuln.Extra{}
		x[id] = e
	}
	return e
}

// describe adds CVSS vectors and CWEs; vectors that are malformed are left out.
func (x extras) describe(id string, vectors, cwes []string) {
	vectors = slices.DeleteFunc(slices.Clone(vectors), func(v string) bool {
		_, err := cvss.Score(v)
		return err != nil
	})
	if len(vectors) == 0 && len(cwes) == 0 {
		return
	}
	e := x.of(id)
	for _, v := range vectors {
		if !slices.Contains(e.CVSS, v) {
			e.CVSS = append(e.CVSS, v)
		}
	}
	for _, c := range cwes {
		if !slices.Contains(e.CWEs, c) {
			e.CWEs = append(e.CWEs, c)
		}
	}
	e.RCE = e.RCE || runsCode(e.CVSS, e.CWEs)
}

func (x extras) encode() (parts, error) {
	ids := slices.SortedFunc(maps.Keys(x), func(a, b string) int {
		return cmp.Or(cmp.Compare(extraKey(a), extraKey(b)), strings.Compare(a, b))
	})
	texts := newShard()
	details := newArena()
	var entries, b []byte
	previous := uint64(math.MaxUint64)
	for _, id := range ids {
		key := extraKey(id)
		if key == previous {
			continue // two IDs of one hash: which of them is meant could not be told
		}
		previous = key
		e := x[id]
		entries = binary.LittleEndian.AppendUint64(entries, key)
		entries = binary.LittleEndian.AppendUint32(entries, uint32(math.Round(min(max(e.EPSS, 0), 1)*epssUnit)))
		place := uint32(0)
		if e.KEV != "" || e.RCE || e.Severity != seawall.None || len(e.CVSS) > 0 || len(e.CWEs) > 0 {
			b = texts.ref(b[:0], e.KEV)
			b = binary.AppendUvarint(b, uint64(e.Severity))
			rce := uint64(0)
			if e.RCE {
				rce = 1
			}
			b = binary.AppendUvarint(b, rce)
			b = texts.refs(b, e.CVSS)
			b = texts.refs(b, e.CWEs)
			place = details.put(b) + 1
		}
		entries = binary.LittleEndian.AppendUint32(entries, place)
	}
	return parts{areaEntries: inMemory(entries), areaDetails: inMemory(details.buf), areaTexts: inMemory(texts.strings.buf)},
		cmp.Or(details.err, texts.strings.err)
}

// extra finds an ID in the section extra.
func (t *table) extra(id string) (x vuln.Extra, ok bool, err error) {
	want := extraKey(id)
	low, high := uint64(0), t.areas[areaEntries].size()/extraEntry
	for low < high {
		middle := (low + high) / 2
		b, err := t.bytes(middle*extraEntry, extraEntry)
		if err != nil {
			return x, false, err
		}
		switch key := binary.LittleEndian.Uint64(b); {
		case key < want:
			low = middle + 1
		case key > want:
			high = middle
		default:
			x.EPSS = min(float64(binary.LittleEndian.Uint32(b[8:]))/epssUnit, 1)
			place := binary.LittleEndian.Uint32(b[12:])
			if place == 0 {
				return x, true, nil
			}
			c, err := t.cursor(areaDetails, uint64(place)-1)
			if err != nil {
				return vuln.Extra{}, false, err
			}
			x.KEV = c.text()
			x.Severity = c.severity()
			x.RCE = c.number() != 0
			x.CVSS = c.texts(nil)
			x.CWEs = c.texts(nil)
			return x, c.err == nil, c.err
		}
	}
	return x, false, nil
}

// The section releases: lines of product, cycle, EOL, LTS and extended EOL
// between tabs.
const areaLines = 0

type releases map[[2]string]vuln.Release

func (r releases) encode() parts {
	var b []byte
	for _, key := range slices.SortedFunc(maps.Keys(r), func(a, b [2]string) int {
		return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	}) {
		v := r[key]
		b = append(b, strings.Join([]string{v.Product, v.Cycle, v.EOL, v.LTS, v.ExtendedEOL}, "\t")+"\n"...)
	}
	return parts{areaLines: inMemory(b)}
}

// release finds the release of a distribution: the cycle of its version, else of
// the version without its last numbers.
func (t *table) release(d inventory.Distro) (r vuln.Release, ok bool, err error) {
	lines, err := t.bytes(0, t.areas[areaLines].size())
	if err != nil {
		return r, false, err
	}
	best := 0
	for line := range strings.SplitSeq(string(lines), "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 5 || f[0] != d.ID || len(f[1]) <= best {
			continue
		}
		if d.Version == f[1] || strings.HasPrefix(d.Version, f[1]+".") {
			best = len(f[1])
			r = vuln.Release{Product: f[0], Cycle: f[1], EOL: f[2], LTS: f[3], ExtendedEOL: f[4]}
		}
	}
	return r, best > 0, nil
}

// day cuts a time as feeds write it (RFC 3339) to its day, and is empty for what
// is none and for the zero time.
func day(text string) string {
	if len(text) < len(time.DateOnly) {
		return ""
	}
	text = text[:len(time.DateOnly)]
	if t, err := time.Parse(time.DateOnly, text); err != nil || t.Year() < 1970 {
		return ""
	}
	return text
}
