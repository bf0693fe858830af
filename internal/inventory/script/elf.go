package script

import (
	"bytes"
	elffile "debug/elf"
	"slices"
	"strings"
)

// calls are the functions whose names among an ELF file's symbols matter.
//
//nolint:gochecknoglobals // a constant table
var calls = []string{"popen", "system", "iconv_open"}

// goExec is the function by which Go programs start others, as the table of
// functions of a Go binary names it.
const goExec = "os/exec.(*Cmd).Start"

// elf reads the strings of an ELF file that are absolute paths.
func elf(body []byte, n *needs) {
	imports(body, n)
	if bytes.Contains(body, []byte(goExec)) {
		n.add(Unknown, "os/exec starts a program")
	}
	for rest := body; ; {
		i := bytes.Index(rest, []byte("\x00/"))
		if i < 0 {
			return
		}
		rest = rest[i+1:]
		end := 0
		for end < len(rest) && end < maxName && pathByte(rest[end]) {
			end++
		}
		if end < len(rest) && rest[end] == 0 {
			n.mention(string(rest[:end]))
		}
	}
}

// imports looks for the functions among those that a file takes from others.
func imports(body []byte, n *needs) {
	named := false
	for _, c := range calls {
		named = named || bytes.Contains(body, []byte("\x00"+c+"\x00"))
	}
	if !named {
		return // reading the symbols takes much longer
	}
	f, err := elffile.NewFile(bytes.NewReader(body))
	if err != nil {
		return
	}
	symbols, err := f.ImportedSymbols()
	if err != nil {
		return // no dynamic symbols: a static program
	}
	for _, s := range symbols {
		if slices.Contains(calls, s.Name) {
			n.add(Calls, s.Name)
		}
	}
}

func pathByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("/._-+@:", c) >= 0
}

// settings reads absolute paths in a text. Lines that begin with # are comments.
func settings(body []byte, n *needs) {
	if len(body) > maxText || bytes.IndexByte(body, 0) >= 0 {
		return
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); bytes.HasPrefix(line, []byte("#")) {
			continue
		}
		for _, word := range bytes.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\"'=,;()<>[]{}|:", r) }) {
			n.mention(string(word))
		}
	}
}
