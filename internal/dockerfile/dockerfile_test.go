package dockerfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/dockerfile"
	"seawall.io/seawall/internal/document"
)

func parse(t *testing.T, text string) *dockerfile.File {
	t.Helper()
	f, err := dockerfile.Parse("Dockerfile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// lines shows the items of a list, each with its place and some of its fields.
func lines(list *document.Node, keys ...string) string {
	var b strings.Builder
	for _, item := range list.List() {
		fmt.Fprintf(&b, "%d:%d", item.Pos.Line, item.Pos.Column)
		for _, k := range keys {
			fmt.Fprintf(&b, " %s", item.Get(k).AppendJSON(nil))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestInstructions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"byte-order-mark-and-CRLF", "\ufefffrom a\r\nRUN b \\\r\n  c\r\n", `1:1 "FROM" ["a"]
2:1 "RUN" ["b   c"]
`},
		{"comments-between-lines", "FROM a\n  # one\nRUN b && \\\n# two\n\n  # three\n  c # d\n", `1:1 "FROM" ["a"]
3:1 "RUN" ["b &&   c # d"]
`},
		{"escape-directive", "# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nWORKDIR C:\\x\\\nRUN b `\n  c\n", `3:1 "FROM" ["a"]
4:1 "WORKDIR" ["C:\\x\\"]
5:1 "RUN" ["b   c"]
`},
		{"escape-is-a-comment-later", "FROM a\n# escape=`\nRUN b \\\n c\n", `1:1 "FROM" ["a"]
3:1 "RUN" ["b  c"]
`},
		{"here-documents", "FROM a\nRUN <<EOF cat\nRUN x\nEOF\nCOPY <<-'ONE' <<TWO /x/\n\ta\n\tONE\nb\nTWO\nUSER 1\n", `1:1 "FROM" ["a"]
2:1 "RUN" ["\u003c\u003cEOF cat"]
5:1 "COPY" ["\u003c\u003c-'ONE'","\u003c\u003cTWO","/x/"]
10:1 "USER" ["1"]
`},
		{"lists", "FROM a\nCMD [ \"b c\", \"d\" ]\nCMD [b]\nENV A=1 B=\"2 3\" C=4\\ 5\nONBUILD RUN [\"x\"]\n", `1:1 "FROM" ["a"]
2:1 "CMD" ["b c","d"]
3:1 "CMD" ["[b]"]
4:1 "ENV" ["A=1","B=\"2 3\"","C=4\\ 5"]
5:1 "ONBUILD" []
`},
		{"flags", "FROM --platform=linux/arm64 a\nCOPY --from=x --chown=\"1:1\" b c\nRUN --mount=type=bind -- --odd\n", `1:1 "FROM" ["a"]
2:1 "COPY" ["b","c"]
3:1 "RUN" ["--odd"]
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := lines(parse(t, test.text).Root.Get("instructions"), "keyword", "args")
			want := strings.NewReplacer(`\u003c`, "<").Replace(test.want)
			if got != want {
				t.Error(cmp.Diff(want, got))
			}
		})
	}
}

func TestStages(t *testing.T) {
	t.Parallel()
	f := parse(t, `ARG REG=example.com
ARG TAG
FROM --platform=$BUILDPLATFORM ${REG}/go:${TAG:-1.26} AS Build
ENV DIR=/src
WORKDIR $DIR
WORKDIR sub
USER ${WHO:-app}
FROM build
WORKDIR ../x
FROM ${TAG}
FROM scratch AS build
FROM build
HEALTHCHECK CMD x
`)
	want := `3:1 "build" "example.com/go:1.26" true "1.26" null "/src/sub" "app" false
8:1 "1" "build" true "" "build" "/src/x" "app" false
10:1 "2" "${TAG}" false "" null null null false
11:1 "build" "scratch" true "" null "/" null true
12:1 "4" "build" true "" "build" "/" null true
`
	if got := lines(f.Root.Get("stages"), "name", "image", "resolved", "tag", "from", "workdir", "user", "kept"); got != want {
		t.Error(cmp.Diff(want, got))
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, run, want string }{
		{"chain", "RUN a -x b && \\\n  # why\n  c || d | e; (f & g) && ! h", `2:5 "a" "b" ["-x"] false false
4:3 "c" "" [] false false
4:8 "d" "" [] false false
4:12 "e" "" [] true false
4:16 "f" "" [] false false
4:20 "g" "" [] false false
4:28 "h" "" [] false false
`},
		{"flow", "RUN if a; then b; else c; fi; for x in 1 2; do d $x; done; case y in z) e;; esac; f() { g; }", `2:8 "a" "" [] false false
2:16 "b" "" [] false false
2:24 "c" "" [] false false
2:48 "d" "$x" [] false false
2:73 "e" "" [] false false
2:89 "g" "" [] false false
`},
		{"wrappers", "RUN X=1 sudo -u me -E Y=2 env -i Z=3 /usr/bin/apt-get -o A=b install x", `2:9 "sudo" "me" ["-u","-E"] false true
2:27 "env" "Z=3" ["-i"] false true
2:38 "apt-get" "install" ["-o"] false true
`},
		{"scripts", `RUN bash -euxc 'a && b -k' && eval "c d" && su app -c "e $(f)"`, `2:5 "bash" "a && b -k" ["-euxc","-e","-u","-x","-c"] false false
2:16 "a" "" [] false false
2:16 "b" "" ["-k"] false false
2:31 "eval" "c d" [] false false
2:36 "c" "d" [] false false
2:60 "f" "" [] false false
2:45 "su" "app" ["-c"] false true
2:55 "e" "$_" [] false false
`},
		{"variables", "ENV P=\"one -f\"\nRUN q='two three' && a $P \"$P\" $q ${r:-four} $SOME_FLAGS $t", `3:22 "a" "one" ["-f","$SOME_FLAGS"] false false
`},
		{"exec-form", `RUN ["/bin/sh", "-c", "a b"]`, `2:5 "sh" "a b" ["-c"] false false
2:5 "a" "b" [] false false
`},
		{"here-document-is-the-script", "RUN <<EOF\n#!/bin/sh -e\na \\\n  b\n  c\nEOF", `4:1 "a" "b" [] false true
6:3 "c" "" [] false true
`},
		{"here-document-of-another-language", "RUN <<EOF\n#!/usr/bin/env python3\nimport x\nEOF", ""},
		{"here-document-as-input", "RUN cat <<EOF > /x && a\ncurl -k\nEOF", `2:5 "cat" "" [] false false
2:23 "a" "" [] false true
`},
		{"python-modules", "RUN python3 -m pip install -r x y", `2:5 "python3" "pip" ["-m"] false true
2:16 "pip" "install" ["-r"] false true
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := parse(t, "FROM a\n"+test.run+"\n")
			got := lines(f.Root.Get("commands"), "name", "action", "options", "piped", "chained")
			if got != test.want {
				t.Error(cmp.Diff(test.want, got))
			}
			if len(f.Holes) > 0 {
				t.Error(f.Holes)
			}
		})
	}
}

func TestHoles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, hole, foreign string }{
		{"broken", "FROM a\nRUN if x; then\n", "[{2 the shell script cannot be read: `then` must be followed by a statement list}]", "[]"},
		{"powershell", "FROM a\nSHELL [\"C:\\\\x\\\\PowerShell.exe\", \"-Command\"]\nRUN curl -k x\n", "[]", "powershell"},
		{"windows", "FROM mcr.microsoft.com/windows/nanoserver:1809\nRUN curl -k x\n", "[]", "cmd"},
		{"nested", "FROM a\nRUN " + strings.Repeat("(", 3000) + "\n", "[{2 the shell script is nested deeper than 200}]", "[]"},
		{"long", "FROM a\nRUN " + strings.Repeat("x \\\n", 40000) + "x\n", "[{2 the shell script is longer than 64 KiB}]", "[]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := parse(t, test.text)
			if got := fmt.Sprint(f.Holes); got != test.hole {
				t.Errorf("got %s, want %s", got, test.hole)
			}
			if got := fmt.Sprint(f.Foreign); !strings.Contains(got, test.foreign) {
				t.Errorf("got %s, want it to name %s", got, test.foreign)
			}
			if n := f.Root.Get("commands").Len(); n != 0 {
				t.Errorf("got %d commands, want none", n)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"", "line 1: no instruction: a Dockerfile begins with FROM"},
		{"# only\n\n", "line 1: no instruction: a Dockerfile begins with FROM"},
		{"RUN a\n", "line 1: RUN stands before the first FROM"},
		{"ARG A\n", "line 1: no FROM: every image is built from another, or from scratch"},
		{"FROM a\nFOO b\n", `line 2: unknown instruction "FOO"`},
		{"FROM a\n\nUSER\n", "line 3: USER needs an argument"},
		{"FROM a b\n", "line 1: FROM takes an image, or an image AS a name"},
		{"FROM a\nRUN <<EOF\nx\n", `line 2: no line "EOF" ends the here-document`},
		{"FROM a\nCMD [1]\n", "line 2: CMD: only strings in double quotes may stand in its JSON list"},
		{"FROM a\nONBUILD ONBUILD RUN x\n", "line 2: ONBUILD cannot hold ONBUILD"},
		{"# escape=x\nFROM a\n", "line 1: the escape character must be \\ or `"},
		{"FROM a\nUSER " + strings.Repeat("x", 70000), "line 2: a line longer than 64 KiB, which BuildKit refuses"},
		{strings.Repeat("#", dockerfile.MaxBytes+1), "line 1: larger than 1024 KiB: no Dockerfile that BuildKit would build is"},
		{"FROM a\n" + strings.Repeat("CMD x\n", dockerfile.MaxInstructions), "line 5001: more than 5000 instructions"},
	} {
		_, err := dockerfile.Parse("Dockerfile", []byte(test.text))
		if err == nil || err.Error() != test.want {
			t.Errorf("%.30q: got %v, want %s", test.text, err, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"Dockerfile": true, "a/b/dockerfile": true, `c:\x\Containerfile`: true, "Dockerfile.prod": true, "Dockerfile-alpine": true,
		"web.Dockerfile": true, "web.dockerfile": true, "x.containerfile": true, "Dockerfile.dockerignore": false,
		".dockerignore": false, "Dockerfile.md": false, "dockerfile.go": false, "Dockerfile.tmpl": false, "Dockerfiles": false, "a.yaml": false,
	} {
		if got := dockerfile.IsName(name); got != want {
			t.Errorf("IsName(%q): got %v, want %v", name, got, want)
		}
	}
	for text, want := range map[string]bool{
		"FROM alpine:3\nRUN x": true, "\ufeff# c\n\n  from a AS b\r\n": true, "ARG X=1\nFROM a": true, "FROM --platform=linux/amd64 a": true,
		"apiVersion: v1": false, "From: me@example.com": false, "FROM: x": false, "from here on we": false, "": false, "SELECT 1": false,
	} {
		if got := dockerfile.Is([]byte(text)); got != want {
			t.Errorf("Is(%q): got %v, want %v", text, got, want)
		}
	}
}

// TestKeys holds the keys of items, which findings are told apart by, to be
// unique in a file, and to stay when other lines come and go.
func TestKeys(t *testing.T) {
	t.Parallel()
	text := "FROM a AS x\nRUN b && b\nEXPOSE 1 1\nENV C=1\nENV C=2\nCOPY d d e/\nFROM a AS x\nRUN b\n"
	keys := func(text string) map[string]int {
		seen := map[string]int{}
		root := parse(t, text).Root
		for _, list := range []string{"stages", "instructions", "commands", "variables", "ports"} {
			for _, item := range root.Get(list).List() {
				seen[item.Get("key").Str()]++
			}
		}
		return seen
	}
	before, after := keys(text), keys("# new\n\n"+strings.ReplaceAll(text, "EXPOSE", "\n# other\nUSER 1\nEXPOSE"))
	for key, n := range before {
		if n != 1 {
			t.Errorf("%d items have the key %q", n, key)
		}
		if after[key] != 1 {
			t.Errorf("the key %q is gone when lines are added", key)
		}
	}
}
