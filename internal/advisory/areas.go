package advisory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A section other than meta is made of a header, the checksums of the body's
// pages, and the body: its areas, one after the other. The header is the CRC-32C
// of the rest of the header and of the checksums, then the lengths of the areas.
const (
	areasHeader = 32
	pageSize    = 4096
	maxArea     = 1 << 29 // bytes of one area, so that a place fits 32 bits with room
)

var errTooBig = errors.New("more than one section can hold")

// part is the content of an area.
type part struct {
	io.ReaderAt

	size int64
}

type parts [areas]part

func inMemory(b []byte) part { return part{bytes.NewReader(b), int64(len(b))} }

func (p *parts) read() io.Reader {
	var all []io.Reader
	for _, part := range p {
		if part.ReaderAt != nil {
			all = append(all, io.NewSectionReader(part, 0, part.size))
		}
	}
	return io.MultiReader(all...)
}

// write writes the section. The body is read twice, first for its checksums.
func (p *parts) write(w io.Writer) error {
	header := make([]byte, areasHeader)
	for i, part := range p {
		if part.size > maxArea {
			return errTooBig
		}
		binary.LittleEndian.PutUint32(header[4+4*i:], uint32(part.size)) //nolint:gosec // at most maxArea
	}
	body := p.read()
	page := make([]byte, pageSize)
	for {
		n, err := io.ReadFull(body, page)
		if n > 0 {
			header = binary.LittleEndian.AppendUint32(header, crc32.Checksum(page[:n], castagnoli))
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return fmt.Errorf("reading a section again: %w", err)
		}
	}
	binary.LittleEndian.PutUint32(header, crc32.Checksum(header[4:], castagnoli))
	if _, err := w.Write(header); err != nil {
		return err
	}
	_, err := io.Copy(w, p.read())
	return err
}
