// Package report writes a [seawall.Report] for whoever reads it next: people at
// a terminal, in a browser or in a pull request, and the tools that understand
// JSON, SARIF, JUnit or the policy report objects of Kubernetes.
//
// It is for commands that have finished their work and hold the whole result.
// It evaluates nothing, drops nothing and reads no file of its own: what it
// shows beyond the report, such as the text of a source line, its caller gives
// it through [Options]. The same report and options give the same bytes, and
// no format lets control characters of an object's name reach a terminal.
package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"seawall.io/seawall"
)

// Options is what a format may use beyond the report itself. The zero value
// gives complete output in every format.
type Options struct {
	// Color lets the table use ANSI colours.
	Color bool
	// Width is the number of columns of the table; 0 means 100.
	Width int
	// Source returns the text of a line, counted from 1, of a file as
	// [seawall.Location] names it. Nil, or false, shows no text. It is called
	// once for each finding shown, in no particular order.
	Source func(file string, line int) (text string, ok bool)
	// Doc returns the long help of a check in Markdown: why it matters and how
	// to fix it. Nil, or empty strings, shows a finding's own words only.
	Doc func(check string) (why, fix string)
	// Dir is the absolute directory, with / between its parts, that relative
	// file names of the report count from. With it SARIF can write absolute
	// names below it as relative ones, which code scanning needs.
	Dir string
	// MarkdownLimit is how many bytes the Markdown may have. 0 means 60,000,
	// which fits a comment on a pull request; a negative number sets no limit.
	// Findings left out are counted in the text.
	MarkdownLimit int
	// Now is printed as the time of the report, and stamped on the objects of
	// openreports and policyreport. The zero time leaves it out.
	Now time.Time
}

// formats lists the names of the formats, the default first.
var formats = [...]string{"table", "json", "sarif", "junit", "markdown", "html", "openreports", "policyreport"}

// Formats returns the names that [Write] takes, the default first.
func Formats() []string { return append([]string(nil), formats[:]...) }

// Write writes r to w in the format. It writes in pieces through a buffer of
// its own, so w needs none.
func Write(w io.Writer, format string, r *seawall.Report, o Options) error {
	write := writerOf(format)
	if write == nil {
		return fmt.Errorf("unknown output format %q: use %s", format, strings.Join(formats[:], ", "))
	}
	out := &sink{bufio.NewWriterSize(w, 64<<10)}
	if err := write(out, r, &o); err != nil {
		return fmt.Errorf("writing the %s report: %w", format, err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the %s report: %w", format, err)
	}
	return nil
}

// sink is what the formats write to. An error of the writer below it sticks
// until Write flushes, so the methods here return none.
type sink struct{ *bufio.Writer }

func (s *sink) str(text string) { _, _ = s.WriteString(text) }

func (s *sink) raw(b []byte) { _, _ = s.Write(b) }

func (s *sink) printf(format string, args ...any) { _, _ = fmt.Fprintf(s.Writer, format, args...) }

// writerOf returns the function that writes a format, or nil.
func writerOf(format string) func(*sink, *seawall.Report, *Options) error {
	switch format {
	case "table":
		return writeTable
	case "json":
		return writeJSON
	case "sarif":
		return writeSARIF
	case "junit":
		return writeJUnit
	case "markdown":
		return writeMarkdown
	case "html":
		return writeHTML
	case "openreports":
		return writeOpenReports
	case "policyreport":
		return writePolicyReports
	default:
		return nil
	}
}

// source returns the line that a location names, without the spaces around it.
func (o *Options) source(l seawall.Location) string {
	if o.Source == nil || l.File == "" || l.Line <= 0 {
		return ""
	}
	text, ok := o.Source(l.File, l.Line)
	if !ok {
		return ""
	}
	return strings.TrimSpace(text)
}

// doc returns the long help of a check.
func (o *Options) doc(check string) (why, fix string) {
	if o.Doc == nil {
		return "", ""
	}
	why, fix = o.Doc(check)
	return strings.TrimSpace(why), strings.TrimSpace(fix)
}
