package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// leavePages gives back the pages of the program's own file that its start has
// touched: tables of types and packages that a scan of images has no use for. What
// is needed again is mapped again from the page cache. Only mappings that were never
// written to are left, since the others hold more than the file does.
func leavePages() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // it was only read
	var start, end uintptr
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		var from, to uintptr
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n == 3 {
			start, end = 0, 0
			if (mode == "r-xp" || mode == "r--p") && strings.HasSuffix(line, " "+program) {
				start, end = from, to
			}
			continue
		}
		if start != 0 && strings.HasPrefix(line, "Anonymous:") && strings.Fields(line)[1] == "0" {
			unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED) //nolint:errcheck // memory is saved, or is not
		}
	}
}
