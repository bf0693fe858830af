package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/scan"
)

// configName is the file that is looked for from the first target upwards.
const configName = "seawall.yaml"

// config is what a configuration file holds beyond values of flags.
type config struct {
	file            string
	enable, disable []string
	params          map[string]map[string]any
	// named are the names of checks in the file, and those of their parameters
	// where values are given, with their lines.
	named []namedCheck
	// origins say where the values of flags come from that the command line does
	// not set.
	origins map[string]string
}

type namedCheck struct {
	line        int
	name, param string
}

// configure fills in flags that the command line does not set: from SEAWALL_*
// of the environment (SEAWALL_FAIL_ON for --fail-on), else from the
// configuration file, whose keys are the names of scan's flags. Keys that name
// none are errors.
func configure(env *Env, cmd *cobra.Command, targets []string) (*config, error) {
	flags := cmd.Flags()
	c := &config{origins: map[string]string{}}
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || err != nil || f.Name == "help" {
			return
		}
		name := "SEAWALL_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := env.Getenv(name); v != "" {
			c.origins[f.Name] = "environment variable " + name
			if e := flags.Set(f.Name, v); e != nil {
				err = fmt.Errorf("%s: %w", c.origins[f.Name], e)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	c.file, err = findConfig(targets)
	if err != nil || c.file == "" {
		return c, err
	}
	text, err := os.ReadFile(c.file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return c, c.read(flags, newScan(env).Flags(), text)
}

// origin says where the value of a flag comes from, for errors about it.
func (c *config) origin(flag string) string {
	if where, known := c.origins[flag]; known {
		return where
	}
	return "--" + flag
}

// check refuses names of checks that no rule has, and parameters that they do
// not have.
func (c *config) check(rules []*check.Rule) error {
	for _, n := range c.named {
		err := scan.Named(rules, n.name)
		i := slices.IndexFunc(rules, func(r *check.Rule) bool { return r.ID == n.name })
		if err == nil && n.param != "" && i >= 0 {
			err = rules[i].TakesParam(n.param, c.params[n.name][n.param])
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", c.file, n.line, err)
		}
	}
	return nil
}

// findConfig looks for the configuration from the first target that is a path
// upwards.
func findConfig(targets []string) (string, error) {
	dir := "."
	for _, t := range targets {
		if info, err := os.Stat(t); err == nil {
			if dir = t; !info.IsDir() {
				dir = filepath.Dir(t)
			}
			break
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("looking for %s: %w", configName, err)
	}
	for {
		name := filepath.Join(dir, configName)
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			return shortest(name), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", nil
		}
		dir = parent
	}
}

// shortest returns an absolute path as seen from the working directory, so that
// errors and reports do not depend on where the working directory is.
func shortest(name string) string {
	wd, err := os.Getwd()
	if err != nil {
		return name
	}
	rel, err := filepath.Rel(wd, name)
	if err != nil {
		return name
	}
	return rel
}

// read reads the configuration. Keys that only scan knows are not for flags, but
// they are no mistake.
func (c *config) read(flags, known *pflag.FlagSet, text []byte) error {
	docs := document.Parse(text, document.Limits{})
	if len(docs) == 0 || (len(docs) == 1 && docs[0].Root.IsNull() && docs[0].Err == nil) {
		return nil
	}
	if len(docs) > 1 {
		return fmt.Errorf("%s:%d: want one document, have %d", c.file, docs[1].Start, len(docs))
	}
	if err := docs[0].Err; err != nil {
		return fmt.Errorf("%s:%d: %s", c.file, max(err.Line, 1), err.Msg)
	}
	if root := docs[0].Root; root.Kind() != document.Map {
		return fmt.Errorf("%s:%d: want a mapping of keys to values", c.file, root.Pos.Line)
	}
	for _, f := range docs[0].Root.Map() {
		where := fmt.Sprintf("%s:%d: %s", c.file, f.Pos.Line, f.Key)
		if !flags.Changed(f.Key) {
			c.origins[f.Key] = where
		}
		if err := c.set(flags, known, &f); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return nil
}

func (c *config) set(flags, known *pflag.FlagSet, field *document.Field) error {
	key, v := field.Key, field.Value
	switch key {
	case "enable", "disable":
		list, err := texts(v)
		if key == "enable" {
			c.enable = list
		} else {
			c.disable = list
		}
		for i, name := range list {
			line := v.Pos.Line
			if v.Kind() == document.List {
				line = v.List()[i].Pos.Line
			}
			c.named = append(c.named, namedCheck{line: int(line), name: name})
		}
		return err
	case "parameters":
		return c.setParams(v)
	}
	flag := known.Lookup(key)
	if flag == nil || key == "help" {
		return fmt.Errorf("unknown key: want enable, disable, parameters or the name of a flag of scan: %s", flagNames(known))
	}
	list, err := texts(v)
	if err != nil {
		return err
	}
	if v.Kind() == document.List && !strings.Contains(flag.Value.Type(), "Slice") && !strings.Contains(flag.Value.Type(), "Array") {
		return fmt.Errorf("want one value, have a list")
	}
	if flag = flags.Lookup(key); flag == nil || flag.Changed {
		return nil
	}
	if isPath(key) {
		for i := range list {
			if !filepath.IsAbs(list[i]) {
				list[i] = filepath.Join(filepath.Dir(c.file), list[i])
			}
		}
	}
	for _, text := range list {
		if err := flags.Set(key, text); err != nil {
			return err //nolint:wrapcheck // pflag says which value and why; the caller names the key
		}
	}
	return nil
}

func (c *config) setParams(v *document.Node) error {
	if v.Kind() != document.Map {
		return fmt.Errorf("want a mapping of checks to their parameters")
	}
	c.params = map[string]map[string]any{}
	for _, f := range v.Map() {
		m, ok := f.Value.Value().(map[string]any)
		if !ok {
			return fmt.Errorf("line %d: %s: want a mapping of parameters to values", f.Pos.Line, f.Key)
		}
		c.params[f.Key] = m
		c.named = append(c.named, namedCheck{line: int(f.Pos.Line), name: f.Key})
		for _, p := range f.Value.Map() {
			c.named = append(c.named, namedCheck{int(p.Pos.Line), f.Key, p.Key})
		}
	}
	return nil
}

// flagNames lists what may stand in a configuration beside its own keys.
func flagNames(flags *pflag.FlagSet) string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			names = append(names, f.Name)
		}
	})
	return strings.Join(names, ", ")
}

// isPath tells the flags whose values are files: in a configuration they count
// from its own folder.
func isPath(key string) bool {
	return slices.Contains([]string{"checks", "exceptions", "baseline", "kubeconfig", "values", "db", "db-key", "vex", "malware", "layer-cache", "registry-auth", "verify-key", "trusted-root", "verify-bundle"}, key)
}

// texts returns a scalar, or a list of them, as a flag takes it.
func texts(v *document.Node) ([]string, error) {
	if v.IsNull() || v.Kind() == document.Map {
		return nil, fmt.Errorf("want a value, or a list of values")
	}
	if v.Kind() != document.List {
		return []string{scalarText(v)}, nil
	}
	var out []string
	for _, item := range v.List() {
		if item.IsNull() || item.Kind() == document.Map || item.Kind() == document.List {
			return nil, fmt.Errorf("line %d: want a list of plain values", item.Pos.Line)
		}
		out = append(out, scalarText(item))
	}
	return out, nil
}

func scalarText(v *document.Node) string {
	if v.Kind() == document.String {
		return v.Str()
	}
	return fmt.Sprint(v.Value())
}
