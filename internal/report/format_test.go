package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/report"
)

// junitShape is the JUnit schema that Jenkins publishes, as far as it concerns
// this output: the attributes and children of each element.
var junitShape = map[string]struct{ attrs, children []string }{
	"":           {nil, []string{"testsuites"}},
	"testsuites": {[]string{"name", "time", "tests", "failures", "disabled", "errors"}, []string{"testsuite"}},
	"testsuite":  {[]string{"name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id", "package"}, []string{"properties", "testcase", "system-out", "system-err"}},
	"testcase":   {[]string{"name", "assertions", "time", "classname", "status"}, []string{"skipped", "error", "failure", "system-out", "system-err"}},
	"skipped":    {[]string{"type", "message"}, nil},
	"error":      {[]string{"type", "message"}, nil},
	"failure":    {[]string{"type", "message"}, nil},
	"system-out": {nil, nil},
}

func TestJUnitShape(t *testing.T) {
	for name, r := range map[string]*seawall.Report{"shop": shop(), "clean": nothingFound(), "partial": partial(), "empty": {}, "hostile": hostile("\x00\x1b]]>\ufffe<a b=\"c\">&\xff")} {
		t.Run(name, func(t *testing.T) {
			dec := xml.NewDecoder(bytes.NewReader(write(t, "junit", r, options())))
			path := []string{""}
			for {
				token, err := dec.Token()
				if errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				switch el := token.(type) {
				case xml.StartElement:
					if !slices.Contains(junitShape[path[len(path)-1]].children, el.Name.Local) {
						t.Errorf("%s holds %s", strings.Join(path, "/"), el.Name.Local)
					}
					for _, a := range el.Attr {
						if !slices.Contains(junitShape[el.Name.Local].attrs, a.Name.Local) {
							t.Errorf("%s has an attribute %s", el.Name.Local, a.Name.Local)
						}
					}
					path = append(path, el.Name.Local)
				case xml.EndElement:
					path = path[:len(path)-1]
				}
			}
		})
	}
}

// TestJUnitCounts adds the cases up again.
func TestJUnitCounts(t *testing.T) {
	var doc struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
			Skipped  int `xml:"skipped,attr"`
			Cases    []struct {
				Failure []struct{} `xml:"failure"`
				Error   []struct{} `xml:"error"`
				Skipped []struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(write(t, "junit", shop(), options()), &doc); err != nil {
		t.Fatal(err)
	}
	for i, s := range doc.Suites {
		got := [4]int{len(s.Cases)}
		for _, c := range s.Cases {
			got[1] += len(c.Failure)
			got[2] += len(c.Error)
			got[3] += len(c.Skipped)
		}
		if want := [4]int{s.Tests, s.Failures, s.Errors, s.Skipped}; got != want {
			t.Errorf("suite %d holds %v, says %v", i, got, want)
		}
	}
}

// TestHTMLPolicy checks that the page's policy allows its own style and script
// and that nothing in the page could ask for anything else.
func TestHTMLPolicy(t *testing.T) {
	page := string(write(t, "html", shop(), options()))
	policy := html.UnescapeString(match(t, page, `http-equiv="Content-Security-Policy" content="([^"]*)"`))
	for name, element := range map[string]string{"style-src": match(t, page, `(?s)<style>(.*)</style>`), "script-src": match(t, page, `(?s)<script>(.*)</script>`)} {
		sum := sha256.Sum256([]byte(element))
		want := fmt.Sprintf("%s 'sha256-%s'", name, base64.StdEncoding.EncodeToString(sum[:]))
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %s", policy, want)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q is not strict", policy)
	}
	for _, bad := range []string{" src=", "<link", "@import", "url(", " style=", " onclick=", "innerHTML", "eval("} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}

func match(t *testing.T, s, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(s)
	if m == nil {
		t.Fatalf("no match for %s", pattern)
	}
	return m[1]
}

// TestHTMLNested checks that every element is closed in order.
func TestHTMLNested(t *testing.T) {
	for name, r := range map[string]*seawall.Report{"shop": shop(), "clean": nothingFound(), "partial": partial(), "empty": {}, "hostile": hostile("</details></main>\"'>")} {
		t.Run(name, func(t *testing.T) {
			dec := xml.NewDecoder(bytes.NewReader(write(t, "html", r, options())))
			dec.Strict = false
			dec.AutoClose = xml.HTMLAutoClose
			dec.Entity = xml.HTMLEntity
			var open []string
			for {
				token, err := dec.RawToken()
				if errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				switch el := token.(type) {
				case xml.StartElement:
					if el.Name.Local == "script" {
						return // JavaScript is not XML; nothing follows but the ends
					}
					if !slices.Contains([]string{"meta", "input", "br"}, el.Name.Local) {
						open = append(open, el.Name.Local)
					}
				case xml.EndElement:
					if len(open) == 0 || open[len(open)-1] != el.Name.Local {
						t.Fatalf("</%s> ends %v", el.Name.Local, open)
					}
					open = open[:len(open)-1]
				}
			}
		})
	}
}

// TestMarkdownLimit wants a comment that fits, that still has the worst
// findings and the closing words, and that says what it leaves out.
func TestMarkdownLimit(t *testing.T) {
	r := many(3000)
	out := string(write(t, "markdown", r, options()))
	if len(out) > 60_000 {
		t.Errorf("got %d bytes, want at most 60,000", len(out))
	}
	for _, want := range []string{"🟥 critical", "left out for want of room", "The table leaves out", "Warning: ", "suppressed</summary>", "known from the baseline</summary>"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Count(out, "<details>") != strings.Count(out, "</details>") {
		t.Error("a fold is not closed")
	}
	o := options()
	o.MarkdownLimit = -1
	if all := write(t, "markdown", r, o); bytes.Contains(all, []byte("for want of room")) || len(all) < 200_000 {
		t.Errorf("without a limit there are %d bytes and something is left out", len(all))
	}
}

// TestTableWidth wraps the table to widths that terminals have.
func TestTableWidth(t *testing.T) {
	for _, width := range []int{40, 60, 80, 100, 140} {
		o := options()
		o.Width = width
		for line := range strings.Lines(string(write(t, "table", shop(), o))) {
			if strings.HasPrefix(line, "  control ") || strings.Contains(line, "passed  ") || strings.Contains(line, "failed  ") || strings.Contains(line, "not evaluated  ") || strings.HasPrefix(line, strings.Repeat(" ", 44)) {
				continue // the table of controls keeps its columns
			}
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				t.Errorf("width %d: a line of %d: %q", width, n, line)
			}
		}
	}
}

// TestColorOnlyWhenAsked wants no escape character without Color, and the same
// text with it.
func TestColorOnlyWhenAsked(t *testing.T) {
	o := options()
	bare := string(write(t, "table", shop(), o))
	o.Color = true
	color := string(write(t, "table", shop(), o))
	if strings.Contains(bare, "\x1b") || !strings.Contains(color, "\x1b[1;31mCRITICAL\x1b[0m") {
		t.Error("colours do not follow Options.Color")
	}
	if stripped := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(color, ""); stripped != bare {
		t.Error("colours change the text")
	}
}

// TestNeverSaysPassed wants no word of success where something is missing.
func TestNeverSaysPassed(t *testing.T) {
	for _, format := range []string{"table", "markdown", "html"} {
		if out := string(write(t, format, partial(), report.Options{})); !strings.Contains(out, "this is not a pass") {
			t.Errorf("%s of a partial report does not say that it is no pass", format)
		}
		if out := string(write(t, format, &seawall.Report{}, report.Options{})); !strings.Contains(out, "Nothing was examined") {
			t.Errorf("%s of an empty report does not say that nothing was examined", format)
		}
		if out := string(write(t, format, nothingFound(), report.Options{})); !strings.Contains(out, "Examined 4 of 5 objects") {
			t.Errorf("%s of a clean report does not say what was examined", format)
		}
	}
}

// FuzzFormats puts any string everywhere and wants whole documents.
func FuzzFormats(f *testing.F) {
	for _, s := range []string{"", "a", "\x1b[0m", "\u0085", "\ufeff", "\U000e0001", "\ufffe", "no", "- a: [b", "\xff", "`", "``` `", "|", "</details>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := hostile(s)
		o := options()
		o.Source = func(string, int) (string, bool) { return s, true }
		o.Doc = func(string) (string, string) { return s, s }
		for _, format := range report.Formats() {
			out := write(t, format, r, o)
			for _, r := range string(out) {
				if r < ' ' && r != '\n' && (r != '\t' || format != "html") {
					t.Fatalf("%s holds %U", format, r)
				}
			}
			switch format {
			case "openreports", "policyreport":
				documents(t, out)
			case "junit":
				if err := xml.Unmarshal(out, new(struct{})); err != nil {
					t.Fatal(err)
				}
			case "json", "sarif":
				if !json.Valid(out) {
					t.Fatalf("%s is not JSON", format)
				}
			}
		}
	})
}
