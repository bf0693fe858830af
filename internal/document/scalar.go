package document

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// scalar is a value without children as YAML resolves it, before it becomes
// JSON.
type scalar struct {
	kind Kind
	// big marks an integer between 2^63 and 2^64, held as a Float.
	big bool
	// bits is as in Node.word.
	bits uint64
	text string
}

func boolScalar(b bool) scalar {
	if b {
		return scalar{kind: Bool, bits: 1}
	}
	return scalar{kind: Bool}
}

func intScalar(i int64) scalar {
	return scalar{kind: Int, bits: uint64(i)} //nolint:gosec // two's complement by definition of bits
}

func floatScalar(f float64) scalar {
	return scalar{kind: Float, bits: math.Float64bits(f)}
}

func (s scalar) float() float64 { return math.Float64frombits(s.bits) }

// asJSON turns a float that is a whole number into an Int: sigs.k8s.io/yaml
// turns YAML into JSON, and there 3.0 becomes 3.
func (s scalar) asJSON() scalar {
	f := s.float()
	if s.kind != Float || f != math.Trunc(f) || math.Abs(f) >= 1e21 {
		return s
	}
	// Beyond 2^53 the shortest digits, not the exact value, reach JSON.
	var buf [32]byte
	i, err := strconv.ParseInt(string(strconv.AppendFloat(buf[:0], f, 'f', -1, 64)), 10, 64)
	if err != nil {
		return s
	}
	return intScalar(i)
}

// finite is false for infinities and NaN, which JSON cannot hold.
func (s scalar) finite() bool {
	return s.kind != Float || !math.IsInf(s.float(), 0) && !math.IsNaN(s.float())
}

// resolvePlain gives an unquoted scalar its type by the rules of YAML 1.1 as
// go.yaml.in/yaml/v2 reads them.
func resolvePlain(in string) scalar {
	if in == "" {
		return scalar{kind: Null}
	}
	switch c := in[0]; {
	case c >= '0' && c <= '9', c == '-', c == '+', c == '.':
		return resolveNumber(in)
	default:
		return resolveWord(in)
	}
}

func resolveWord(in string) scalar {
	switch in {
	case "~", "null", "Null", "NULL":
		return scalar{kind: Null}
	case "true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
		return boolScalar(true)
	case "false", "False", "FALSE", "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return boolScalar(false)
	}
	return scalar{kind: String, text: in}
}

func resolveNumber(in string) scalar {
	switch in {
	case ".nan", ".NaN", ".NAN":
		return floatScalar(math.NaN())
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return floatScalar(math.Inf(1))
	case "-.inf", "-.Inf", "-.INF":
		return floatScalar(math.Inf(-1))
	}
	if in[0] == '.' {
		if f, err := strconv.ParseFloat(in, 64); err == nil {
			return floatScalar(f)
		}
		return scalar{kind: String, text: in}
	}
	if looksLikeDate(in) {
		return scalar{kind: String, text: in}
	}
	return resolveDigits(in)
}

// resolveDigits reads a number that begins with a digit or a sign.
func resolveDigits(in string) scalar {
	if !maybeNumber(in) {
		return scalar{kind: String, text: in}
	}
	plain := strings.ReplaceAll(in, "_", "")
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return intScalar(i)
	}
	if u, err := strconv.ParseUint(plain, 0, 64); err == nil {
		s := floatScalar(float64(u))
		s.big = true
		return s
	}
	if isFloat(plain) {
		if f, err := strconv.ParseFloat(plain, 64); err == nil {
			return floatScalar(f)
		}
	}
	// What remains is 0b with a sign inside, which the library takes.
	if digits, ok := strings.CutPrefix(plain, "0b"); ok {
		if i, err := strconv.ParseInt(digits, 2, 64); err == nil {
			return intScalar(i)
		}
	}
	return scalar{kind: String, text: in}
}

// maybeNumber is false for what cannot be a number, such as 100m and --flag:
// package strconv would allocate an error to say so.
func maybeNumber(in string) bool {
	digits := cutSign(in)
	if digits == "" || digits[0] != '.' && digits[0] != '_' && (digits[0] < '0' || digits[0] > '9') {
		return false
	}
	for i := range len(digits) {
		switch c := digits[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		case c == 'x', c == 'X', c == 'o', c == 'O', c == '_', c == '.', c == '-', c == '+':
		default:
			return false
		}
	}
	return true
}

// looksLikeDate says whether a scalar begins like 2006-: such a scalar is a
// timestamp, which Kubernetes reads as a string, or no number either.
func looksLikeDate(in string) bool {
	if len(in) < 5 || in[4] != '-' {
		return false
	}
	return len(cutDigits(in[:4])) == 0
}

// isFloat matches [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
func isFloat(s string) bool {
	s = cutSign(s)
	rest := cutDigits(s)
	whole := len(s) - len(rest)
	fraction := 0
	if after, ok := strings.CutPrefix(rest, "."); ok {
		rest = cutDigits(after)
		fraction = len(after) - len(rest)
	}
	if whole+fraction == 0 {
		return false
	}
	if rest == "" {
		return true
	}
	digits := cutSign(rest[1:])
	return (rest[0] == 'e' || rest[0] == 'E') && digits != "" && cutDigits(digits) == ""
}

func cutSign(s string) string {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		return s[1:]
	}
	return s
}

func cutDigits(s string) string {
	for s != "" && s[0] >= '0' && s[0] <= '9' {
		s = s[1:]
	}
	return s
}

// resolveTagged gives a scalar the type of its tag, such as !!int. Tags that
// YAML does not define leave a string.
func resolveTagged(tag, in string) (scalar, error) {
	str := scalar{kind: String, text: in}
	got := resolvePlain(in)
	switch tag {
	case "!!binary":
		data, err := base64.StdEncoding.DecodeString(in)
		if err != nil {
			return scalar{}, fmt.Errorf("the !!binary value is not base64: %w", err)
		}
		str.text = strings.ToValidUTF8(string(data), "\ufffd")
		return str, nil
	case "!!timestamp":
		if isTimestamp(in) {
			return str, nil
		}
	case "!!null":
		if got.kind == Null {
			return got, nil
		}
	case "!!bool":
		if got.kind == Bool {
			return got, nil
		}
	case "!!int":
		if got.kind == Int || got.big {
			return got, nil
		}
	case "!!float":
		if got.kind == Int {
			return floatScalar(float64(int64(got.bits))), nil //nolint:gosec // two's complement by definition of bits
		}
		if got.kind == Float && !got.big {
			return got, nil
		}
	default:
		return str, nil
	}
	return scalar{}, fmt.Errorf("cannot read %q as %s", in, tag)
}

// isTimestamp takes the forms of go.yaml.in/yaml/v2.
func isTimestamp(in string) bool {
	if !looksLikeDate(in) {
		return false
	}
	for _, form := range [...]string{
		"2006-1-2T15:4:5.999999999Z07:00",
		"2006-1-2t15:4:5.999999999Z07:00",
		"2006-1-2 15:4:5.999999999",
		"2006-1-2",
	} {
		if _, err := time.Parse(form, in); err == nil {
			return true
		}
	}
	return false
}

// keyText is the JSON form of a mapping key, as sigs.k8s.io/yaml writes it; ok
// is false for the keys that it refuses.
func keyText(s scalar) (text string, ok bool) {
	switch s.kind {
	case String:
		return s.text, true
	case Bool:
		return strconv.FormatBool(s.bits != 0), true
	case Int:
		return strconv.FormatInt(int64(s.bits), 10), true //nolint:gosec // two's complement by definition of bits
	case Float:
		return floatKey(s.float()), !s.big
	case Null, List, Map:
	}
	return "", false
}

func floatKey(f float64) string {
	switch text := strconv.FormatFloat(f, 'g', -1, 32); text {
	case "+Inf":
		return ".inf"
	case "-Inf":
		return "-.inf"
	case "NaN":
		return ".nan"
	default:
		return text
	}
}
