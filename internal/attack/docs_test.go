package attack_test

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const docsFile = "../../docs/paths.md"

var updateDocs = flag.Bool("update-docs", false, "write the table of primitives in docs/paths.md anew")

// TestDocs holds the table of docs/paths.md to the primitives.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	const end = "where nothing speaks against it.\n\n"
	head, _, ok := strings.Cut(string(text), end)
	if !ok {
		t.Fatalf("%s has no place for the table", docsFile)
	}
	want := head + end + primitiveTable(t)
	if *updateDocs {
		if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Errorf("%s is stale: run go test ./internal/attack -run TestDocs -update-docs", docsFile)
	}
}

// primitiveTable is a row for each primitive of the source.
func primitiveTable(t *testing.T) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "primitive.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "primitive" {
			return true
		}
		var row []string
		for _, arg := range call.Args {
			lit, ok := arg.(*ast.BasicLit)
			if !ok {
				t.Fatalf("a primitive with something else than a literal")
			}
			value := lit.Value
			if lit.Kind == token.STRING {
				if value, err = strconv.Unquote(value); err != nil {
					t.Fatal(err)
				}
			}
			row = append(row, value)
		}
		rows = append(rows, row)
		return true
	})
	if len(rows) < 50 {
		t.Fatalf("found %d primitives", len(rows))
	}
	// TestExamples/rbac-donation shows that no path has it.
	rows = append(rows, []string{
		"P18", "hand out what one holds, by a binding or by the label of an aggregated role, without the verbs `bind` and `escalate`", "", "no step",
		"create or patch of bindings and clusterroles. The API server compares what is handed out with what its writer holds: he gains nothing, and whoever is given it cannot make him do it. Who can, holds him (P02 to P25 lead there), or acts as him for that verb, which is P21",
	})
	slices.SortFunc(rows, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	var b strings.Builder
	b.WriteString("| | what the attacker does | MITRE | likelihood | how it is seen | checks that report it |\n|---|---|---|---|---|---|\n")
	for i, row := range rows {
		if i > 0 && row[0] == rows[i-1][0] {
			t.Errorf("two primitives are called %s", row[0])
		}
		checks := make([]string, 0, len(row))
		for _, c := range row[5:] {
			checks = append(checks, "`"+c+"`")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", row[0], row[1], row[2], row[3], row[4], strings.Join(checks, ", "))
	}
	return b.String()
}
