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
	"seawall.io/seawall/internal/detect"
	"seawall.io/seawall/internal/manifest"
	"seawall.io/seawall/internal/vap"
)

// loadChecks returns the built-in checks with those of the user's folders.
func loadChecks(dirs []string) ([]*check.Rule, map[string]check.Func, error) {
	rules, err := checks.Rules()
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // it names the file
	}
	funcs := checks.Funcs()
	seen := map[string]bool{}
	for _, dir := range dirs {
		place := manifest.Real(dir)
		if seen[place] {
			continue
		}
		seen[place] = true
		own, err := loadFolder(dir, funcs)
		if err != nil {
			return nil, nil, err
		}
		rules = append(rules, own...)
	}
	return rules, funcs, nil
}

// loadFolder reads a user's checks: .txtar files in Seawall's format, and the
// ValidatingAdmissionPolicies in .yaml files with their bindings. It adds the
// functions that these need to funcs. Every check is compiled, so that a broken
// one stops the scan before it starts.
func loadFolder(dir string, funcs map[string]check.Func) ([]*check.Rule, error) {
	var rules []*check.Rule
	var policies []vap.File
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		ext := strings.ToLower(filepath.Ext(name))
		if !slices.Contains([]string{".txtar", ".yaml", ".yml", ".json"}, ext) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err //nolint:wrapcheck // wrapped below
		}
		if ext != ".txtar" {
			policies = append(policies, vap.File{Name: filepath.ToSlash(name), Text: text})
			return nil
		}
		r, err := check.ParseRule(filepath.ToSlash(name), text)
		if err == nil {
			rules = append(rules, r)
		}
		return err //nolint:wrapcheck // it names the file
	})
	if err != nil {
		return nil, fmt.Errorf("reading the checks of %s: %w", dir, err)
	}
	fromPolicies, policyFuncs, err := vap.Parse(policies)
	if err != nil {
		return nil, fmt.Errorf("reading the checks of %s: %w", dir, err)
	}
	maps.Copy(funcs, policyFuncs)
	rules = append(rules, fromPolicies...)
	if len(rules) == 0 {
		return nil, fmt.Errorf("the folder %s holds no checks: want *.txtar files, or ValidatingAdmissionPolicies in *.yaml files", dir)
	}
	set, err := check.NewSet(rules, check.Options{Funcs: funcs})
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the file
	}
	if errs := set.Compile(); len(errs) > 0 {
		return nil, errs[0]
	}
	if err := compileOnEvents(rules); err != nil {
		return nil, err
	}
	return rules, nil
}

// compileOnEvents compiles the rules on events, those too that are off by default.
func compileOnEvents(rules []*check.Rule) error {
	var o detect.Options
	for _, r := range rules {
		if r.OnEvents() {
			o.On = append(o.On, r.ID)
		}
	}
	if o.On == nil {
		return nil
	}
	_, err := detect.New(rules, o)
	return err //nolint:wrapcheck // it names the file
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
