package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/report"
)

// finding has the fields of a finding in the order of the contract.
type finding struct {
	ID            string                 `json:"id"`
	Check         string                 `json:"check"`
	Title         string                 `json:"title"`
	Severity      seawall.Severity       `json:"severity"`
	Phase         seawall.Phase          `json:"phase,omitempty"`
	Layer         seawall.Layer          `json:"layer,omitempty"`
	Subject       seawall.Subject        `json:"subject"`
	Location      seawall.Location       `json:"location"`
	Message       string                 `json:"message"`
	Remediation   string                 `json:"remediation,omitempty"`
	Fix           []seawall.PatchOp      `json:"fix,omitempty"`
	Refs          []string               `json:"refs,omitempty"`
	Suppressed    *seawall.Suppression   `json:"suppressed,omitempty"`
	Known         bool                   `json:"known,omitempty"`
	Vulnerability *seawall.Vulnerability `json:"vulnerability,omitempty"`
	AttackPath    *seawall.AttackPath    `json:"attackPath,omitempty"`
}

// inOrder copies findings by the names of their fields, so that none is left
// out on the day it is added.
func inOrder(t testing.TB, findings []*seawall.Finding) []finding {
	t.Helper()
	out := make([]finding, len(findings))
	for i, f := range findings {
		from, to := reflect.ValueOf(f).Elem(), reflect.ValueOf(&out[i]).Elem()
		copied := 0
		for _, field := range reflect.VisibleFields(from.Type()) {
			if field.Anonymous {
				continue
			}
			to.FieldByName(field.Name).Set(from.FieldByIndex(field.Index))
			copied++
		}
		if copied != to.NumField() {
			t.Fatalf("a finding has %d fields, want %d", copied, to.NumField())
		}
	}
	return out
}

// reference encodes with encoding/json. Lists that the contract promises as []
// must not be nil.
func reference(t testing.TB, r *seawall.Report) []byte {
	t.Helper()
	c := struct {
		Version    string               `json:"version"`
		Targets    []string             `json:"targets"`
		Findings   []finding            `json:"findings"`
		Coverage   seawall.Coverage     `json:"coverage"`
		Frameworks []seawall.Framework  `json:"frameworks,omitempty"`
		Paths      *seawall.AttackPaths `json:"attackPaths,omitempty"`
		Warnings   []string             `json:"warnings,omitempty"`
		Summary    seawall.Summary      `json:"summary"`
	}{r.Version, r.Targets, inOrder(t, r.Findings), r.Coverage, r.Frameworks, r.AttackPaths, r.Warnings, r.Summary}
	if c.Targets == nil {
		c.Targets = []string{}
	}
	c.Frameworks = append([]seawall.Framework(nil), c.Frameworks...)
	for i := range c.Frameworks {
		if c.Frameworks[i].Controls == nil {
			c.Frameworks[i].Controls = []seawall.Control{}
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&c); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sameJSON wants the bytes of encoding/json but for the line ends between
// findings.
func sameJSON(t testing.TB, r *seawall.Report) {
	t.Helper()
	got := write(t, "json", r, report.Options{})
	if !json.Valid(got) {
		t.Fatalf("not valid JSON:\n%s", got)
	}
	got = bytes.ReplaceAll(got, []byte("\n"), nil) // strings hold none: they are escaped there
	want := bytes.TrimSuffix(reference(t, r), []byte("\n"))
	if !bytes.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		from := max(0, at-60)
		t.Fatalf("differs from encoding/json at byte %d:\n got %s\nwant %s", at, got[from:min(len(got), at+60)], want[from:min(len(want), at+60)])
	}
}

func TestJSONEqualsReference(t *testing.T) {
	for name, r := range map[string]*seawall.Report{"shop": shop(), "clean": nothingFound(), "partial": partial(), "empty": {}} {
		t.Run(name, func(t *testing.T) { sameJSON(t, r) })
	}
}

// TestJSONRandom fills every field of the types by reflection, so a field that
// the encoder does not know fails here on the day it is added.
func TestJSONRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		r := &seawall.Report{}
		fill(rnd, reflect.ValueOf(r).Elem(), 0)
		sameJSON(t, r)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	var got seawall.Report
	if err := json.Unmarshal(write(t, "json", shop(), options()), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Findings) != len(shop().Findings) || got.Summary != shop().Summary {
		t.Errorf("got %d findings and %+v, want %d and %+v", len(got.Findings), got.Summary, len(shop().Findings), shop().Summary)
	}
}

func TestJSONNoSuchNumber(t *testing.T) {
	for _, v := range []any{math.NaN(), math.Inf(1), []any{map[string]any{"x": math.Inf(-1)}}, make(chan int)} {
		r := &seawall.Report{Findings: []*seawall.Finding{nameless()}}
		r.Findings[0].ID, r.Findings[0].Fix = "abc", []seawall.PatchOp{{Value: v}}
		err := report.Write(io.Discard, "json", r, report.Options{})
		if err == nil || !strings.Contains(err.Error(), "abc") {
			t.Errorf("%v: got %v, want an error that names the finding", v, err)
		}
	}
}

func FuzzJSONString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/", "\x00\x1f\x7f", "\b\f\n\r\t", "\u2028\u2029\u2027", "é日本語🙂", "bad\xffutf8\xed\xa0\x80", "<&>", "12345678\"", "\x80234567", "1234567\x1f", "!!!!!!! "} {
		f.Add(s, 1.5)
	}
	f.Fuzz(func(t *testing.T, s string, n float64) {
		if math.IsNaN(n) || math.IsInf(n, 0) {
			n = 0
		}
		r := hostile(s)
		r.Findings[0].Fix = []seawall.PatchOp{{Value: map[string]any{s: n, s + "x": []any{s, -n, n * 1e-300}}}}
		sameJSON(t, r)
	})
}

// fill gives v random content, with nasty strings.
func fill(rnd *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(nasty(rnd))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(rnd.IntN(3)) * rnd.Int64N(1e6))
	case reflect.Uint8:
		v.SetUint(uint64(rnd.IntN(6)))
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(rnd.NormFloat64())
	case reflect.Pointer:
		if rnd.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rnd, v.Elem(), depth)
		}
	case reflect.Slice:
		n := rnd.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			item := v.Index(i)
			if item.Kind() == reflect.Pointer { // a list holds no nil
				item.Set(reflect.New(item.Type().Elem()))
				item = item.Elem()
			}
			fill(rnd, item, depth)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rnd.IntN(5) {
			elem := reflect.New(v.Type().Elem()).Elem()
			fill(rnd, elem, depth)
			v.SetMapIndex(reflect.ValueOf(nasty(rnd)), elem)
		}
	case reflect.Struct:
		for is, field := range v.Fields() {
			if is.Anonymous { // shared, and never nil
				field.Set(reflect.New(field.Type().Elem()))
				field = field.Elem()
			}
			if is.IsExported() {
				fill(rnd, field, depth)
			}
		}
	case reflect.Interface:
		if x := anyValue(rnd, depth); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		panic("fill does not know " + v.Type().String())
	}
}

func anyValue(rnd *rand.Rand, depth int) any {
	n := 13
	if depth > 3 {
		n = 9
	}
	switch rnd.IntN(n) {
	case 0:
		return nil
	case 1:
		return rnd.IntN(2) == 0
	case 2:
		return rnd.Int64() - math.MaxInt64/2
	case 3:
		return math.Float64frombits(rnd.Uint64() &^ (1 << 62)) // finite
	case 4:
		return float64(rnd.IntN(100)) / 8
	case 5:
		return nasty(rnd)
	case 6:
		return rnd.IntN(1000) // int: left to encoding/json
	case 7:
		return []string{nasty(rnd), "<&>"}
	case 8:
		return json.Number("1e3")
	case 9, 10:
		list := make([]any, rnd.IntN(4))
		for i := range list {
			list[i] = anyValue(rnd, depth+1)
		}
		return list
	case 11:
		return []any(nil)
	default:
		m := map[string]any{}
		for range rnd.IntN(5) {
			m[nasty(rnd)] = anyValue(rnd, depth+1)
		}
		return m
	}
}

func nasty(rnd *rand.Rand) string {
	parts := []string{"a", "plain text ", "\"", "\\", "\n", "\x00", "\x1f", "\x7f", "é", "日本", "🙂", "\u2028", "\u2029", "\xff", "\xe2\x80", "<>&", "/", "\t", "0123456789"}
	var b strings.Builder
	for range rnd.IntN(6) {
		b.WriteString(parts[rnd.IntN(len(parts))])
	}
	return b.String()
}

// many repeats the shop's findings.
func many(n int) *seawall.Report {
	r := shop()
	base := r.Findings
	r.Findings = make([]*seawall.Finding, n)
	for i := range r.Findings {
		f := *base[i%len(base)]
		f.ID = fmt.Sprintf("%032x", i)
		o := *f.Subject.Object
		o.Name = fmt.Sprintf("%s-%d", o.Name, i/20)
		f.Subject.Object = &o
		f.Location.Line = 1 + i
		r.Findings[i] = &f
	}
	return r
}

func BenchmarkJSON(b *testing.B) {
	r := many(100_000)
	b.Run("report", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := report.Write(io.Discard, "json", r, report.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			enc := json.NewEncoder(io.Discard)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFormats(b *testing.B) {
	r := many(5_000)
	for _, format := range report.Formats() {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := report.Write(io.Discard, format, r, options()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
