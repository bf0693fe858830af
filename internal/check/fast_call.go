package check

import (
	"regexp"
	"strings"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"

	"seawall.io/seawall/internal/document"
)

func (c *fastCompiler) member(name string, receiver celast.Expr, args []celast.Expr) fastFunc {
	if c.isOptional(receiver) {
		switch {
		case name == "orValue" && len(args) == 1:
			return fastOrValue(c.expr(receiver), c.plain(args[0]))
		case name == "hasValue" && len(args) == 0:
			return fastHasValue(c.expr(receiver))
		}
		return c.unknown()
	}
	operand := c.expr(receiver)
	switch {
	case name == "size" && len(args) == 0:
		return fastSize(operand)
	case name == "distinct" && len(args) == 0:
		return fastDistinct(operand)
	case name == "matches" && len(args) == 1:
		return c.matches(operand, args[0])
	}
	if f := stringFuncs1[name]; f != nil && len(args) == 1 {
		arg := c.plain(args[0])
		return func(t *target) fastValue {
			v, a := operand(t), arg(t)
			if v.kind != fastString || a.kind != fastString {
				return fastValue{}
			}
			return f(v.s, a.s)
		}
	}
	if f := stringFuncs0[name]; f != nil && len(args) == 0 {
		return func(t *target) fastValue {
			v := operand(t)
			if v.kind != fastString {
				return fastValue{}
			}
			return fastValue{kind: fastString, s: f(v.s)}
		}
	}
	if name == "replace" && len(args) == 2 {
		return fastReplace(operand, c.plain(args[0]), c.plain(args[1]))
	}
	return c.unknown()
}

var stringFuncs1 = map[string]func(s, arg string) fastValue{
	"startsWith": func(s, arg string) fastValue { return fastTruth(strings.HasPrefix(s, arg)) },
	"endsWith":   func(s, arg string) fastValue { return fastTruth(strings.HasSuffix(s, arg)) },
	"contains":   func(s, arg string) fastValue { return fastTruth(strings.Contains(s, arg)) },
	"split":      fastSplit,
}

var stringFuncs0 = map[string]func(s string) string{
	"lowerAscii": func(s string) string { return mapASCII(s, 'A', 'Z') },
	"upperAscii": func(s string) string { return mapASCII(s, 'a', 'z') },
}

// mapASCII changes the case of the letters from first to last, which in ASCII
// is one bit, and leaves all else alone.
func mapASCII(s string, first, last byte) string {
	const caseBit = 'a' ^ 'A'
	for i := range len(s) {
		if s[i] >= first && s[i] <= last {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if b[j] >= first && b[j] <= last {
					b[j] ^= caseBit
				}
			}
			return string(b)
		}
	}
	return s
}

func fastSplit(s, sep string) fastValue {
	if sep == "" || len(s) > maxFastMade {
		return fastValue{}
	}
	parts := strings.Split(s, sep)
	items := make([]*document.Node, len(parts))
	for i, p := range parts {
		items[i] = document.NewString(document.Pos{}, p)
	}
	return fastList(items)
}

func fastReplace(operand, from, to fastFunc) fastFunc {
	return func(t *target) fastValue {
		v, a, b := operand(t), from(t), to(t)
		if v.kind != fastString || a.kind != fastString || b.kind != fastString || a.s == "" {
			return fastValue{}
		}
		if len(v.s)*(1+len(b.s)) > maxFastMade {
			return fastValue{}
		}
		return fastText(strings.ReplaceAll(v.s, a.s, b.s))
	}
}

func fastOrValue(operand, fallback fastFunc) fastFunc {
	return func(t *target) fastValue {
		if v := operand(t); v.kind != fastNone {
			return v
		}
		return fallback(t)
	}
}

func fastHasValue(operand fastFunc) fastFunc {
	return func(t *target) fastValue {
		v := operand(t)
		if v.kind == notSure {
			return v
		}
		return fastTruth(v.kind != fastNone)
	}
}

func (c *fastCompiler) matches(operand fastFunc, pattern celast.Expr) fastFunc {
	if pattern.Kind() != celast.LiteralKind {
		return c.unknown()
	}
	text, ok := pattern.AsLiteral().(types.String)
	if !ok {
		return c.unknown()
	}
	re, err := regexp.Compile(string(text))
	if err != nil {
		return c.unknown()
	}
	return func(t *target) fastValue {
		v := operand(t)
		if v.kind != fastString {
			return fastValue{}
		}
		return fastTruth(re.MatchString(v.s))
	}
}
