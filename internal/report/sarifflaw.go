package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/vuln"
)

// maxHelpRows is how many packages the help of one vulnerability names; each has
// a result of its own anyway.
const maxHelpRows = 50

// sarifFlawRule describes one vulnerability. The findings are all that have it.
func sarifFlawRule(id string, worst seawall.Severity, findings []*seawall.Finding, refs []string) sarifRule {
	list := flaws(findings)
	packages, cwes := []string(nil), []string(nil)
	score := 0.0
	for i := range list {
		f := &list[i]
		if !slices.Contains(packages, f.Package) {
			packages = append(packages, f.Package)
		}
		score = max(score, f.CVSS)
		for _, cwe := range f.CWEs {
			cwes = append(cwes, cweTag(cwe))
		}
	}
	slices.Sort(packages)
	name := clean(id)
	title := name + " in " + few(packages, 3)
	link := advisoryLink(id)
	return sarifRule{
		ID: id, Name: pascal(findings[0].Check), HelpURI: link,
		ShortDescription:     sarifText{Text: title},
		FullDescription:      sarifText{Text: truncate(strings.Join(append([]string{title}, list[0].Notes()...), "; "), 1000)},
		Help:                 sarifFlawHelp(name, link, list),
		DefaultConfiguration: sarifLevel{levelOf(worst)},
		Properties:           sarifRuleProps{SecuritySeverity: flawSeverity(worst, score), Tags: sarifTags([]string{"vulnerability"}, cwes, refs)},
	}
}

// cweTag writes CWE-79 as code scanning groups it: external/cwe/cwe-079.
func cweTag(cwe string) string {
	n, err := strconv.Atoi(strings.TrimPrefix(cwe, "CWE-"))
	if err != nil || n < 0 {
		return cwe
	}
	return fmt.Sprintf("external/cwe/cwe-%03d", n)
}

// flawSeverity gives the CVSS score where it says the same word as the severity.
// A distribution may rate a flaw in its build lower than the score does, and that
// is what GitHub is to show.
func flawSeverity(s seawall.Severity, score float64) string {
	if vuln.Rating(score) != s {
		return securitySeverity(s)
	}
	return strconv.FormatFloat(score, 'f', 1, 64)
}

// sarifFlawHelp tells which packages to update to which version.
func sarifFlawHelp(name, link string, list []flaw) sarifText {
	var text, markdown strings.Builder
	text.WriteString(name + "\n")
	markdown.WriteString("# " + markdownLink(name, link) + "\n\n| Package | Installed | Fixed | Notes |\n| --- | --- | --- | --- |\n")
	for i := range list {
		if i == maxHelpRows {
			more := fmt.Sprintf("\nand %d more\n", len(list)-i)
			text.WriteString(more)
			markdown.WriteString(more)
			break
		}
		f := &list[i]
		notes := strings.Join(f.Notes(), "; ")
		text.WriteString(sarifPlain(f.Package + " " + f.Installed + ", fixed: " + f.Fix()))
		if notes != "" {
			text.WriteString("; " + sarifPlain(notes))
		}
		text.WriteByte('\n')
		fmt.Fprintf(&markdown, "| %s | %s | %s | %s |\n", cell(markdownCode(f.Package)), cell(markdownCode(f.Installed)),
			cell(markdownCode(f.Fix())), markdownText(notes))
	}
	if link != "" {
		text.WriteString(link + "\n")
	}
	for _, l := range list[0].More() {
		if l.Target != "" {
			fmt.Fprintf(&text, "%s: %s\n", l.Name, l.Target)
			fmt.Fprintf(&markdown, "\n[%s](%s)\n", l.Name, l.Target)
		}
	}
	return sarifText{Text: text.String(), Markdown: markdown.String()}
}
