package cli

import (
	"encoding/json"
	"fmt"
	"os"

	"seawall.io/seawall/internal/scan"
)

// baseline is the findings of an earlier report: the check of each, by ID.
type baseline map[string]string

// readBaseline reads a JSON report. No name is no baseline.
func readBaseline(name string) (baseline, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // a nil baseline knows nothing
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the baseline: %w: write one with `seawall scan TARGET -o json=%s`", err, name)
	}
	var r struct {
		Findings *[]struct {
			ID    string `json:"id"`
			Check string `json:"check"`
		} `json:"findings"`
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("baseline %s is no JSON report: %w: write one with `seawall scan TARGET -o json=%s`", name, err, name)
	}
	if r.Findings == nil {
		return nil, fmt.Errorf("baseline %s is no report of `seawall scan -o json`: it has no findings", name)
	}
	b := make(baseline, len(*r.Findings))
	for _, f := range *r.Findings {
		b[f.ID] = f.Check
	}
	return b, nil
}

// mark marks the findings that the baseline holds, and warns when it holds some
// that are gone. Those of checks that did not run may well be there still.
func (b baseline) mark(r *scan.Result, name string) {
	if b == nil {
		return
	}
	here := make(map[string]bool, len(r.Findings))
	for i := range r.Findings {
		f := r.Findings[i]
		_, f.Known = b[f.ID]
		here[f.ID] = true
	}
	ran := make(map[string]bool, len(r.Checks))
	for _, id := range r.Checks {
		ran[id] = true
	}
	gone := 0
	for id, check := range b {
		if !here[id] && ran[check] {
			gone++
		}
	}
	if gone > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s: %d of its %d findings are gone: write the baseline anew so that they cannot come back unseen", name, gone, len(b)))
	}
}
