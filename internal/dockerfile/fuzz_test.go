package dockerfile_test

import (
	"bytes"
	"fmt"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/dockerfile"
)

func seeds(f *testing.F) {
	f.Helper()
	for _, text := range []string{
		"FROM a\n", "\ufeff# escape=`\r\nFROM a AS b\r\nRUN x `\r\n y\r\n",
		"ARG A=1\nFROM a:${A:-${B}}\nENV C=$A D=\"$C\"\nWORKDIR x\nEXPOSE 1-2/tcp $C\nUSER 0\n",
		"FROM a\nRUN --mount=type=cache,target=/x <<EOF\napt-get install x\nEOF\nCOPY --from=0 a b c/\n",
		"FROM a\nRUN sudo env A=1 sh -c 'apt-get install x' && for x in $(y); do yum install \"$x\"; done | z\n",
		"FROM a\nCMD [\"a\"]\nCMD b\nONBUILD RUN apk add x\nMAINTAINER x\nADD a b\nADD a b c\n",
	} {
		f.Add([]byte(text))
	}
}

// FuzzParse holds places to lie in the file, and files to be read alike twice.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := dockerfile.Parse("Dockerfile", text)
		if err != nil {
			return
		}
		last := bytes.Count(text, []byte("\n")) + 1
		for _, list := range []string{"stages", "instructions", "commands", "variables", "inputs", "ports"} {
			for _, item := range file.Root.Get(list).List() {
				if line := int(item.Pos.Line); line < 1 || line > last || item.Pos.Column < 1 {
					t.Errorf("%s %s stands at %v, the file has %d lines", list, item.AppendJSON(nil), item.Pos, last)
				}
			}
		}
	})
}

// FuzzEdit carries out every change that there is on its own: what is not refused
// must leave a Dockerfile.
func FuzzEdit(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := dockerfile.Parse("Dockerfile", text)
		if err != nil || len(text) > 2000 {
			return
		}
		var e dockerfile.Edit
		add := func(ops ...seawall.PatchOp) {
			if err := e.Add(0, ops...); err != nil {
				t.Fatal(err)
			}
		}
		for i := range file.Root.Get("commands").List() {
			add(op("add", fmt.Sprintf("/commands/%d/options/-", i), "-y"))
			add(op("add", fmt.Sprintf("/commands/%d/then/-", i), "true"))
		}
		for i, in := range file.Root.Get("instructions").List() {
			if replaced, _ := in.Get("replaced").Bool(); replaced {
				add(op("remove", fmt.Sprintf("/instructions/%d/text", i), nil))
			}
			if in.Get("keyword").Str() == "ADD" {
				add(op("replace", fmt.Sprintf("/instructions/%d/keyword", i), "COPY"))
			}
			add(op("replace", fmt.Sprintf("/instructions/%d/destination", i), "/x/"))
		}
		after, _ := e.Apply(text)
		if _, err := dockerfile.Parse("Dockerfile", after); err != nil {
			t.Errorf("%q became %q: %v", text, after, err)
		}
	})
}
