package probe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
)

// A call is a system call with its arguments: integers, and strings, of which the
// call gets the address, with a zero byte at the end.
type call struct {
	number int
	args   []any
}

// Where an assembled program lies in memory, and how long its header is: those of the
// file and of one segment.
const (
	loadAddress = 0x400000
	elfHeader   = 64 + 56
)

// assemble returns an ELF program that makes the calls and exits with the error number of
// the last of them, 0 where it went well or there is none. It needs nothing of the machine that it runs on: no
// loader, no libraries.
func assemble(calls []call) []byte {
	var data, code bytes.Buffer
	for _, c := range calls {
		args := make([]uint64, len(c.args))
		for i, a := range c.args {
			switch a := a.(type) {
			case int:
				args[i] = uint64(a) //nolint:gosec // the register's bits
			case uint64:
				args[i] = a
			case string:
				args[i] = uint64(loadAddress + elfHeader + data.Len()) //nolint:gosec // small
				data.WriteString(a)
				data.WriteByte(0)
			default:
				panic(fmt.Sprintf("no argument of a call: %T", a))
			}
		}
		assembleCall(&code, uint64(c.number), args) //nolint:gosec // not negative
	}
	assembleExit(&code, len(calls) > 0)
	for data.Len()%8 != 0 {
		data.WriteByte(0)
	}
	machine := uint16(0x3e) // x86-64
	if runtime.GOARCH == "arm64" {
		machine = 0xb7
	}
	size := uint64(elfHeader + data.Len() + code.Len()) //nolint:gosec // small
	var out bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&out, binary.LittleEndian, v) // into memory
		}
	}
	put([16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, uint16(2), machine, uint32(1))                                 // 64 bits, little endian; executable
	put(loadAddress+elfHeader+uint64(data.Len()), uint64(64), uint64(0), uint32(0))                            //nolint:gosec // small; entry, segments, no sections
	put(uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0))                                    // sizes and counts of headers
	put(uint32(1), uint32(7), uint64(0), uint64(loadAddress), uint64(loadAddress), size, size, uint64(0x1000)) // to load, readable, writable, executable
	out.Write(data.Bytes())
	out.Write(code.Bytes())
	return out.Bytes()
}
