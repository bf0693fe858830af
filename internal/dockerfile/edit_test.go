package dockerfile_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/dockerfile"
	"seawall.io/seawall/internal/patch"
)

func op(verb, path string, value any) seawall.PatchOp {
	return seawall.PatchOp{Op: verb, Path: path, Value: value}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	text := "\ufeff# syntax=docker/dockerfile:1\r\nFROM a\r\n" +
		"RUN apt update && \\\r\n    # why\r\n    apt install \\\r\n      curl>/x\r\n" +
		"  cmd [\"old\"] \r\n# kept\r\nWORKDIR app\r\nMAINTAINER Jo\r\nCMD new"
	want := "\ufeff# syntax=docker/dockerfile:1\r\nFROM a\r\n" +
		"RUN apt update && \\\r\n    # why\r\n    apt-get install -y --no-x \\\r\n      curl>/x && apt clean\r\n" +
		"# kept\r\nWORKDIR /app\r\nLABEL a=\"Jo\"\r\nCMD new"
	var e dockerfile.Edit
	for _, ops := range [][]seawall.PatchOp{
		{op("add", "/commands/1/options/-", "-y")},
		{op("replace", "/commands/1/name", "apt-get"), op("add", "/commands/1/options/-", "--no-x")},
		{op("add", "/commands/1/options/-", "-y")},
		{op("add", "/commands/1/then/-", "apt clean")},
		{op("remove", "/instructions/2/text", nil)},
		{op("replace", "/instructions/3/destination", "/app")},
		{op("replace", "/instructions/4/text", `LABEL a="Jo"`)},
	} {
		if err := e.Add(0, ops...); err != nil {
			t.Fatal(err)
		}
	}
	got, refused := e.Apply([]byte(text))
	if diff := cmp.Diff(want, string(got)); diff != "" || len(refused) > 0 {
		t.Errorf("%s\nrefused %v", diff, refused)
	}
}

func TestEditRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		ops        []seawall.PatchOp
		want       error
	}{
		{"quoted", "FROM a\nRUN sh -c 'apt install x'\n", []seawall.PatchOp{op("add", "/commands/1/options/-", "-y")}, patch.ErrLayout},
		{"alternative", "FROM a\nRUN yum install x || true\n", []seawall.PatchOp{op("add", "/commands/0/then/-", "yum clean all")}, patch.ErrLayout},
		{"by-path", "FROM a\nRUN /bin/apt install x\n", []seawall.PatchOp{op("replace", "/commands/0/name", "apt-get")}, patch.ErrLayout},
		{"variable", "FROM a\nCOPY a b $X\n", []seawall.PatchOp{op("replace", "/instructions/1/destination", "x/")}, patch.ErrLayout},
		{"list", "FROM a\nCOPY [\"a\", \"b\"]\n", []seawall.PatchOp{op("replace", "/instructions/1/destination", "x/")}, patch.ErrLayout},
		{"lines", "FROM a\nUSER b\n", []seawall.PatchOp{op("replace", "/instructions/1/text", "USER c\nUSER d")}, patch.ErrValue},
		{"no-place", "FROM a\n", []seawall.PatchOp{op("replace", "/stages/0/name", "b")}, patch.ErrPath},
		{"conflict", "FROM a\nUSER b\n", []seawall.PatchOp{
			op("replace", "/instructions/1/text", "USER c"), op("replace", "/instructions/1/keyword", "WORKDIR"),
		}, patch.ErrConflict},
		{"breaks", "FROM a\nUSER b\n", []seawall.PatchOp{op("remove", "/instructions/0/text", nil)}, patch.ErrVerify},
		{"second-instruction", "FROM a\nUSER b\nUSER c\n", []seawall.PatchOp{op("replace", "/instructions/1/text", `USER x \`)}, patch.ErrVerify},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var e dockerfile.Edit
			if err := e.Add(0, test.ops...); err != nil {
				t.Fatal(err)
			}
			got, refused := e.Apply([]byte(test.text))
			if len(refused) != 1 || !errors.Is(refused[0], test.want) || string(got) != test.text {
				t.Errorf("got %v and %q, want %v", refused, got, test.want)
			}
		})
	}
}
