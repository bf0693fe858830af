package cli_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"seawall.io/seawall/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the wanted outputs in testdata/*.txtar")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"seawall": seawall})
}

// seawall is the real command on the day that SEAWALL_TEST_TODAY names.
func seawall() {
	env := cli.System()
	env.Now = func() time.Time {
		today, err := time.Parse(time.DateOnly, os.Getenv("SEAWALL_TEST_TODAY"))
		if err != nil {
			panic(err)
		}
		return today
	}
	os.Exit(cli.Run(context.Background(), env, os.Args[1:]))
}

// TestScripts runs the scripts of testdata, each a transcript of commands that
// reads like a manual.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SEAWALL_TEST_TODAY", "2026-06-15")
			env.Setenv("COLUMNS", "200")
			shop, err := filepath.Abs("../../examples/shop")
			if err != nil {
				return fmt.Errorf("finding the example shop: %w", err)
			}
			env.Setenv("SHOP", shop)
			db, err := filepath.Abs("../../examples/db/seawall.db")
			if err != nil {
				return fmt.Errorf("finding the example database: %w", err)
			}
			env.Setenv("DB", db)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code": code, "replace": replace, "copydir": copydir, "large": large, "bytes": bytesOf, "mode": mode,
		},
	})
}

// code CODE COMMAND... runs a command that must exit with the code.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code CODE COMMAND...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit interface{ ExitCode() int }
		if e, ok := err.(interface{ ExitCode() int }); ok {
			exit = e
		} else {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("exit code %d, want %s\nstdout:\n%s\nstderr:\n%s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// replace FILE OLD NEW replaces text in a file; \n, \r and \t stand for
// themselves.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	plain := strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t")
	before := ts.ReadFile(args[0])
	after := strings.ReplaceAll(before, plain.Replace(args[1]), plain.Replace(args[2]))
	if before == after {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(after), 0o600))
}

// copydir FROM TO copies a folder.
func copydir(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: copydir FROM TO")
	}
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
}

// large FILE MEGABYTES makes a file of spaces that takes no room on the disk.
func large(ts *testscript.TestScript, neg bool, args []string) {
	var size int64
	if neg || len(args) != 2 {
		ts.Fatalf("usage: large FILE MEGABYTES")
	}
	_, err := fmt.Sscan(args[1], &size)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), nil, 0o600))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size<<20))
}

// bytes FILE TEXT writes a Go string literal to a file, as it is.
func bytesOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: bytes FILE TEXT")
	}
	var text string
	_, err := fmt.Sscanf(`"`+args[1]+`"`, "%q", &text)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// mode FILE MODE checks the permissions of a file.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE MODE")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("mode of %s is %s, want %s", args[0], got, args[1])
	}
}
