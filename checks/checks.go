// Package checks holds Seawall's own checks, one file each, and the Go
// functions that some of them name. docs/adding-a-check.md says how to add one.
package checks

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"

	admissionchecks "seawall.io/seawall/checks/admission"
	configchecks "seawall.io/seawall/checks/config"
	imagechecks "seawall.io/seawall/checks/image"
	namespacechecks "seawall.io/seawall/checks/namespace"
	networkchecks "seawall.io/seawall/checks/network"
	podchecks "seawall.io/seawall/checks/pod"
	rbacchecks "seawall.io/seawall/checks/rbac"
	servicechecks "seawall.io/seawall/checks/service"
	workloadchecks "seawall.io/seawall/checks/workload"
	"seawall.io/seawall/internal/check"
)

//go:embed */*.txtar
var files embed.FS

// Rules returns all built-in checks, sorted by topic and ID.
func Rules() ([]*check.Rule, error) {
	names, err := fs.Glob(files, "*/*.txtar")
	if err != nil {
		return nil, fmt.Errorf("listing the built-in checks: %w", err)
	}
	out := make([]*check.Rule, 0, len(names))
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the built-in check %s: %w", path.Base(name), err)
		}
		r, err := check.ParseRule("checks/"+name, text)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Funcs returns the Go functions that the built-in checks name.
func Funcs() map[string]check.Func {
	all := map[string]check.Func{}
	for _, topic := range []map[string]check.Func{
		admissionchecks.Funcs(),
		configchecks.Funcs(),
		imagechecks.Funcs(),
		namespacechecks.Funcs(),
		networkchecks.Funcs(),
		podchecks.Funcs(),
		rbacchecks.Funcs(),
		servicechecks.Funcs(),
		workloadchecks.Funcs(),
	} {
		maps.Copy(all, topic)
	}
	return all
}

//go:embed frameworks
var frameworks embed.FS

// Frameworks returns the frameworks, sorted by file name.
func Frameworks() ([]check.Framework, error) {
	names, err := fs.Glob(frameworks, "frameworks/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing the frameworks: %w", err)
	}
	out := make([]check.Framework, 0, len(names))
	for _, name := range names {
		text, err := frameworks.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the framework %s: %w", path.Base(name), err)
		}
		f, err := check.ParseFramework("checks/"+name, text)
		if err != nil {
			return nil, err
		}
		out = append(out, *f)
	}
	return out, nil
}
