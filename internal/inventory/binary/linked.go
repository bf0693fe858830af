package binary

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Linked says whether a symbol of a package is among the functions of a module,
// as inventory.GoModule.Functions holds them. pkgPath is the import path and
// symbol is spelled as OSV's records for Go do: Dial for a function,
// Transport.dial for a method, whether its receiver is a pointer or not.
// Instances of generic functions, wrappers for method values, and functions
// within the function count as the function itself. An empty symbol asks for any
// function of the package.
func Linked(functions []string, pkgPath, symbol string) bool {
	pkg := escapePath(pkgPath) + "."
	if symbol == "" {
		at, _ := slices.BinarySearch(functions, pkg)
		return at < len(functions) && strings.HasPrefix(functions[at], pkg)
	}
	receiver, method, isMethod := strings.Cut(symbol, ".")
	if !isMethod {
		return linked(functions, pkg+symbol, "")
	}
	return linked(functions, pkg+"(*"+receiver, ")."+method) || linked(functions, pkg+receiver, "."+method)
}

// linked looks for start, then perhaps type arguments, then end.
func linked(functions []string, start, end string) bool {
	at, _ := slices.BinarySearch(functions, start)
	for _, f := range functions[at:] {
		rest, ok := strings.CutPrefix(f, start)
		if !ok {
			return false
		}
		if rest, ok = strings.CutPrefix(skipTypes(rest), end); ok && (rest == "" || inner([]byte(skipTypes(rest)))) {
			return true
		}
	}
	return false
}

// skipTypes takes the type arguments away that a name goes on with.
func skipTypes(s string) string {
	if !strings.HasPrefix(s, "[") {
		return s
	}
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				return s[i+1:]
			}
		}
	}
	return s
}

// within says whether a name is that of something inside of a function.
func within(name, function []byte) bool {
	return len(name) > len(function) && string(name[:len(function)]) == string(function) && inner(name[len(function):])
}

// inner says whether what follows a function's name is what the compiler adds
// for closures (.func1, .func1.2), for their wrappers (.gowrap1, .deferwrap2),
// for bodies of range loops (-range1), for method values (-fm) and for the parts
// of init (.0); or nothing.
func inner(rest []byte) bool {
	if len(rest) == 0 {
		return true
	}
	s := string(rest)
	for _, mark := range []string{".func", ".gowrap", ".deferwrap", "-range", ".", "·"} {
		if after, ok := strings.CutPrefix(s, mark); ok && after != "" && digit(after[0]) {
			return true
		}
	}
	return s == "-fm" || strings.HasPrefix(s, "-fm.")
}

// escapePath writes an import path as the linker does: dots after the last slash
// and bytes that are not printable ASCII become %xx.
func escapePath(path string) string {
	slash := strings.LastIndexByte(path, '/')
	plain := func(i int, c byte) bool {
		return c > ' ' && c < 0x7f && c != '%' && c != '"' && (c != '.' || i < slash)
	}
	for i := range len(path) {
		if plain(i, path[i]) {
			continue
		}
		var b strings.Builder
		for i := range len(path) {
			if c := path[i]; plain(i, c) {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02x", c)
			}
		}
		return b.String()
	}
	return path
}

// unescapePath is the reverse of escapePath.
func unescapePath(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if c, err := strconv.ParseUint(path[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}
