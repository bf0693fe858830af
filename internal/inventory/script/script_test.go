package script

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/internal/inventory"
)

func needsOf(t testing.TB, name, text string) []string {
	t.Helper()
	var facts inventory.Facts
	if err := Parsers()[0].Parse(inventory.File{Path: name, Mode: 0o755, Size: int64(len(text)), Body: []byte(text)}, &facts); err != nil {
		t.Fatal(err)
	}
	return facts.Requires
}

func TestNeeds(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		want             []string
	}{
		{"commands", "a.sh", "set -e\nif [ -f /etc/x.conf ]; then\n  sed -i s/a/b/ /etc/x.conf | tee log\nfi\n", []string{"run [", "path /etc/x.conf", "run sed", "run tee"}},
		{"the-arguments-are-passed-on", "e", "#!/bin/sh\nexec \"$@\"\n", nil},
		{"a-wrapper-runs-what-follows", "a.sh", "exec gosu postgres postgres -D \"$PGDATA\"", []string{"run gosu", "run postgres"}},
		{"env-and-assignments", "a.sh", "exec env A=b nice -n5 /usr/bin/thing", []string{"run env", "run nice", "run /usr/bin/thing", "path /usr/bin/thing"}},
		{"a-variable-is-run", "a.sh", "$CMD --now", []string{"unknown line 1 runs what a variable names"}},
		{"evaluated", "a.sh", "\neval \"$x\"", []string{"unknown line 2 evaluates a text"}},
		{"read-in", "a.sh", ". /lib/functions.sh\nsource ./more.sh", []string{"source /lib/functions.sh", "path /lib/functions.sh", "source ./more.sh"}},
		{"read-in-by-variable", "a.sh", ". \"$DIR/x.sh\"", []string{"unknown line 1 reads in what a variable names"}},
		{"own-functions-are-no-commands", "a.sh", "f() { grep x; }\nf", []string{"run grep"}},
		{"substitutions", "a.sh", "x=$(date | cut -c1)\ny=`id -u`", []string{"run date", "run cut", "run id"}},
		{"script-in-a-script", "a.sh", "sh -c 'awk 1'; trap 'rm -f x' EXIT", []string{"run sh", "run awk", "run rm"}},
		{"find", "a.sh", "find . -name x -exec chmod 1 {} +", []string{"run find", "run chmod"}},
		{"here-document-is-no-command", "a.sh", "cat <<E\nperl\nE\n", []string{"run cat"}},
		{"malformed", "a.sh", "if then fi (", []string{"unknown a shell script that cannot be parsed"}},

		{"require", "a.js", "const a = require('a'), b = require(\"./b\")", []string{"module a", "module ./b"}},
		{"import", "a.mjs", "import x from 'x'\nimport {y} from \"../y.js\"; import 'z'; await import('w'); export * from `v`", []string{"module z", "module w", "module x", "module ../y.js", "module v"}},
		{"chosen-at-run-time", "a.js", "require(name)", []string{"unknown require of a name that is made at run time"}},
		{"template", "a.js", "require(`./lang/${l}`)", []string{"unknown require of a name that is made at run time"}},
		{"declared-not-called", "a.js", "function require(name) { return 1 }", nil},
		{"other-words", "a.js", "requires('x'); myrequire('y')", nil},
		{"programs", "a.js", "const cp = require('child_process'); cp.spawn('convert', []); cp.execSync('git log | head')", []string{"module child_process", "run convert", "run git", "run head", "calls popen"}},
		{"some-program", "a.js", "require('child_process').spawn(cmd)", []string{"module child_process", "calls popen", "unknown child_process starts a program"}},

		{"python", "a.py", "import os, sys as s\nfrom a.b import c\nfrom . import d\n", []string{"import os", "import sys", "import a.b", "import ."}},
		{"python-programs", "a.py", "subprocess.run(['git', 'log'])\nos.system('ls | wc')\n", []string{"run git", "calls popen", "run ls", "run wc"}},
		{"python-some-program", "a.py", "subprocess.check_call(cmd)\n", []string{"unknown subprocess starts a program"}},
		{"by-shebang", "bin/x", "#!/usr/bin/env python3\nimport json\n", []string{"import json"}},

		{"other-languages", "bin/wrap", "#!/usr/bin/perl\nmy $x = '/usr/lib/thing/bin';\nexec $x, @ARGV;\n", []string{"path /usr/lib/thing/bin", "unknown exec in a language that is not read"}},
		{"other-languages-that-start-nothing", "a.rb", "puts executor\n", nil},

		{"package", "n/package.json", `{"main": "lib", "exports": {".": {"import": "./m.mjs"}}, "dependencies": {"b": "1", "a": "2"}, "devDependencies": {"c": "1"}}`, []string{"entry lib", "entry ./m.mjs", "depends a", "depends b"}},
		{"package-malformed", "n/package.json", `{"main": `, nil},
		{"settings", "etc/nginx/nginx.conf", "# /not/this\nload_module \"/usr/lib/m.so\";\ninclude /etc/nginx/conf.d/*.conf;\n", []string{"path /usr/lib/m.so", "path /etc/nginx/conf.d/*.conf"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := needsOf(t, tt.file, tt.text); !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestInterpreter(t *testing.T) {
	for _, tt := range []struct {
		line, first, program string
		exact                bool
	}{
		{"/bin/sh -e", "/bin/sh", "/bin/sh", true},
		{" /usr/bin/env node", "/usr/bin/env", "node", false},
		{"/usr/bin/env -S A=b python3 -u", "/usr/bin/env", "python3", false},
		{"/usr/bin/env", "/usr/bin/env", "", false},
		{"", "", "", false},
	} {
		if first, program, exact := Interpreter(tt.line); first != tt.first || program != tt.program || exact != tt.exact {
			t.Errorf("%q: got %q, %q, %v", tt.line, first, program, exact)
		}
	}
}

// TestELF reads programs of this machine.
func TestELF(t *testing.T) {
	for _, tt := range []struct {
		file string
		want string
	}{
		{"/bin/bash", "path /etc/bash.bashrc"},
		{"/usr/bin/find", ""},
	} {
		body, err := os.ReadFile(tt.file)
		if err != nil {
			t.Skip("needs a Debian system: ", err)
		}
		got := needsOf(t, tt.file, string(body))
		if tt.want != "" && !slices.Contains(got, tt.want) {
			t.Errorf("%s: %q is not in %q", tt.file, tt.want, got)
		}
		if slices.Contains(got, "calls system") { // it only has the word among its strings
			t.Errorf("%s is said to call system", tt.file)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct{ name, file, text string }{
		{"huge-shell", "a.sh", strings.Repeat("ls\n", maxShell)},
		{"large-javascript", "a.js", strings.Repeat("x()\n", maxScript)},
	} {
		if got := needsOf(t, tt.file, tt.text); !slices.Equal(got, []string{"unknown a script too large to be read"}) {
			t.Errorf("%s: got %q", tt.name, got)
		}
	}
	var many strings.Builder
	for i := range 20_000 {
		many.WriteString("require('m" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + filepath.Base(strings.Repeat("y", i%50)) + "');")
		many.WriteString("require('n" + strings.Repeat("z", i%400) + "');")
	}
	if got := needsOf(t, "a.js", many.String()); len(got) > maxNeeds+1 {
		t.Errorf("%d needs of one file", len(got))
	}
	if got, want := needsOf(t, "a.sh", strings.Repeat("ls /x/y # \n", maxParsed/10)), []string{"unknown a shell script too large to be parsed", "run ls", "path /x/y"}; !slices.Equal(got, want) {
		t.Errorf("a large script: got %q, want %q", got, want)
	}
}

// TestDepth gives the parser of shell scripts levels within levels, on which it
// recurses: a stack that grows without end would end the program.
func TestDepth(t *testing.T) {
	for _, level := range []string{"(", "{ ", "$(", "`", "((", "if ", "while ", "$((-", "((!", "[[ ! ", "[[ ( ", "${a:-", "\"$(", "case x in y) ", "f() ", "a[", "<(", "$[", "! ", "x=(", "coproc "} {
		for _, size := range []int{maxParsed, maxOpened} {
			text := strings.Repeat(level, size/len(level))
			for _, before := range []string{"", "(("} {
				if got := needsOf(t, "a.sh", before+text); len(got) == 0 {
					t.Errorf("%q: nothing is said of a malformed script", level)
				}
			}
		}
	}
}

func FuzzNeeds(f *testing.F) {
	for _, seed := range []struct{ name, text string }{
		{"a.sh", "exec \"$@\"; . x; for i in $(ls); do sh -c 'a|b' & done <<E\nE\n"},
		{"a.js", "import a from 'b'; require(`x${1}`); spawn('x')//child_process"},
		{"a.py", "from .a import b\nsubprocess.run(['x'])"},
		{"package.json", `{"exports":{"a":["b",{"c":null}]},"dependencies":{"d":1}}`},
		{"etc/x", "a=/b/c:/d/*"},
		{"lib.so", "\x7fELF\x02\x01\x01\x00\x00/usr/lib/x\x00popen\x00"},
		{"bin/x", "#!/usr/bin/env -S node\nrequire('x')"},
	} {
		f.Add(seed.name, seed.text)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		got := needsOf(t, name, text)
		if len(got) > maxNeeds+1 {
			t.Errorf("%d needs", len(got))
		}
		for _, g := range got {
			if n := ParseNeed(g); n.String() != g || n.Kind == "" || n.Name == "" || len(n.Name) > maxName {
				t.Errorf("%q does not come back", g)
			}
		}
	})
}
