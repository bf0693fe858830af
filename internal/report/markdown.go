package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"seawall.io/seawall"
)

const (
	// defaultMarkdown leaves room below the 65,536 characters that a comment
	// on GitHub may have.
	defaultMarkdown = 60_000
	// maxNotes bounds the lists beside the findings, so that a thousand broken
	// inputs leave room for the findings.
	maxNotes = 30
	// maxCell bounds the bytes of a cell of the table; the details have all.
	maxCell = 120
	// maxName bounds the bytes of names and facts in the lists beside the findings.
	maxName = 500
)

// paper collects Markdown up to a number of bytes.
type paper struct {
	strings.Builder
	limit int // < 0: none
}

// add writes a piece whole or, where there is no room for it, not at all.
func (p *paper) add(piece string) bool {
	if p.limit >= 0 && p.Len()+len(piece) > p.limit {
		return false
	}
	p.WriteString(piece)
	return true
}

// room is how many bytes are left, < 0 where there is no limit.
func (p *paper) room() int {
	if p.limit < 0 {
		return -1
	}
	return max(0, p.limit-p.Len())
}

// writeMarkdown writes a comment for a pull request: the verdict, what could
// not be evaluated, a table of what was found, worst first, and the details
// folded away.
func writeMarkdown(w *sink, r *seawall.Report, o *Options) error {
	p := &paper{limit: o.MarkdownLimit}
	if p.limit == 0 {
		p.limit = defaultMarkdown
	}
	parts := split(r.Findings)
	gs := groups(parts.standing)
	sum := newTally(r)
	p.add("## Seawall\n\n**" + markdownText(sum.verdict()) + "** " + markdownText(sum.ledger()) + "\n")
	if !o.Now.IsZero() {
		p.add("\n" + o.Now.UTC().Format("2006-01-02 15:04:05 UTC") + "\n")
	}
	p.add(markdownIncomplete(r.Coverage.Incomplete))
	tail := markdownTail(r, &parts, tailLimit(p.limit))
	if p.limit >= 0 {
		p.limit = max(0, p.limit-len(tail)-300) // room for the tail and the note of what is left out
	}
	rows := markdownTable(p, gs)
	shown := 0
	for _, g := range gs {
		if !p.add(markdownGroup(g, r, o, p.room())) {
			break
		}
		shown++
	}
	if missing := markdownMissing(gs, rows, shown); missing != "" {
		p.WriteString(missing)
	}
	p.WriteString(tail)
	w.str(p.String())
	return nil
}

// markdownMissing counts what found no room, or returns nothing.
func markdownMissing(gs []*group, rows, shown int) string {
	total, folded := 0, 0
	for i, g := range gs {
		total += len(g.rows())
		if i >= shown {
			folded += len(g.findings)
		}
	}
	var b strings.Builder
	if rows < total {
		fmt.Fprintf(&b, "\n_The table leaves out %s for want of room._\n", number(total-rows, "less severe row"))
	}
	if folded > 0 {
		fmt.Fprintf(&b, "\n_The details of %s in %s are left out for want of room; another output format has them all._\n",
			number(folded, "finding"), number(len(gs)-shown, "object"))
	}
	return b.String()
}

func markdownIncomplete(list []seawall.Incomplete) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n> **Incomplete (%d).** What is listed here could not be read or evaluated: it has neither passed nor failed.\n", len(list))
	for i := range list {
		if i == maxNotes {
			fmt.Fprintf(&b, "> - and %d more\n", len(list)-i)
			break
		}
		b.WriteString("> - ")
		if where := incompleteWhere(&list[i]); where != "" {
			b.WriteString(markdownCode(where) + ": ")
		}
		b.WriteString(markdownText(list[i].Reason) + "\n")
	}
	return b.String()
}

// markdownTable writes one row for each check of each workload and returns how
// many found room.
func markdownTable(p *paper, gs []*group) int {
	if len(gs) == 0 || !p.add("\n| Severity | Check | Object | Finding |\n| --- | --- | --- | --- |\n") {
		return 0
	}
	// The table may take half of the room; the details want the rest.
	table := &paper{limit: p.limit}
	if p.limit >= 0 {
		table.limit = max(0, p.limit-p.Len()) / 2
	}
	rows := 0
	defer func() { p.WriteString(table.String()) }()
	for s := seawall.Critical + 1; s > seawall.None; s-- {
		for _, g := range gs {
			for _, row := range g.rows() {
				if row.severity != s-1 {
					continue
				}
				if !table.add(row.markdown(g)) {
					return rows
				}
				rows++
			}
		}
	}
	return rows
}

// overview is a row of the table that a comment starts with: one check of one
// workload, or all known vulnerabilities of one image.
type overview struct {
	severity    seawall.Severity
	check, what string
}

// rows are the group's part of that table.
func (g *group) rows() []overview {
	out := make([]overview, 0, len(g.Issues)+1)
	if len(g.Flaws) > 0 {
		c := flawCounts(g.Flaws)
		f := &g.Flaws[0]
		what := markdownText(flawWords(g.Flaws)) + "; first " + cell(markdownLink(f.ID, f.Link())) + " in " + cell(markdownCode(truncate(f.Package, maxCell)))
		out = append(out, overview{c.worst(), f.Check, what})
	}
	for i := range g.Issues {
		is := &g.Issues[i]
		what := markdownText(truncate(is.Cases[0].Message, maxCell))
		if n := len(is.findings); n > 1 {
			what += fmt.Sprintf(" _and %d more_", n-1)
		}
		if is.Path != nil {
			what += " **" + markdownText(truncate(pathWords(is.Path), maxCell)) + "**"
		}
		out = append(out, overview{is.Severity, is.Check, what})
	}
	return out
}

func (row *overview) markdown(g *group) string {
	return fmt.Sprintf("| %s | %s | %s | %s |\n", severityBadge(row.severity), cell(markdownCode(row.check)),
		cell(markdownCode(truncate(g.title(), maxCell))), row.what)
}

// severityBadge adds a shape to the word, so that the column can be scanned.
func severityBadge(s seawall.Severity) string {
	switch s {
	case seawall.Critical:
		return "🟥 critical"
	case seawall.High:
		return "🟧 high"
	case seawall.Medium:
		return "🟨 medium"
	case seawall.Low:
		return "🟦 low"
	default:
		return "⬜ none"
	}
}

// markdownGroup writes the details of a group. Where room is short, < 0 being no
// limit, it is the vulnerabilities that are cut: a single image may have hundreds.
func markdownGroup(g *group, r *seawall.Report, o *Options, room int) string {
	const end = "\n</details>\n"
	p := &paper{limit: -1}
	title := g.title()
	if file := g.FileName(); file != "" {
		title += " in " + file
	}
	fmt.Fprintf(&p.Builder, "\n<details><summary>%s: %s</summary>\n", markdownHTML(title), g.Counts.Words())
	if image := imageOf(r, g); image != nil {
		fmt.Fprintf(&p.Builder, "\n%s\n", markdownText(imageFacts(image)))
	}
	for i := range g.Issues {
		markdownIssue(&p.Builder, &g.Issues[i], o)
	}
	if room >= 0 {
		p.limit = max(0, room-len(end)-maxFlawNote)
	}
	markdownUpgrades(p, upgrades(g.Flaws))
	markdownFlaws(p, g.Flaws)
	return p.String() + end
}

// markdownUpgrades lists what to update where several vulnerabilities go at once.
func markdownUpgrades(p *paper, list []upgrade) {
	var b strings.Builder
	for i := range list {
		if i == maxNotes {
			fmt.Fprintf(&b, "- and %d more\n", len(list)-i)
			break
		}
		u := &list[i]
		if u.Removes.total() > 1 {
			fmt.Fprintf(&b, "- %s removes %s\n", markdownCode(truncate(u.String(), maxName)), u.Removes.Words())
		}
	}
	if b.Len() > 0 {
		p.add("\nUpdates that remove several:\n\n" + b.String())
	}
}

// maxFlawNote is room for the words on rows that were left out.
const maxFlawNote = 200

// markdownFlaws writes a table of vulnerabilities, as many rows as there is room
// for.
func markdownFlaws(p *paper, list []flaw) {
	if len(list) == 0 {
		return
	}
	head := p.add("\n" + markdownText(flawWords(list)) + "\n\n| Severity | ID | Package | Installed | Fixed | Notes |\n| --- | --- | --- | --- | --- | --- |\n")
	for i := range list {
		if head && p.add(markdownFlaw(&list[i])) {
			continue
		}
		rest := flawCounts(list[i:])
		fmt.Fprintf(&p.Builder, "\n_%s left out for want of room: %s._\n", number(rest.total(), "vulnerability"), rest.Words())
		return
	}
}

func markdownFlaw(f *flaw) string {
	notes := f.Notes()
	if f.Unrated() {
		notes = append(notes, "unrated")
	}
	if parts := f.Parts(); len(parts) > 0 {
		notes = append(notes, "in "+few(parts, 3))
	}
	for i := range notes {
		notes[i] = markdownText(truncate(notes[i], maxProperty))
	}
	for _, where := range f.Where() {
		notes = append(notes, cell(markdownCode(where)))
	}
	fix := markdownText(f.Fix())
	if f.Fixed != "" {
		fix = cell(markdownCode(f.Fixed))
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", severityBadge(f.Severity), cell(markdownLink(f.ID, f.Link())),
		cell(markdownCode(f.Package)), cell(markdownCode(f.Installed)), fix, strings.Join(notes, "; "))
}

// markdownLink shows an ID as a link where it has a page.
func markdownLink(id, target string) string {
	if target == "" {
		return markdownCode(id)
	}
	return "[" + id + "](" + target + ")" // an ID with a page holds nothing but letters, digits and -._:
}

func markdownIssue(b *strings.Builder, is *issue, o *Options) {
	fmt.Fprintf(b, "\n**%s** %s %s\n\n", is.Severity, markdownCode(is.Check), markdownText(is.Title))
	for i := range is.Cases {
		c := &is.Cases[i]
		fmt.Fprintf(b, "- %s\n", markdownText(c.Message))
		for _, f := range c.Findings {
			markdownPlace(b, f, o)
		}
	}
	for _, fix := range is.Fixes {
		fmt.Fprintf(b, "\nFix: %s\n", markdownText(fix))
	}
	if len(is.Refs) > 0 {
		refs := make([]string, len(is.Refs))
		for i, ref := range is.Refs {
			refs[i] = markdownCode(ref)
		}
		fmt.Fprintf(b, "\nReferences: %s\n", strings.Join(refs, ", "))
	}
}

func markdownPlace(b *strings.Builder, f *seawall.Finding, o *Options) {
	where := placeName(f)
	if where == "" {
		return
	}
	fmt.Fprintf(b, "  - %s", markdownCode(where))
	if source := o.source(f.Location); source != "" {
		b.WriteString(": " + markdownCode(source))
	}
	if value := chartValue(&f.Location); value != "" {
		b.WriteString(", " + markdownText(value))
	}
	b.WriteByte('\n')
}

// markdownTail is what follows the findings. The lists of findings that do not
// count are the part of it that can grow, so they have a limit.
func markdownTail(r *seawall.Report, parts *sorted, limit int) string {
	var b strings.Builder
	markdownPlain(&b, "known from the baseline", parts.known, limit)
	markdownPlain(&b, "suppressed", parts.suppressed, limit)
	markdownUnjudged(&b, unjudged(r.Coverage.NotEvaluated))
	if c := &r.Coverage; len(c.Unexamined) > 0 {
		fmt.Fprintf(&b, "\nNo check applies to: %s.\n", markdownText(truncate(kindList(c.Unexamined, fullKind), 2000)))
	}
	for i := range r.Frameworks {
		f := &r.Frameworks[i]
		passed, failed, unknown := statusCounts(f)
		fmt.Fprintf(&b, "\n%s, controls: %d passed, %d failed, %d not evaluated.\n", markdownText(f.Title), passed, failed, unknown)
	}
	markdownBasis(&b, &r.Coverage)
	notes := slices.Concat(r.Warnings, databaseWarnings(r.Coverage.Database))
	for i, warning := range notes {
		if i == maxNotes {
			fmt.Fprintf(&b, "\nAnd %d more warnings.\n", len(notes)-i)
			break
		}
		fmt.Fprintf(&b, "\nWarning: %s\n", markdownText(warning))
	}
	return b.String()
}

// markdownBasis says which images were read, and which database knows of flaws.
func markdownBasis(b *strings.Builder, c *seawall.Coverage) {
	if len(c.Images) > 0 {
		fmt.Fprintf(b, "\n<details><summary>%s scanned</summary>\n\n", number(len(c.Images), "image"))
		for i := range c.Images {
			if i == maxNotes {
				fmt.Fprintf(b, "- and %d more\n", len(c.Images)-i)
				break
			}
			image := &c.Images[i]
			fmt.Fprintf(b, "- %s: %s", markdownCode(truncate(image.Name, maxName)), markdownText(truncate(imageFacts(image), maxName)))
			if image.Digest != "" {
				b.WriteString(", " + markdownCode(truncate(image.Digest, maxCell)))
			}
			if words := ruledOut(image); words != "" {
				b.WriteString("; " + words)
			}
			b.WriteByte('\n')
		}
		b.WriteString("\n</details>\n")
	}
	if c.Database != nil {
		fmt.Fprintf(b, "\nVulnerability database %s.\n", markdownText(truncate(databaseFacts(c.Database), maxName)))
	}
}

func markdownUnjudged(b *strings.Builder, lacks []lack) {
	if len(lacks) == 0 {
		return
	}
	fmt.Fprintf(b, "\n<details><summary>%s not evaluated</summary>\n\n", number(len(lacks), "check"))
	for i := range lacks {
		if i == maxNotes {
			fmt.Fprintf(b, "- and %d more\n", len(lacks)-i)
			break
		}
		fmt.Fprintf(b, "- %s: %s\n", markdownCode(lacks[i].Check), markdownText(lacks[i].Reason))
	}
	b.WriteString("\n</details>\n")
}

func markdownPlain(b *strings.Builder, what string, list []*seawall.Finding, limit int) {
	if len(list) == 0 {
		return
	}
	p := &paper{limit: limit}
	fmt.Fprintf(b, "\n<details><summary>%s %s</summary>\n\n", number(len(list), "finding"), what)
	for i, f := range byObject(list) {
		name := plainName(f)
		line := fmt.Sprintf("- %s %s %s", f.Severity, markdownCode(f.Check), markdownCode(name))
		if f.Suppressed != nil {
			line += ": " + markdownText(suppressedWhy(f.Suppressed))
		}
		if !p.add(line + "\n") {
			fmt.Fprintf(&p.Builder, "- and %d more\n", len(list)-i)
			break
		}
	}
	b.WriteString(p.String() + "\n</details>\n")
}

// tailLimit gives a quarter of the room to each list of findings that do not
// count.
func tailLimit(limit int) int {
	if limit < 0 {
		return limit
	}
	return limit / 4
}

// zeroWidth parts what GitHub would otherwise turn into a link or a mention.
const zeroWidth = "&#8203;"

// markdownText shows s as it is: nothing in it is markup, a mention, a
// reference to an issue or a link.
func markdownText(s string) string {
	s = clean(s)
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '@' || r == '#':
			b.WriteString(string(r) + zeroWidth)
		case r == ':' && strings.HasPrefix(s[i:], "://"), r == '.' && i >= 3 && strings.EqualFold(s[i-3:i], "www"),
			r == '-' && strings.HasSuffix(s[:i], "GH"):
			b.WriteString(zeroWidth + string(r))
		case strings.ContainsRune("\\`*_{}[]>~|!", r), i == 0 && strings.ContainsRune("+-=", r):
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// markdownCode shows s as code, in as many backquotes as it needs.
func markdownCode(s string) string {
	s = strings.TrimSpace(clean(s))
	if s == "" {
		return ""
	}
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
		} else {
			run = 0
		}
		longest = max(longest, run)
	}
	if longest == 0 {
		return "`" + s + "`"
	}
	fence := strings.Repeat("`", longest+1)
	return fence + " " + s + " " + fence
}

// cell keeps a bar in code from ending a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// markdownHTML shows s inside an HTML element.
func markdownHTML(s string) string {
	return strings.NewReplacer(
		"&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;",
		"@", "@"+zeroWidth, "#", "#"+zeroWidth, "://", ":"+zeroWidth+"//", "GH-", "GH"+zeroWidth+"-",
	).Replace(clean(s))
}

func itoa(n int) string { return strconv.Itoa(n) }
