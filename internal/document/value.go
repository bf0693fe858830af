package document

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// FromValue turns what encoding/json or Kubernetes' unstructured package would
// decode into a Node without positions, with the keys of maps in order. Other
// Go values take the way through encoding/json; what JSON cannot hold is null.
func FromValue(v any) *Node {
	switch v := v.(type) {
	case nil:
		return &Node{}
	case *Node:
		return v
	case bool:
		return nodeOf(boolScalar(v))
	case int:
		return nodeOf(intScalar(int64(v)))
	case int32:
		return nodeOf(intScalar(int64(v)))
	case int64:
		return nodeOf(intScalar(v))
	case float64:
		return nodeOf(floatScalar(v))
	case string:
		return &Node{Kind: String, Text: v}
	case []any:
		n := &Node{Kind: List, Items: make([]*Node, len(v))}
		for i := range v {
			n.Items[i] = FromValue(v[i])
		}
		return n
	case map[string]any:
		return fromMap(v)
	}
	return fromOther(v)
}

func nodeOf(s scalar) *Node { return &Node{Kind: s.kind, Bits: s.bits} }

func fromMap(m map[string]any) *Node {
	n := &Node{Kind: Map, Fields: make([]Field, 0, len(m))}
	for k, v := range m {
		n.Fields = append(n.Fields, Field{Key: k, Value: FromValue(v)})
	}
	slices.SortFunc(n.Fields, func(a, b Field) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return n
}

func fromOther(v any) *Node {
	text, err := json.Marshal(v)
	if err != nil {
		return &Node{}
	}
	n, err := ParseJSON(text, Limits{Bytes: math.MaxInt64, Nodes: math.MaxInt})
	if err != nil {
		return &Node{}
	}
	clearPositions(n)
	return n
}

func clearPositions(n *Node) {
	n.Pos = Pos{}
	for _, item := range n.Items {
		clearPositions(item)
	}
	for i := range n.Fields {
		n.Fields[i].Pos = Pos{}
		clearPositions(n.Fields[i].Value)
	}
}

// AppendJSON appends the value as compact JSON, with keys in the order of the
// text. An absent value is null.
func (n *Node) AppendJSON(dst []byte) []byte {
	if n == nil {
		return append(dst, "null"...)
	}
	switch n.Kind {
	case Bool:
		return strconv.AppendBool(dst, n.Bits != 0)
	case Int:
		return strconv.AppendInt(dst, int64(n.Bits), 10) //nolint:gosec // two's complement by definition of Bits
	case Float:
		return appendFloat(dst, math.Float64frombits(n.Bits))
	case String:
		return appendString(dst, n.Text)
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
	for i, item := range n.Items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = item.AppendJSON(dst)
	}
	return append(dst, ']')
}

func (n *Node) appendFields(dst []byte) []byte {
	dst = append(dst, '{')
	for i := range n.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, n.Fields[i].Key)
		dst = append(dst, ':')
		dst = n.Fields[i].Value.AppendJSON(dst)
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
