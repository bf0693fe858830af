package cli

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
)

// loadChecks returns the built-in checks with those of the user's folders.
func loadChecks(dirs []string) ([]*check.Rule, map[string]check.Func, error) {
	rules, err := checks.Rules()
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // it names the file
	}
	funcs := checks.Funcs()
	for _, dir := range dirs {
		own, ownFuncs, err := loadFolder(dir)
		if err != nil {
			return nil, nil, err
		}
		rules = append(rules, own...)
		maps.Copy(funcs, ownFuncs)
	}
	return rules, funcs, nil
}

// loadFolder reads a user's checks: .txtar files in Seawall's format, and the
// ValidatingAdmissionPolicies in .yaml files with their bindings. Every check
// is compiled, so that a broken one stops the scan before it starts.
func loadFolder(dir string) ([]*check.Rule, map[string]check.Func, error) {
	var rules []*check.Rule
	var policies []check.PolicyFile
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		switch strings.ToLower(filepath.Ext(name)) {
		case ".txtar":
			text, err := os.ReadFile(name)
			if err != nil {
				return err //nolint:wrapcheck // wrapped below
			}
			r, err := check.ParseRule(filepath.ToSlash(name), text)
			if err != nil {
				return err //nolint:wrapcheck // it names the file
			}
			rules = append(rules, r)
		case ".yaml", ".yml", ".json":
			text, err := os.ReadFile(name)
			if err != nil {
				return err //nolint:wrapcheck // wrapped below
			}
			policies = append(policies, check.PolicyFile{Name: filepath.ToSlash(name), Text: text})
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the checks of %s: %w", dir, err)
	}
	fromPolicies, funcs, err := check.ParsePolicies(policies)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the checks of %s: %w", dir, err)
	}
	rules = append(rules, fromPolicies...)
	if len(rules) == 0 {
		return nil, nil, fmt.Errorf("the folder %s holds no checks: want *.txtar files, or ValidatingAdmissionPolicies in *.yaml files", dir)
	}
	all := checks.Funcs()
	maps.Copy(all, funcs)
	set, err := check.NewSet(rules, check.Options{Funcs: all})
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // it names the file
	}
	if errs := set.Compile(); len(errs) > 0 {
		return nil, nil, errs[0]
	}
	return rules, funcs, nil
}

// chooseFrameworks returns the frameworks with the IDs.
func chooseFrameworks(ids []string) ([]check.Framework, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	all, err := checks.Frameworks()
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the file
	}
	var out []check.Framework
	for _, id := range ids {
		i := slices.IndexFunc(all, func(f check.Framework) bool { return f.ID == id })
		if i < 0 {
			known := make([]string, len(all))
			for j := range all {
				known[j] = all[j].ID
			}
			return nil, fmt.Errorf("no framework is called %q: there are %s", id, strings.Join(known, ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}
