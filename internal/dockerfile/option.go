package dockerfile

import (
	"slices"
	"strings"
)

// valued says which options of a program take the word after them, so that it is
// not taken for an operand.
type valued struct {
	short string
	long  []string
}

//nolint:gochecknoglobals // a constant table
var (
	aptOptions = valued{"otca", []string{"option", "target-release", "default-release", "config-file", "host-architecture"}}
	yumOptions = valued{"cdexR", []string{
		"config", "setopt", "enablerepo", "disablerepo", "installroot", "releasever", "exclude", "repo", "repoid", "forcearch", "disableplugin", "enableplugin",
	}}
	pipOptions = valued{"rceitf", []string{
		"requirement", "constraint", "editable", "index-url", "extra-index-url", "target", "find-links", "trusted-host", "timeout", "cache-dir", "prefix", "root", "proxy", "retries", "cert",
	}}
	npmOptions = valued{"Cw", []string{"prefix", "registry", "workspace", "loglevel", "cache"}}

	valuedOptions = map[string]valued{
		"apt-get": aptOptions, "apt": aptOptions, "aptitude": aptOptions,
		"yum": yumOptions, "dnf": yumOptions, "dnf5": yumOptions, "microdnf": yumOptions, "tdnf": yumOptions, "yum-config-manager": yumOptions,
		"pip": pipOptions, "pip3": pipOptions,
		"npm": npmOptions, "yarn": {"", []string{"cwd", "registry"}},
		"apk": {"Xpt", []string{
			"repository", "root", "virtual", "arch", "keys-dir", "repositories-file", "wait", "cache-dir", "cache-max-age",
		}},
		"zypper": {"cRrtp", []string{"config", "root", "repo", "type", "plus-repo", "cache-dir"}},
		"git":    {"Cc", []string{"git-dir", "work-tree", "namespace"}},
		"curl": {"AbcCdDeEFHKmoPQrtTuUwxXyYz", []string{
			"output", "header", "data", "user", "user-agent", "request", "url", "retry", "max-time", "connect-timeout", "cacert", "cert", "key", "proxy", "write-out", "form", "retry-delay",
		}},
		"wget": {"aeioOPQtTUwABDIlRX", []string{
			"output-document", "directory-prefix", "header", "tries", "timeout", "user", "password", "user-agent", "post-data",
		}},
	}

	// wrappers run the program that their operands name. The number is how many
	// operands come before it.
	wrappers = map[string]struct {
		operands int
		options  valued
	}{
		"sudo":      {0, valued{"ughpCrtUDT", []string{"user", "group", "host", "prompt", "chdir", "chroot"}}},
		"doas":      {0, valued{"uC", nil}},
		"env":       {0, valued{"uCS", []string{"unset", "chdir"}}},
		"exec":      {0, valued{"a", nil}},
		"command":   {0, valued{}},
		"builtin":   {0, valued{}},
		"nohup":     {0, valued{}},
		"busybox":   {0, valued{}},
		"time":      {0, valued{"fo", nil}},
		"nice":      {0, valued{"n", []string{"adjustment"}}},
		"ionice":    {0, valued{"cn", nil}},
		"stdbuf":    {0, valued{"ioe", nil}},
		"xargs":     {0, valued{"InPLdEsa", []string{"max-args", "max-procs", "delimiter", "arg-file", "replace"}}},
		"timeout":   {1, valued{"sk", []string{"signal", "kill-after"}}},
		"gosu":      {1, valued{}},
		"su-exec":   {1, valued{}},
		"chroot":    {1, valued{}},
		"eatmydata": {0, valued{}},
	}

	unixShells = []string{"sh", "bash", "dash", "ash", "ksh", "zsh", "mksh"}
)

// takesNext says whether the option is followed by its value as a word of its
// own.
func (v valued) takesNext(option string) bool {
	if name, isLong := strings.CutPrefix(option, "--"); isLong {
		return slices.Contains(v.long, name)
	}
	for i := 1; i < len(option); i++ {
		if strings.IndexByte(v.short, option[i]) >= 0 {
			return i == len(option)-1
		}
	}
	return false
}

// letters returns a group of short options one by one, up to the first one that
// takes the rest of the group as its value.
func (v valued) letters(option string) []string {
	var out []string
	for i := 1; i < len(option); i++ {
		c := option[i]
		if c < 'A' || c > 'z' || c > 'Z' && c < 'a' {
			break
		}
		out = append(out, "-"+option[i:i+1])
		if strings.IndexByte(v.short, c) >= 0 {
			break
		}
	}
	return out
}

// isOption says whether an argument is an option.
func isOption(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// classify tells options from operands, of the words after the program's name.
// operands holds indexes of words.
func classify(program string, words []shellWord) (options []string, operands []int) {
	v := valuedOptions[program]
	for i := 0; i < len(words); i++ {
		arg := words[i].text
		switch {
		case words[i].open:
			options = append(options, arg)
		case arg == "--":
			for i++; i < len(words); i++ {
				operands = append(operands, i)
			}
		case !isOption(arg):
			operands = append(operands, i)
		default:
			name, _, _ := strings.Cut(arg, "=")
			options = append(options, name)
			if !strings.HasPrefix(arg, "--") && len(name) > 2 {
				options = append(options, v.letters(name)...)
			}
			if v.takesNext(arg) {
				i++
			}
		}
	}
	return options, operands
}
