package script

import (
	"strings"
)

// python reads import statements line by line, and the programs that are started
// by a name that stands there.
func (n *needs) python(text string) {
	starts := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case strings.HasPrefix(line, "import "):
			for part := range strings.SplitSeq(line[len("import "):], ",") {
				n.module(part)
			}
		case strings.HasPrefix(line, "from "):
			if module, _, ok := strings.Cut(line[len("from "):], " import"); ok {
				n.module(module)
			}
		}
		for _, call := range []string{"import_module(", "__import__("} {
			if _, rest, ok := strings.Cut(line, call); ok {
				if name, ok := quoted([]byte(rest)); ok {
					n.module(name)
				} else {
					n.add(Unknown, "an import of a name that is made at run time")
				}
			}
		}
		starts = n.starts(line) || starts
	}
	if starts {
		n.add(Unknown, "subprocess starts a program")
	}
}

// starts looks for calls that start a program, and says whether one is of a
// program that it does not name.
func (n *needs) starts(line string) (unknown bool) {
	for _, call := range []string{"subprocess.", "os.system(", "os.popen(", "Popen(", "os.exec", "os.spawn", "check_output("} {
		_, rest, ok := strings.Cut(line, call)
		if !ok {
			continue
		}
		open := strings.IndexByte(call+rest, '(')
		if open < 0 {
			continue // an attribute: subprocess.PIPE
		}
		arg := strings.TrimLeft((call + rest)[open+1:], " [(")
		text, ok := quoted([]byte(arg))
		switch {
		case !ok && !strings.HasPrefix(call, "subprocess.") || !ok && strings.ContainsAny(arg, "abcdefghijklmnopqrstuvwxyz"):
			unknown = true
		case ok && (strings.HasPrefix(call, "os.system") || strings.HasPrefix(call, "os.popen")):
			n.add(Calls, "popen")
			n.shell(text, 1)
		case ok:
			if strings.ContainsAny(text, " ;|&") {
				n.add(Calls, "popen")
				n.shell(text, 1)
			} else {
				n.add(Run, text)
			}
		}
	}
	return unknown
}

// other reads a script of a language of which it knows only by what words it
// starts programs.
func (n *needs) other(body []byte) {
	settings(body, n)
	for _, word := range []string{"system", "exec", "popen", "popen3", "spawn", "qx", "proc_open", "shell_exec", "passthru", "IPC::Open3"} {
		found := false
		each(body, word, func([]byte) { found = true })
		if found {
			n.add(Unknown, word+" in a language that is not read")
			return
		}
	}
}

func (n *needs) module(text string) {
	name := strings.TrimSpace(text)
	name, _, _ = strings.Cut(name, " ") // as
	name = strings.TrimRight(name, ";(")
	for _, c := range []byte(name) {
		if !identifier(c) && c != '.' {
			return
		}
	}
	n.add(Import, name)
}
