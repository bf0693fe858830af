package document

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// FromValue turns what encoding/json or Kubernetes' unstructured package would
// decode into a Node without positions, with the keys of maps in order. Other
// Go values take the way through encoding/json; what JSON cannot hold is null.
func FromValue(v any) *Node {
	switch v := v.(type) {
	case nil:
		return NewNull(Pos{})
	case *Node:
		return v
	case bool:
		return NewBool(Pos{}, v)
	case int:
		return NewInt(Pos{}, int64(v))
	case int32:
		return NewInt(Pos{}, int64(v))
	case int64:
		return NewInt(Pos{}, v)
	case float64:
		return NewFloat(Pos{}, v)
	case string:
		return NewString(Pos{}, v)
	case []any:
		items := make([]*Node, len(v))
		for i := range v {
			items[i] = FromValue(v[i])
		}
		return NewList(Pos{}, items)
	case map[string]any:
		return fromMap(v)
	}
	return fromOther(v)
}

func fromMap(m map[string]any) *Node {
	fields := make([]Field, 0, len(m))
	for k, v := range m {
		fields = append(fields, Field{Key: k, Value: FromValue(v)})
	}
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Key, b.Key) })
	return NewMap(Pos{}, fields)
}

func fromOther(v any) *Node {
	text, err := json.Marshal(v)
	if err != nil {
		return NewNull(Pos{})
	}
	n, err := ParseJSON(text, Limits{Bytes: math.MaxInt64, Nodes: math.MaxInt})
	if err != nil {
		return NewNull(Pos{})
	}
	clearPositions(n)
	return n
}

func clearPositions(n *Node) {
	n.Pos = Pos{}
	for _, item := range n.List() {
		clearPositions(item)
	}
	fields := n.Map()
	for i := range fields {
		fields[i].Pos = Pos{}
		clearPositions(fields[i].Value)
	}
}

// AppendJSON appends the value as compact JSON, with keys in the order of the
// text. An absent value is null.
func (n *Node) AppendJSON(dst []byte) []byte {
	switch n.Kind() {
	case Bool:
		b, _ := n.Bool()
		return strconv.AppendBool(dst, b)
	case Int:
		i, _ := n.Int()
		return strconv.AppendInt(dst, i, 10)
	case Float:
		f, _ := n.Float()
		return appendFloat(dst, f)
	case String:
		return appendString(dst, n.Str())
	case List:
		return n.appendItems(dst)
	case Map:
		return n.appendFields(dst)
	case Null:
	}
	return append(dst, "null"...)
}

func (n *Node) appendItems(dst []byte) []byte {
	dst = append(dst, '[')
	for i, item := range n.List() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = item.AppendJSON(dst)
	}
	return append(dst, ']')
}

func (n *Node) appendFields(dst []byte) []byte {
	dst = append(dst, '{')
	for i, f := range n.Map() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, f.Key)
		dst = append(dst, ':')
		dst = f.Value.AppendJSON(dst)
	}
	return append(dst, '}')
}

// appendFloat writes a float as encoding/json does, and null for what JSON
// cannot hold.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return append(dst, "null"...)
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, c)
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendEscape writes a byte that cannot stand in a JSON string for itself.
func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if c >= utf8.RuneSelf {
		return append(dst, `\ufffd`...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
