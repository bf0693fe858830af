// Command prog is what the tests of package binary build: it links some modules
// and leaves others of their functions out.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gobwas/glob"
	"go.yaml.in/yaml/v3"
)

type server[T any] struct{ last T }

//go:noinline
func (s *server[T]) Handle(v T) func() T {
	s.last = v
	return func() T { return s.last }
}

func small(s string) string { return s + "!" } // is inlined

func main() {
	var v map[string]any
	if err := yaml.Unmarshal([]byte(os.Args[0]), &v); err != nil {
		fmt.Println(err)
	}
	args := slices.SortedFunc(slices.Values(os.Args), strings.Compare)
	if g, err := glob.Compile(os.Args[0]); err == nil {
		fmt.Println(g.Match("x"))
	}
	s := &server[string]{}
	fmt.Println(args, small(s.Handle(os.Args[0])()))
}
