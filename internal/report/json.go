package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"seawall.io/seawall"
)

// writeJSON writes the document of the contract, one finding a line. The bytes
// within the lines are those of encoding/json without HTML escaping; they are
// appended by hand because a large report would otherwise spend more time in
// reflection than its checks took. Lists that the contract promises are [],
// never null.
func writeJSON(w *sink, r *seawall.Report, _ *Options) error {
	b := make([]byte, 0, 16<<10)
	b = append(b, `{"version":`...)
	b = appendString(b, r.Version)
	b = append(b, `,"targets":`...)
	b = appendStrings(b, r.Targets)
	b = append(b, ",\n\"findings\":["...)
	var err error
	for i := range r.Findings {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '\n')
		if b, err = appendFinding(b, r.Findings[i]); err != nil {
			return err
		}
		if len(b) > 12<<10 {
			w.raw(b)
			b = b[:0]
		}
	}
	b = append(b, "],\n\"coverage\":"...)
	b = appendCoverage(b, &r.Coverage)
	if len(r.Frameworks) > 0 {
		b = append(b, ",\n\"frameworks\":["...)
		for i := range r.Frameworks {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '\n')
			b = appendFramework(b, &r.Frameworks[i])
		}
		b = append(b, ']')
	}
	if r.AttackPaths != nil {
		b = appendStruct(append(b, ",\n\"attackPaths\":"...), r.AttackPaths)
	}
	if len(r.Warnings) > 0 {
		b = append(b, ",\n\"warnings\":"...)
		b = appendStrings(b, r.Warnings)
	}
	b = append(b, ",\n\"summary\":"...)
	b = appendSummary(b, &r.Summary)
	b = append(b, "}\n"...)
	w.raw(b)
	return nil
}

func appendFinding(b []byte, f *seawall.Finding) ([]byte, error) {
	b = append(b, `{"id":`...)
	b = appendString(b, f.ID)
	b = append(b, `,"check":`...)
	b = appendString(b, f.Check)
	b = append(b, `,"title":`...)
	b = appendString(b, f.Title)
	b = append(b, `,"severity":`...)
	b = appendString(b, f.Severity.String())
	b = appendField(b, `,"phase":`, string(f.Phase))
	b = appendField(b, `,"layer":`, string(f.Layer))
	b = append(b, `,"subject":`...)
	b = appendSubject(b, &f.Subject)
	b = append(b, `,"location":`...)
	b = appendLocation(b, &f.Location)
	b = append(b, `,"message":`...)
	b = appendString(b, f.Message)
	b = appendField(b, `,"remediation":`, f.Remediation)
	if len(f.Fix) > 0 {
		b = append(b, `,"fix":`...)
		var err error
		if b, err = appendFix(b, f.Fix); err != nil {
			return b, fmt.Errorf("fix of finding %s: %w", f.ID, err)
		}
	}
	if len(f.Refs) > 0 {
		b = append(b, `,"refs":`...)
		b = appendStrings(b, f.Refs)
	}
	if s := f.Suppressed; s != nil {
		b = append(b, `,"suppressed":{"reason":`...)
		b = appendString(b, s.Reason)
		b = appendField(b, `,"expires":`, s.Expires)
		b = append(b, `,"by":`...)
		b = appendString(b, s.By)
		b = append(b, '}')
	}
	if f.Known {
		b = append(b, `,"known":true`...)
	}
	if f.Vulnerability != nil {
		b = appendStruct(append(b, `,"vulnerability":`...), f.Vulnerability)
	}
	if f.AttackPath != nil {
		b = appendStruct(append(b, `,"attackPath":`...), f.AttackPath)
	}
	return append(b, '}'), nil
}

// appendStruct appends what encoding/json makes of a struct of plain values,
// without HTML escaping.
func appendStruct(b []byte, v any) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return append(b, "null"...)
	}
	return append(b, bytes.TrimRight(buf.Bytes(), "\n")...)
}

func appendSubject(b []byte, s *seawall.Subject) []byte {
	open := len(b)
	b = appendField(b, `,"cluster":`, s.Cluster)
	b = appendField(b, `,"kind":`, s.Kind)
	b = appendField(b, `,"apiVersion":`, s.APIVersion)
	b = appendField(b, `,"namespace":`, s.Namespace)
	b = appendField(b, `,"name":`, s.Name)
	b = appendField(b, `,"container":`, s.Container)
	b = appendField(b, `,"image":`, s.Image)
	return closeObject(b, open)
}

func appendLocation(b []byte, l *seawall.Location) []byte {
	open := len(b)
	b = appendField(b, `,"file":`, l.File)
	if l.Line != 0 {
		b = append(b, `,"line":`...)
		b = strconv.AppendInt(b, int64(l.Line), 10)
	}
	if l.Column != 0 {
		b = append(b, `,"column":`...)
		b = strconv.AppendInt(b, int64(l.Column), 10)
	}
	b = appendField(b, `,"path":`, l.Path)
	if v := l.Value; v != nil {
		b = append(b, `,"value":{"path":`...)
		b = appendString(b, v.Path)
		b = appendField(b, `,"file":`, v.File)
		if v.Line != 0 {
			b = append(b, `,"line":`...)
			b = strconv.AppendInt(b, int64(v.Line), 10)
		}
		b = append(b, '}')
	}
	return closeObject(b, open)
}

// closeObject ends an object whose fields, each with a comma before it, start
// at open: the first comma becomes the brace.
func closeObject(b []byte, open int) []byte {
	if len(b) == open {
		return append(b, "{}"...)
	}
	b[open] = '{'
	return append(b, '}')
}

func appendFix(b []byte, ops []seawall.PatchOp) ([]byte, error) {
	b = append(b, '[')
	for i := range ops {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"op":`...)
		b = appendString(b, ops[i].Op)
		b = append(b, `,"path":`...)
		b = appendString(b, ops[i].Path)
		if ops[i].Value != nil {
			b = append(b, `,"value":`...)
			var err error
			if b, err = appendValue(b, ops[i].Value); err != nil {
				return b, err
			}
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}

// appendValue appends what encoding/json would decode into any, and leaves any
// other type to encoding/json.
func appendValue(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		return appendFloat(b, v)
	case string:
		return appendString(b, v), nil
	case []any:
		return appendList(b, v)
	case map[string]any:
		return appendMap(b, v)
	default:
		return appendAny(b, v)
	}
}

func appendList(b []byte, list []any) ([]byte, error) {
	if list == nil {
		return append(b, "null"...), nil
	}
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func appendMap(b []byte, m map[string]any) ([]byte, error) {
	if m == nil {
		return append(b, "null"...), nil
	}
	b = append(b, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k)
		b = append(b, ':')
		var err error
		if b, err = appendValue(b, m[k]); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func appendAny(b []byte, v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return b, err
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...), nil
}

// appendFloat follows encoding/json, which follows ECMAScript.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return b, fmt.Errorf("JSON has no number for %v", f)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, f, format, -1, 64)
	if n := len(b); format == 'e' && n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b[n-2] = b[n-1] // e-09 becomes e-9
		b = b[:n-1]
	}
	return b, nil
}

func appendCoverage(b []byte, c *seawall.Coverage) []byte {
	b = append(b, `{"documents":`...)
	b = strconv.AppendInt(b, int64(c.Documents), 10)
	b = append(b, `,"objects":`...)
	b = strconv.AppendInt(b, int64(c.Objects), 10)
	if c.WithoutNamespace > 0 {
		b = append(b, `,"withoutNamespace":`...)
		b = strconv.AppendInt(b, int64(c.WithoutNamespace), 10)
	}
	b = appendCounts(b, `,"evaluated":`, c.Evaluated)
	b = appendCounts(b, `,"unexamined":`, c.Unexamined)
	b = appendIncomplete(b, `,"incomplete":[`, c.Incomplete)
	b = appendIncomplete(b, `,"notEvaluated":[`, c.NotEvaluated)
	if len(c.Skipped) > 0 {
		b = append(b, `,"skipped":[`...)
		for i := range c.Skipped {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"file":`...)
			b = appendString(b, c.Skipped[i].File)
			b = append(b, `,"reason":`...)
			b = appendString(b, c.Skipped[i].Reason)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	if len(c.Images) > 0 {
		b = appendStruct(append(b, `,"images":`...), c.Images)
	}
	if c.Database != nil {
		b = appendStruct(append(b, `,"database":`...), c.Database)
	}
	return append(b, '}')
}

func appendIncomplete(b []byte, name string, list []seawall.Incomplete) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, name...)
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"location":`...)
		b = appendLocation(b, &list[i].Location)
		b = appendField(b, `,"check":`, list[i].Check)
		b = append(b, `,"reason":`...)
		b = appendString(b, list[i].Reason)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendCounts(b []byte, name string, counts map[string]int) []byte {
	if len(counts) == 0 {
		return b
	}
	b = append(b, name...)
	b = append(b, '{')
	for i, k := range slices.Sorted(maps.Keys(counts)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k)
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(counts[k]), 10)
	}
	return append(b, '}')
}

func appendFramework(b []byte, f *seawall.Framework) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, f.ID)
	b = append(b, `,"title":`...)
	b = appendString(b, f.Title)
	b = append(b, `,"controls":[`...)
	for i := range f.Controls {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendControl(b, &f.Controls[i])
	}
	return append(b, "]}"...)
}

func appendControl(b []byte, c *seawall.Control) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, c.ID)
	b = append(b, `,"title":`...)
	b = appendString(b, c.Title)
	if len(c.Checks) > 0 {
		b = append(b, `,"checks":`...)
		b = appendStrings(b, c.Checks)
	}
	b = append(b, `,"passed":`...)
	b = strconv.AppendInt(b, int64(c.Passed), 10)
	b = append(b, `,"failed":`...)
	b = strconv.AppendInt(b, int64(c.Failed), 10)
	b = append(b, `,"notEvaluated":`...)
	b = strconv.AppendInt(b, int64(c.NotEvaluated), 10)
	b = append(b, `,"status":`...)
	b = appendString(b, c.Status)
	b = appendField(b, `,"reason":`, c.Reason)
	return append(b, '}')
}

func appendSummary(b []byte, s *seawall.Summary) []byte {
	b = append(b, `{"critical":`...)
	b = strconv.AppendInt(b, int64(s.Critical), 10)
	b = append(b, `,"high":`...)
	b = strconv.AppendInt(b, int64(s.High), 10)
	b = append(b, `,"medium":`...)
	b = strconv.AppendInt(b, int64(s.Medium), 10)
	b = append(b, `,"low":`...)
	b = strconv.AppendInt(b, int64(s.Low), 10)
	b = append(b, `,"suppressed":`...)
	b = strconv.AppendInt(b, int64(s.Suppressed), 10)
	return append(b, '}')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendField appends a name, given with its comma, quotes and colon, and a
// string, or nothing where the string is empty.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	return appendString(b, value)
}

// appendString appends s as a JSON string. Runs of plain bytes are copied
// whole; invalid UTF-8 becomes \ufffd, and U+2028 and U+2029 are escaped
// because JavaScript once took them for line ends.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if i+8 <= len(s) && plain8(s[i:i+8]) {
			i += 8
			continue
		}
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			b = appendEscape(b, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, s[start:i]...)
			b = append(b, `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029':
			b = append(b, s[start:i]...)
			b = append(b, `\u202`...)
			b = append(b, hexDigits[r&0xF])
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	default:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xF])
	}
}

// plain8 reports whether eight bytes are ASCII that needs no escape. It looks
// at them as one word: a byte below a bound borrows into its top bit when the
// bound is subtracted, and a byte equal to a value is zero after xor.
func plain8(s string) bool {
	const (
		ones = 0x0101010101010101
		tops = 0x8080808080808080
	)
	_ = s[7]
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	control := x - ones*' '
	quote := (x ^ ones*'"') - ones
	slash := (x ^ ones*'\\') - ones
	return (x|control|quote|slash)&tops == 0
}
