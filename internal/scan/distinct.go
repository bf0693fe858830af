package scan

import (
	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
)

// distinct drops findings that were reported before: two overlays of one base
// make the same object twice, and what is wrong with it stands in one place.
func (r *Result) distinct() {
	type place struct {
		id, file     string
		line, column int
		message      string
	}
	seen := map[place]bool{}
	kept := 0
	for i := range r.Findings {
		f, o := r.Findings[i], r.Objects[i]
		if rendered(o) {
			p := place{f.ID, f.Location.File, f.Location.Line, f.Location.Column, f.Message}
			if seen[p] {
				continue
			}
			seen[p] = true
		}
		r.Findings[kept], r.Objects[kept] = f, o
		kept++
	}
	r.cut(kept)
}

func rendered(o *cluster.Object) bool { return o.Place != nil && o.File != "" }

// drop takes out findings below a severity: a check across objects may judge
// one of its findings to be less than it says of itself.
func (r *Result) drop(below seawall.Severity) {
	kept := 0
	for i := range r.Findings {
		if r.Findings[i].Severity >= below {
			r.Findings[kept], r.Objects[kept] = r.Findings[i], r.Objects[i]
			kept++
		}
	}
	r.cut(kept)
}

// cut keeps the first n findings.
func (r *Result) cut(n int) {
	clear(r.Findings[n:])
	clear(r.Objects[n:])
	r.Findings, r.Objects = r.Findings[:n], r.Objects[:n]
}
