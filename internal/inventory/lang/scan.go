package lang

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// scan reads a few fields of one JSON object. It is for files that are read by
// the thousand: it keeps nothing, allocates only what is asked for, and checks
// no more than it needs to find the ends of values.
type scan struct {
	b []byte
	i int
}

var (
	errCut       = errors.New("the text ends too early")
	errNotObject = errors.New("not a JSON object")
)

// object calls field for each entry of the object that begins at the current
// place. The key has its escapes left in. field has to read or skip the value.
func (s *scan) object(field func(key []byte) error) error {
	if s.space() != '{' {
		return errNotObject
	}
	s.i++
	if s.space() == '}' {
		s.i++
		return nil
	}
	for {
		if s.space() != '"' {
			return s.unexpected("a key")
		}
		key, err := s.raw()
		if err != nil {
			return err
		}
		if s.space() != ':' {
			return s.unexpected("a colon")
		}
		s.i++
		if err := field(key); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return s.unexpected("a comma or the end of the object")
		}
	}
}

// list calls item for each item of the list at the current place.
func (s *scan) list(item func() error) error {
	s.i++
	if s.space() == ']' {
		s.i++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return s.unexpected("a comma or the end of the list")
		}
	}
}

// str reads a string, and skips any other value and returns "" for it.
func (s *scan) str() (string, error) {
	if s.space() != '"' {
		return "", s.skip()
	}
	start := s.i
	raw, err := s.raw()
	if err != nil {
		return "", err
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), nil
	}
	var out string
	if err := json.Unmarshal(s.b[start:s.i], &out); err != nil {
		return "", fmt.Errorf("string at byte %d: %w", start, err)
	}
	return out, nil
}

// skip passes over one value.
func (s *scan) skip() error {
	switch s.space() {
	case '"':
		_, err := s.raw()
		return err
	case '{', '[':
		return s.nested()
	case 0:
		return errCut
	}
	start := s.i
	for s.i < len(s.b) && !ends[s.b[s.i]] {
		s.i++
	}
	if s.i == start {
		return s.unexpected("a value")
	}
	return nil
}

// nested passes over an object or list, however deep it is.
func (s *scan) nested() error {
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if _, err := s.raw(); err != nil {
				return err
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				s.i++
				return nil
			}
		}
		s.i++
	}
	return errCut
}

// raw returns the inside of the string at the current place.
func (s *scan) raw() ([]byte, error) {
	start := s.i + 1
	for from := start; ; {
		n := bytes.IndexByte(s.b[from:], '"')
		if n < 0 {
			return nil, errCut
		}
		quote := from + n
		escapes := 0
		for escapes < n && s.b[quote-1-escapes] == '\\' {
			escapes++
		}
		from = quote + 1
		if escapes%2 == 0 {
			s.i = from
			return s.b[start:quote], nil
		}
	}
}

// space passes over white space and returns the byte after it, 0 at the end.
func (s *scan) space() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

func (s *scan) unexpected(wanted string) error {
	if s.i >= len(s.b) {
		return errCut
	}
	return fmt.Errorf("line %d: expected %s", 1+bytes.Count(s.b[:s.i], []byte{'\n'}), wanted)
}

// ends are the bytes that end a number or a literal.
//
//nolint:gochecknoglobals // a table
var ends = [256]bool{' ': true, '\t': true, '\n': true, '\r': true, ',': true, '}': true, ']': true, '{': true, '[': true, '"': true, ':': true}
