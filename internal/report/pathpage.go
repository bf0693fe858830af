package report

import (
	"bufio"
	_ "embed" // the page
	"html/template"
	"strings"

	"seawall.io/seawall"
)

//go:embed paths.tmpl
var pathTemplate string

// pathPage is what paths.tmpl shows.
type pathPage struct {
	CSP, Verdict string
	Style        template.CSS
	Report       *seawall.Paths
	Drawing      template.HTML
}

// pathFuncs are the functions of the templates that show paths.
func pathFuncs() template.FuncMap {
	return template.FuncMap{
		"chance":   chance,
		"onpath":   pathWords,
		"evidence": func(e seawall.PathEvidence) string { return evidencePlace(&e) },
		"pathend":  func(p seawall.Path) string { return clean(pathEnd(&p)) },
		"joincuts": joinCuts,
		"cuthead":  func(c seawall.PathCut) string { return cutHead(&c) },
		"covers": func(list []seawall.PathCover) string {
			names := make([]string, len(list))
			for i := range list {
				names[i] = list[i].From.Name
			}
			return few(names, maxWords)
		},
		"attack": func(technique string) string {
			return "https://attack.mitre.org/techniques/" + strings.ReplaceAll(technique, ".", "/") + "/"
		},
	}
}

// pathDrawing is the drawing for a page, which has the style for it.
func pathDrawing(paths []seawall.Path, total int) template.HTML {
	if len(paths) == 0 {
		return ""
	}
	var b strings.Builder
	s := &sink{bufio.NewWriter(&b)}
	drawPaths(s, paths, total, false)
	_ = s.Flush()                    // of a strings.Builder
	return template.HTML(b.String()) //nolint:gosec // drawPaths escapes what it is given
}

// writePathPage writes one file that needs nothing else, as writeHTML does, and no
// script either.
func writePathPage(w *sink, r *seawall.Paths) error {
	t, err := newTemplates().Parse(pathTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, &pathPage{
		CSP:     "default-src 'none'; style-src '" + digest(htmlStyle) + "'; base-uri 'none'; form-action 'none'",
		Verdict: pathVerdict(r), Report: r,
		Style:   template.CSS(htmlStyle), //nolint:gosec // a constant of this package
		Drawing: pathDrawing(r.Paths, r.Total),
	})
}
