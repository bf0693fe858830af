package report

import (
	"fmt"
	"strings"

	"seawall.io/seawall"
)

const (
	// maxFlaws is how many vulnerabilities of one image or file the table shows
	// on lines of their own. Those are the most urgent; the rest is counted.
	maxFlaws = 50
	// maxIDs is how many vulnerabilities one paragraph names.
	maxIDs = 40
	// minRows is from how many rows on the updates are listed, maxUpgrades how many.
	minRows     = 10
	maxUpgrades = 10
	// minNotes is the narrowest column of notes; with less room the notes stand
	// below their row.
	minNotes = 20
	// maxVersion is how wide a column of versions may grow.
	maxVersion = 24
	// flawIndent is where the columns begin: after the severity.
	flawIndent = 2 + sevColumns + 1
	// minPackage is how far a package's name is shortened to keep the columns.
	minPackage = 12
	// listedElsewhere says where to look for what the table counts only.
	listedElsewhere = "-o json, markdown or html lists them all"
)

// flaws prints the known vulnerabilities of a group: a table of those that call
// for an act, and a paragraph for each severity of those that no update removes.
func (t *sheet) flaws(list []flaw) {
	if len(list) == 0 {
		return
	}
	var urgent, open []flaw
	for i := range list {
		if list[i].Urgent() {
			urgent = append(urgent, list[i])
		} else {
			open = append(open, list[i])
		}
	}
	t.text(2, bold, flawWords(list))
	shown := urgent
	if len(shown) > maxFlaws+1 { // never fold a single one
		shown = shown[:maxFlaws]
	}
	t.flawTable(shown)
	if rest := urgent[len(shown):]; len(rest) > 0 {
		c := flawCounts(rest)
		t.text(2, faint, fmt.Sprintf("and %d more: %s; %s", c.total(), c.Words(), listedElsewhere))
	}
	t.upgrades(urgent)
	t.openFlaws(open)
}

// upgrades prints which updates remove how many, where there are so many rows that
// the packages they are about are not seen at a glance.
func (t *sheet) upgrades(list []flaw) {
	todo := upgrades(list)
	if len(list) < minRows || len(todo) == len(list) {
		return
	}
	t.text(2, bold, fmt.Sprintf("%s to do", number(len(todo), "update")))
	shown := todo
	if len(shown) > maxUpgrades+1 {
		shown = shown[:maxUpgrades]
	}
	for i := range shown {
		t.hanging(4, 6, "", shown[i].String()+" removes "+shown[i].Removes.Words())
	}
	if rest := todo[len(shown):]; len(rest) > 0 {
		names := make([]string, len(rest))
		for i := range rest {
			names[i] = rest[i].Package
		}
		t.hanging(4, 6, faint, fmt.Sprintf("and %d more: %s", len(rest), few(names, maxIDs)))
	}
}

// flawRow is one row of the table, clean.
type flawRow struct {
	severity                      seawall.Severity
	id, pkg, installed, fix, note string
}

// flawColumns are the widths of the columns of one table.
type flawColumns struct{ id, pkg, installed, fix, note int }

// measure gives each column what it needs. A version longer than maxVersion is
// left to a line of its own, and so is every version where the columns do not fit
// the width at all: versions are there to be copied and are never shortened.
func measure(rows []flawRow, width int) flawColumns {
	c := flawColumns{id: len("ID"), pkg: len("PACKAGE"), installed: len("INSTALLED"), fix: len("FIXED")}
	for i := range rows {
		r := &rows[i]
		c.id, c.pkg = max(c.id, columns(r.id)), max(c.pkg, columns(r.pkg))
		if n := columns(r.installed); n <= maxVersion {
			c.installed = max(c.installed, n)
		}
		if n := columns(r.fix); n <= maxVersion {
			c.fix = max(c.fix, n)
		}
	}
	room := width - flawIndent - c.id - 2 - 2 - c.installed - 2 - c.fix
	switch wish := room - 2 - minNotes; {
	case c.pkg <= wish:
	case wish >= 2*minPackage:
		c.pkg = wish // a long name gives way before the notes do
	default:
		c.pkg = max(min(c.pkg, room), 0)
	}
	if c.note = room - c.pkg - 2; c.note < minNotes {
		c.note = 0
	}
	return c
}

// flawTable prints rows in columns.
func (t *sheet) flawTable(list []flaw) {
	if len(list) == 0 {
		return
	}
	rows := make([]flawRow, len(list))
	for i := range list {
		f := &list[i]
		rows[i] = flawRow{f.Severity, clean(f.ID), clean(f.Package), clean(f.Installed), f.Fix(), tableNotes(f)}
	}
	c := measure(rows, t.width)
	stacked := c.pkg < minPackage && c.pkg < len("PACKAGE")
	if !stacked {
		head := fmt.Sprintf("  %s %s  %s  %s  FIXED", pad("SEVERITY", sevColumns), pad("ID", c.id), pad("PACKAGE", c.pkg), pad("INSTALLED", c.installed))
		if c.note > 0 {
			head += strings.Repeat(" ", max(0, c.fix-len("FIXED"))) + "  NOTES"
		}
		t.w.str(t.paint(faint, head) + "\n")
	}
	for i := range rows {
		r := &rows[i]
		t.w.printf("  %s ", t.paint(severityStyle(r.severity), pad(strings.ToUpper(r.severity.String()), sevColumns)))
		switch {
		case stacked:
			t.w.str(fit(r.id, t.width-flawIndent) + "\n")
			t.text(flawIndent, "", r.pkg+" "+r.installed+", fixed: "+r.fix)
			t.flawNotes(r.note)
		case columns(r.installed) > c.installed || columns(r.fix) > c.fix:
			t.w.printf("%s  %s\n", pad(r.id, c.id), fit(r.pkg, t.width-flawIndent-c.id-2))
			t.text(flawIndent, "", r.installed+", fixed: "+r.fix)
			t.flawNotes(r.note)
		default:
			t.flawRow(r, &c)
		}
	}
}

// flawRow prints a row that fits the columns.
func (t *sheet) flawRow(r *flawRow, c *flawColumns) {
	t.w.printf("%s  %s  %s  ", pad(r.id, c.id), pad(middle(r.pkg, c.pkg), c.pkg), pad(r.installed, c.installed))
	if r.note == "" || c.note == 0 {
		t.w.str(r.fix + "\n")
		t.flawNotes(r.note)
		return
	}
	t.w.str(pad(r.fix, c.fix) + "  ")
	words := strings.Fields(r.note)
	for i := range words {
		words[i] = middle(words[i], c.note) // paths of files
	}
	for i, line := range wrap(strings.Join(words, " "), c.note) {
		if i > 0 {
			t.w.str(strings.Repeat(" ", t.width-c.note))
		}
		t.w.str(t.paint(faint, line) + "\n")
	}
}

// flawNotes prints notes that have no column.
func (t *sheet) flawNotes(note string) {
	if note != "" {
		t.text(flawIndent, faint, note)
	}
}

// tableNotes joins what the table has room for.
func tableNotes(f *flaw) string {
	notes := f.brief()
	if parts := f.Parts(); len(parts) > 0 {
		notes = append(notes, "in "+few(parts, 2))
	}
	if where := f.Where(); len(where) > 0 {
		notes = append(notes, few(where, 2))
	}
	return strings.Join(notes, "; ")
}

// openFlaws prints the vulnerabilities that no update removes, those of one
// package together.
func (t *sheet) openFlaws(list []flaw) {
	if len(list) == 0 {
		return
	}
	c := flawCounts(list)
	refused := 0
	for i := range list {
		if list[i].Status == "wont-fix" {
			refused += len(list[i].Places)
		}
	}
	words := fmt.Sprintf("Without a fix (%d)", c.total())
	if refused > 0 {
		words += fmt.Sprintf(", %d of which will not be fixed", refused)
	}
	t.text(2, bold, words)
	for s := seawall.Critical + 1; s > seawall.None; s-- {
		var of []flaw
		for i := range list {
			if list[i].Severity == s-1 {
				of = append(of, list[i])
			}
		}
		if len(of) == 0 {
			continue
		}
		word := strings.ToUpper((s - 1).String())
		t.w.printf("  %s ", t.paint(severityStyle(s-1), pad(word, sevColumns)))
		t.hanging(0, flawIndent, "", fmt.Sprintf("(%d) %s", c[s-1], flawIDs(of)))
	}
}

// flawIDs names flaws by package: zlib: CVE-1, CVE-2; perl: CVE-3.
func flawIDs(list []flaw) string {
	var packages []string
	ids := map[string][]string{}
	for i := range list {
		f := &list[i]
		if i == maxIDs && len(list) > maxIDs+1 {
			break
		}
		name := clean(f.Package)
		if _, ok := ids[name]; !ok {
			packages = append(packages, name)
		}
		id := clean(f.ID)
		if alarms := f.alarms(briefSymbols(f.Symbols)); len(alarms) > 0 {
			id += " (" + strings.Join(alarms, ", ") + ")"
		}
		ids[name] = append(ids[name], id)
	}
	parts := make([]string, len(packages))
	for i, name := range packages {
		parts[i] = name + ": " + strings.Join(ids[name], ", ")
	}
	text := strings.Join(parts, "; ")
	if len(list) > maxIDs+1 {
		text += fmt.Sprintf("; and %d more (%s)", len(list)-maxIDs, listedElsewhere)
	}
	return text
}

// plainFlaws lists vulnerabilities that do not count, those of one image or
// file that somebody accepted for one reason together.
func (t *sheet) plainFlaws(findings []*seawall.Finding) {
	type key struct {
		subject string
		why     string
	}
	var order []key
	by := map[key][]*seawall.Finding{}
	for _, f := range findings {
		k := key{subject: subjectName(&f.Subject)}
		switch {
		case f.Suppressed == nil:
		case f.Suppressed.By == "evidence": // as many reasons as there are packages that are not linked in
			k.why = "ruled out by evidence; -o json, markdown or html says by which"
		default:
			k.why = suppressedWhy(f.Suppressed)
		}
		if _, ok := by[k]; !ok {
			order = append(order, k)
		}
		by[k] = append(by[k], f)
	}
	for _, k := range order {
		list := flaws(by[k])
		c := flawCounts(list)
		t.hanging(2, 4, "", fmt.Sprintf("%s: %s: %s", k.subject, number(c.total(), "vulnerability"), c.Words()))
		t.text(4, "", flawIDs(list))
		if k.why != "" {
			t.text(4, faint, k.why)
		}
	}
}
