package probe

import (
	"errors"
	"path"
	"unsafe"

	"seawall.io/seawall"
)

// decodeFile decodes what was done to a file. Its record says by its size whether the
// file was found by a descriptor, or by one path or two that the process gave.
func decodeFile(h *header, raw []byte, ev *seawall.Event) error {
	switch uintptr(h.Size) {
	case unsafe.Sizeof(fileFileEvent{}):
		return decodeFileEvent(raw, ev)
	case unsafe.Sizeof(fileNamesEvent{}):
		r, err := as[fileNamesEvent](raw)
		if err != nil {
			return err
		}
		call := decodeName(&r.N, ev)
		other := joinName((*processPathname)(&r.Dir2), r.Name2[:])
		text := cstring(r.Text[:])
		switch ev.Kind {
		case seawall.EventXattr:
			ev.File.Type = text
		case seawall.EventMount:
			ev.File.Source, ev.File.Type = cmpName(other, (*processPathname)(&r.Dir2), r.Name2[:]), text
			if call == "fsconfig" {
				ev.File.Type, ev.Call.Op = "", text
			}
		case seawall.EventSymlink:
			ev.File.To = cstring(r.Name2[:])
		default:
			ev.File.To = other
		}
		return nil
	case unsafe.Sizeof(fileNameEvent{}):
		r, err := as[fileNameEvent](raw)
		if err != nil {
			return err
		}
		decodeName(r, ev)
		return nil
	}
	return errors.New("a record of a file has a size that none has: the programs are of another version")
}

// cmpName leaves what a mount begins from as it was written, unless it was given
// with a directory.
func cmpName(joined string, dir *processPathname, name []byte) string {
	if dir.Len > 0 {
		return joined
	}
	return cstring(name)
}

func decodeFileEvent(raw []byte, ev *seawall.Event) error {
	r, err := as[fileFileEvent](raw)
	if err != nil {
		return err
	}
	traits := (*processTraits)(&r.File)
	where := (*processPathname)(&r.Path)
	f := &seawall.File{Result: r.Result}
	ev.File = f
	name := syscalls().name(r.Call)
	if ev.Kind == seawall.EventMap {
		f.Flags = uint32(r.Flags) //nolint:gosec // a protection has few bits
	}
	if r.Nameless != 0 {
		f.Type = "anonymous"
	} else {
		f.Traits = decodeTraits(traits)
		var whole bool
		f.Path, whole = decodePath(where)
		f.Truncated = !whole
	}
	switch ev.Kind {
	case seawall.EventOpen, seawall.EventWrite:
		f.Flags = uint32(r.Flags) //nolint:gosec // open(2) has flags of 32 bits
		f.Created = r.Mode&fmodeCreated != 0
		return nil
	case seawall.EventChmod:
		f.NewMode = uint32(r.Args[1] & 0o7777)
	default:
	}
	ev.Call = &seawall.Call{Name: name, Args: [4]uint64(r.Args[:4]), Result: r.Result}
	return nil
}

// fmodeCreated is the kernel's FMODE_CREATED: the open made the file.
const fmodeCreated = 0x100000

// decodeName decodes the first path of a record, and returns the call's name.
func decodeName(r *fileNameEvent, ev *seawall.Event) string {
	name := syscalls().name(r.Call)
	a := acts()[name]
	f := &seawall.File{Result: r.Result, Path: joinName((*processPathname)(&r.Dir), r.Name[:])}
	f.Truncated = cut(r.Name[:])
	ev.File = f
	arg := func(place uint8) uint64 { return r.Args[min(int(place), len(r.Args)-1)] }
	switch ev.Kind {
	case seawall.EventOpen, seawall.EventWrite:
		if a.form == formName { // truncate
			f.Flags = openTruncate
			break
		}
		if a.form != formOpenHow { // whose flags lie in memory
			f.Flags = uint32(arg(a.path)) //nolint:gosec // open(2) has flags of 32 bits
		}
		return name
	case seawall.EventChmod, seawall.EventMknod:
		f.NewMode = uint32(arg(a.path) & 0o177777)
	default:
	}
	ev.Call = &seawall.Call{Name: name, Args: [4]uint64(r.Args[:4]), Result: r.Result}
	return name
}

const openTruncate = 0o1000

// cut says whether a text has lost its end: nothing was left for the zero behind it.
func cut(b []byte) bool { return len(cstring(b)) >= len(b)-1 }

// joinName is the path that a process gave, from the directory it was meant from.
// Links in it are not followed: only ".." behind one could lead elsewhere than this
// says.
func joinName(dir *processPathname, name []byte) string {
	given := cstring(name)
	if dir.Len == 0 && given == "" {
		return ""
	}
	if path.IsAbs(given) {
		return path.Clean(given)
	}
	base, _ := decodePath(dir)
	return path.Join(base, given)
}
