package ospkg

import (
	"bytes"
	"fmt"
)

// control reads paragraphs of fields as dpkg writes them (deb822(5)). Values are
// views of the text.
type control struct {
	rest []byte
	line int // of the next line, from 1
	// name holds the last field's name, in lower case.
	name [64]byte
	// err is the first line that is no field; reading goes on after it.
	err error
}

// paragraph moves on to the next paragraph, and says whether there is one.
func (c *control) paragraph() bool {
	for len(c.rest) > 0 {
		line, size := c.peek()
		if len(bytes.TrimSpace(line)) > 0 {
			return true
		}
		c.skip(size)
	}
	return false
}

// field returns the next field of the paragraph, its name in lower case and its
// value with all lines that continue it. The name is nil at the paragraph's end.
func (c *control) field() (name, value []byte) {
	for len(c.rest) > 0 {
		line, size := c.peek()
		if len(bytes.TrimSpace(line)) == 0 {
			return nil, nil
		}
		text := c.rest
		c.skip(size)
		colon := bytes.IndexByte(line, ':')
		if line[0] == '#' {
			continue
		}
		if colon <= 0 || line[0] == ' ' || line[0] == '\t' {
			if c.err == nil {
				c.err = fmt.Errorf("line %d: neither a field nor the continuation of one", c.line-1)
			}
			continue
		}
		end := len(line)
		for len(c.rest) > 0 && (c.rest[0] == ' ' || c.rest[0] == '\t') {
			more, size := c.peek()
			if len(bytes.TrimSpace(more)) == 0 {
				break
			}
			end = len(text) - len(c.rest) + len(more)
			c.skip(size)
		}
		if colon > len(c.name) {
			continue // longer than any field that is asked for
		}
		for i, b := range line[:colon] {
			if 'A' <= b && b <= 'Z' {
				b += 'a' - 'A'
			}
			c.name[i] = b
		}
		return c.name[:colon], bytes.TrimSpace(text[colon+1 : end])
	}
	return nil, nil
}

// peek returns the next line and its size with what ends it.
func (c *control) peek() (line []byte, size int) {
	if i := bytes.IndexByte(c.rest, '\n'); i >= 0 {
		return c.rest[:i], i + 1
	}
	return c.rest, len(c.rest)
}

func (c *control) skip(size int) {
	c.rest = c.rest[size:]
	c.line++
}
