package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/respond"
)

// writable writes what was written into the containers: the upper directories of
// their overlay mounts, which hold what differs from the image.
func (b *bundle) writable(t respond.Target) error {
	for _, c := range t.Containers {
		if c.Sandbox || c.PID == 0 {
			continue
		}
		upper, err := upperDir(filepath.Join(b.o.Proc, strconv.FormatUint(uint64(c.PID), 10), "mountinfo"))
		if err != nil {
			b.omit("the writable layer of container "+c.Name, err.Error())
			continue
		}
		upper = filepath.Join(b.o.Root, upper)
		var listing bytes.Buffer
		err = filepath.WalkDir(upper, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				b.omit(path, err.Error())
				return nil
			}
			name := strings.TrimPrefix(path, upper)
			info, err := d.Info()
			if err != nil || name == "" {
				return nil
			}
			what := ""
			switch {
			case info.Mode()&fs.ModeCharDevice != 0:
				what = " (removed)" // an overlay marks what is gone by a device 0:0
			case info.Mode()&fs.ModeSymlink != 0:
				if target, err := os.Readlink(path); err == nil {
					what = " -> " + strconv.Quote(target)
				}
			}
			fmt.Fprintf(&listing, "%s %10d %s %s%s\n", info.Mode(), info.Size(), info.ModTime().UTC().Format("2006-01-02T15:04:05.000000000Z"), strconv.Quote(name), what)
			if !info.Mode().IsRegular() {
				return nil
			}
			return b.addFile("written/"+c.Name+name, path)
		})
		if err != nil {
			return err
		}
		if err := b.add("written/"+c.Name+".list", listing.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// upperDir finds the writable directory of the root mount in a mountinfo file
// (proc_pid_mountinfo(5)).
func upperDir(mountinfo string) (string, error) {
	text, err := os.ReadFile(mountinfo)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(rest) < 3 || fields[4] != "/" {
			continue
		}
		if rest[0] != "overlay" {
			return "", fmt.Errorf("its root is %s, which keeps what was written together with the image", rest[0])
		}
		for option := range strings.SplitSeq(rest[2], ",") {
			if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
				return unescape(dir), nil
			}
		}
		return "", errors.New("its root cannot be written to")
	}
	return "", errors.New("its root mount is not listed")
}

// unescape resolves the octal escapes of mountinfo.
func unescape(s string) string {
	for _, c := range []string{" ", "\t", "\n", "\\", ":"} {
		s = strings.ReplaceAll(s, fmt.Sprintf("\\%03o", c[0]), c)
	}
	return s
}
