package helm

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestMarkRunes(t *testing.T) {
	for _, n := range []int{0, 1, perPlane - 1, perPlane, maxMarks - 1} {
		r := markRune(n)
		if got := markNumber(r); got != n || !utf8.ValidRune(r) {
			t.Errorf("mark %d became %U and then %d", n, r, got)
		}
	}
	for _, r := range []rune{'a', '\uE000', plane16 + perPlane, utf8.MaxRune} {
		if got := markNumber(r); got != -1 {
			t.Errorf("%U is mark %d, want none", r, got)
		}
	}
}

func TestAlign(t *testing.T) {
	tests := []struct {
		name, template, rendered string
		want                     []int
	}{
		{"same", "a: 1\nb: 2", "a: 1\nb: 2", []int{1, 2}},
		{"values", "a: {{ .x }}\nb: {{ .y }}", "a: 7\nb: 8", []int{1, 2}},
		{"dropped", "a: 1\n{{ if .x }}\nc: 1\n{{ end }}\nb: 2", "a: 1\nb: 2", []int{1, 5}},
		{"block", "a:\n  {{ toYaml .x }}\nb: 2", "a:\n  c: 1\n  d: 2\nb: 2", []int{1, 2, 2, 3}},
		{"empty", "", "", []int{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, align(tt.template, tt.rendered)); diff != "" {
				t.Errorf("lines (-want +got)\n%s", diff)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("a: 1\n  b: \"x\"\n")
	f.Add("\n\n \t-\r\n\U000F0000")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsFunc(s, func(r rune) bool { return markNumber(r) >= 0 }) {
			return // the text has characters that marks are made of
		}
		r := newRecorder(nil)
		marked := r.weave(s, func(at int) mark { return mark{offset: at} })
		if got := stripMarks(marked); utf8.ValidString(s) && got != s {
			t.Fatalf("stripped to %q, want %q", got, s)
		}
		d := decode(marked, r.marks)
		if d.text != s {
			t.Fatalf("decoded to %q, want %q", d.text, s)
		}
		lines := strings.Split(s, "\n")
		for _, p := range d.points {
			line := lines[p.line-1]
			lead := len(line) - len(strings.TrimLeft(line, " \t\r"))
			if int(p.column) != lead+1 {
				t.Fatalf("mark at column %d of %q, want %d", p.column, line, lead+1)
			}
		}
	})
}

func FuzzAlign(f *testing.F) {
	f.Add("a: {{ .x }}\n", "a: 1\n")
	f.Fuzz(func(t *testing.T, template, rendered string) {
		if len(template) > 2000 || len(rendered) > 2000 {
			return // long texts only take time
		}
		last := strings.Count(template, "\n") + 1
		lines := align(template, rendered)
		if len(lines) != strings.Count(rendered, "\n")+1 {
			t.Fatalf("got %d lines for %q", len(lines), rendered)
		}
		for _, line := range lines {
			if line < 0 || line > last {
				t.Fatalf("line %d of %d", line, last)
			}
		}
	})
}

// FuzzTemplate renders any text as a template and asks for the place and the
// value of all that it writes.
func FuzzTemplate(f *testing.F) {
	f.Add("apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Values.image.tag | quote }}}\n")
	f.Add("{{ range $i, $e := .Values.sidecars }}{{ with $e }}{{ $x := .name }}{{ $x = .image }}kind: {{ $x }}\napiVersion: v1\n{{ end }}{{ end }}")
	f.Add("{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ template \"a\" (dict \"x\" .Values.image) }}")
	f.Add("apiVersion: v1\nkind: {{ (index .Values.sidecars 0).name | default \"X\" }}\nspec: {{- toYaml (merge .Values.image .Values.env) | nindent 2 }}\n")
	f.Add("{{ tpl .Values.extra . }}{{ dig \"a\" \"b\" .Values.env }}{{ block \"b\" .Values }}{{ .replicas }}{{ end }}")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1000 {
			return // long templates only take time
		}
		dir := t.TempDir()
		write(t, dir, map[string]string{
			"Chart.yaml":       "apiVersion: v2\nname: f\nversion: 0.1.0\n",
			"values.yaml":      "image: {tag: x}\nsidecars: [{name: a, image: b}]\nenv: {A: 1}\nreplicas: 1\nextra: '{{ .Values.replicas }}'\n",
			"templates/t.yaml": text,
		})
		res, err := Render(t.Context(), dir, Options{OutputBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range res.Objects {
			walkFields(o.Root, "", func(path string) {
				if loc := o.Locate(path); loc.File == "" || loc.Line < 0 {
					t.Fatalf("no place for %s of %q: %+v", path, text, loc)
				}
			})
			o.Locate("spec.containers[0].securityContext.runAsUser")
		}
	})
}
