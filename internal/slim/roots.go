package slim

import (
	"path"
	"slices"
	"strings"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory/script"
)

// roots keeps what the commands need.
func (a *analysis) roots() {
	for i := range a.in.Roots {
		r := &a.in.Roots[i]
		if r.Shell != "" {
			a.text(r.Shell, r.Why)
			continue
		}
		a.command(r.Argv, r.Why, true)
	}
}

// text keeps what a text for the shell runs. The shell itself stands in the root
// that holds the text, or is /bin/sh.
func (a *analysis) text(text, why string) {
	if !a.program("/bin/sh", "", why) {
		a.lacks(Unresolved{Name: "/bin/sh", Root: true})
	}
	for _, n := range script.Shell(text) {
		switch n.Kind {
		case script.Run:
			a.program(n.Name, "", why)
		case script.Unknown:
			a.starts("", why+": "+n.Name)
		case script.Source:
			a.keep(a.absolute(n.Name), "", why, true)
		default:
			a.need("", n, nil)
		}
	}
	for word := range strings.FieldsSeq(text) {
		a.argument(strings.Trim(word, `"';()`), why)
	}
}

// command keeps a program and the files that its arguments name.
func (a *analysis) command(argv []string, why string, root bool) {
	if len(argv) == 0 {
		return
	}
	p, ok := a.lookup(argv[0])
	if !ok {
		if root {
			a.lacks(Unresolved{Name: argv[0], Root: true})
		}
		return
	}
	f, _ := a.keep(p, "", why, true)
	base, args := path.Base(argv[0]), argv[1:]
	if shellName(base) || shellName(path.Base(f.Path())) {
		if i := shellText(args); i >= 0 {
			a.text(args[i], why)
			args = args[i+1:]
		}
	}
	for _, arg := range args {
		a.argument(arg, why)
	}
	a.moduleArgument(base, args, why)
	if script, ok := scriptArgument(base, args); ok && root {
		if _, _, there := a.follow(a.absolute(script)); !there && !a.node.file(a, strings.Trim(path.Clean(a.absolute(script)), "/"), "", why) {
			a.lacks(Unresolved{Name: a.absolute(script), Root: true})
		}
	}
	skip, wraps := script.Wraps(base)
	if facts := f.Facts(); facts != nil && facts.Shebang != "" {
		skip, wraps = 0, true // exec "$@"
	}
	if wraps {
		for len(args) > 0 && (skip > 0 || strings.HasPrefix(args[0], "-") || strings.Contains(args[0], "=")) {
			if !strings.HasPrefix(args[0], "-") && !strings.Contains(args[0], "=") {
				skip--
			}
			args = args[1:]
		}
		a.command(args, why, false)
	}
}

func shellName(base string) bool {
	switch base {
	case "sh", "bash", "dash", "ash", "busybox", "zsh", "ksh":
		return true
	}
	return false
}

// shellText is the index of the text after -c, -1 for none.
func shellText(args []string) int {
	for i, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			if arg == "sh" && i == 0 { // busybox sh -c
				continue
			}
			return -1
		}
		if !strings.HasPrefix(arg, "--") && strings.HasSuffix(arg, "c") && i+1 < len(args) {
			return i + 1
		}
	}
	return -1
}

// argument keeps files and folders that an argument names: as they are, after an
// equals sign, and in lists with colons.
func (a *analysis) argument(arg, why string) {
	if strings.HasPrefix(arg, "-") {
		if _, value, ok := strings.Cut(arg, "="); ok {
			arg = value
		} else if i := strings.IndexByte(arg, '/'); i > 0 {
			arg = arg[i:] // -I/usr/share/x
		} else {
			return
		}
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(arg, "file:"), ":") {
		if part == "" || part == "." || part == ".." || part == "/" {
			continue
		}
		at := a.absolute(part)
		at = strings.TrimSuffix(at, "/*") // Java's class path
		f, _, ok := a.follow(at)
		if !ok {
			continue
		}
		switch {
		case f.Kind() == image.Dir && ownFolder(f.Path()):
			a.keepBelow(at, "", why, true, nil)
		case f.Kind() != image.Dir:
			a.keep(at, "", why, true)
		}
	}
}

// moduleArgument keeps what node and python are told to run by module or folder.
func (a *analysis) moduleArgument(program string, args []string, why string) {
	switch program {
	case "node", "nodejs":
		for i, arg := range args {
			switch {
			case (arg == "-r" || arg == "--require" || arg == "--import") && i+1 < len(args):
				a.node.moduleFrom(a, strings.Trim(a.in.WorkDir, "/"), "", args[i+1], why)
			case !strings.HasPrefix(arg, "-"):
				a.node.file(a, strings.Trim(path.Clean(a.absolute(arg)), "/"), "", why)
				return
			}
		}
	case "npm", "yarn", "pnpm", "npx":
		a.node.dynamic(a, path.Join(strings.Trim(a.in.WorkDir, "/"), "package.json"))
		a.note("", "%s: %s starts what package.json names: all of node_modules stays; let the image start node itself", why, program)
		a.node.whole(a, strings.Trim(a.in.WorkDir, "/"))
	}
}

// scriptArgument is the script that an interpreter is given.
func scriptArgument(program string, args []string) (string, bool) {
	if !strings.HasPrefix(program, "python") && !slices.Contains([]string{"node", "nodejs", "perl", "ruby", "php"}, program) {
		return "", false
	}
	for _, arg := range args {
		switch {
		case arg == "-m" || arg == "-c" || arg == "-e" || arg == "-p" || arg == "-r" || arg == "--require" || arg == "--import" || arg == "--eval" || arg == "-S" || arg == "-t" || arg == "-X" || arg == "-W" || arg == "-I":
			return "", false // a module, a text, or an option with a value
		case !strings.HasPrefix(arg, "-"):
			return arg, true
		}
	}
	return "", false
}

// wanted keeps what the user named.
func (a *analysis) wanted() {
	for _, w := range a.in.Keep {
		why := "--keep " + w
		if !strings.Contains(w, "/") {
			if !a.program(w, "", why) {
				a.lacks(Unresolved{Name: w, Root: true})
			}
			continue
		}
		found := a.match(w)
		for _, p := range found {
			a.keepBelow(p, "", why, true, nil)
			f, _ := a.tree.Stat(p)
			a.keep(p, "", why, f.Mode()&0o111 != 0)
		}
		if len(found) == 0 {
			a.lacks(Unresolved{Name: w, Root: true})
		}
	}
}

// observed keeps what was seen in use.
func (a *analysis) observed() {
	if a.in.Profile == nil {
		return
	}
	for _, p := range a.in.Profile.Executed {
		a.keep(p, "", "it was run while the profile was taken", true)
	}
	for _, p := range a.in.Profile.Opened {
		if f, _, ok := a.follow(p); ok && f.Kind() == image.Regular {
			a.keep(p, "", "it was opened while the profile was taken", f.Facts() != nil && f.Facts().ELF != nil)
		}
	}
}
