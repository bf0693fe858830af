package probe

import (
	_ "embed"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

//go:embed syscalls.tsv
var syscallsText string

// Places of system calls in the programs' tables, as in bpf/syscall.h: the machine's
// own by their numbers, those of 32-bit programs from compatCalls.
const (
	compatCalls = 512
	callPlaces  = 1024
)

// syscallTable names the system calls of this machine.
type syscallTable struct {
	names  [callPlaces]string
	places map[string][]uint32
}

// syscalls reads the table. It holds the calls of amd64 with those of i386 beside
// them, or of arm64 with those of 32-bit arm.
var syscalls = sync.OnceValue(func() *syscallTable {
	columns := map[string][2]int{"amd64": {1, 2}, "arm64": {3, 4}}[runtime.GOARCH]
	t := &syscallTable{places: map[string][]uint32{}}
	for line := range strings.Lines(syscallsText) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "#") || len(fields) != 5 {
			continue
		}
		for i, column := range columns {
			nr, err := strconv.ParseUint(fields[column], 10, 32)
			if column == 0 || err != nil || nr >= compatCalls {
				continue
			}
			place := uint32(nr) + uint32(i)*compatCalls
			t.names[place] = fields[0]
			t.places[fields[0]] = append(t.places[fields[0]], place)
		}
	}
	return t
})

// name returns the name of the call at a place, its number where the table is older
// than the call.
func (t *syscallTable) name(place uint32) string {
	if place >= callPlaces {
		return ""
	}
	if n := t.names[place]; n != "" {
		return n
	}
	if place >= compatCalls {
		return fmt.Sprintf("compat-%d", place-compatCalls)
	}
	return fmt.Sprintf("syscall-%d", place)
}
