package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"seawall.io/seawall/internal/document"
)

// configName is the file that is looked for from the first target upwards.
const configName = "seawall.yaml"

// config is what a configuration file holds beyond values of flags.
type config struct {
	file            string
	enable, disable []string
	params          map[string]map[string]any
}

// configure fills in flags that the command line does not set: from SEAWALL_*
// of the environment (SEAWALL_FAIL_ON for --fail-on), else from the
// configuration file, whose keys are the flags' names. Unknown keys are errors.
func configure(env *Env, cmd *cobra.Command, targets []string) (*config, error) {
	flags := cmd.Flags()
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || err != nil || f.Name == "help" {
			return
		}
		name := "SEAWALL_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := env.Getenv(name); v != "" {
			if e := flags.Set(f.Name, v); e != nil {
				err = fmt.Errorf("environment variable %s: %w", name, e)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	c := &config{}
	c.file, err = findConfig(targets)
	if err != nil || c.file == "" {
		return c, err
	}
	text, err := os.ReadFile(c.file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if err := c.read(flags, text); err != nil {
		return nil, fmt.Errorf("%s: %w", c.file, err)
	}
	return c, nil
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
			return name, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", nil
		}
		dir = parent
	}
}

func (c *config) read(flags *pflag.FlagSet, text []byte) error {
	docs := document.Parse(text, document.Limits{})
	if len(docs) == 0 || (len(docs) == 1 && docs[0].Root == nil && docs[0].Err == nil) {
		return nil
	}
	if len(docs) > 1 {
		return fmt.Errorf("want one document, have %d", len(docs))
	}
	if docs[0].Err != nil {
		return docs[0].Err
	}
	for _, f := range docs[0].Root.Map() {
		if err := c.set(flags, f.Key, f.Value); err != nil {
			return fmt.Errorf("line %d: %s: %w", f.Pos.Line, f.Key, err)
		}
	}
	return nil
}

func (c *config) set(flags *pflag.FlagSet, key string, v *document.Node) error {
	switch key {
	case "enable", "disable":
		list, err := texts(v)
		if key == "enable" {
			c.enable = list
		} else {
			c.disable = list
		}
		return err
	case "parameters":
		c.params = map[string]map[string]any{}
		for _, f := range v.Map() {
			m, ok := f.Value.Value().(map[string]any)
			if !ok {
				return fmt.Errorf("line %d: %s: want a mapping of parameters to values", f.Pos.Line, f.Key)
			}
			c.params[f.Key] = m
		}
		return nil
	}
	flag := flags.Lookup(key)
	if flag == nil || key == "help" {
		return fmt.Errorf("unknown key: want enable, disable, parameters or the name of a flag of scan")
	}
	if flag.Changed {
		return nil
	}
	list, err := texts(v)
	if err != nil {
		return err
	}
	if c.isPath(key) {
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

// isPath tells the flags whose values are files: in a configuration they count
// from its own folder.
func (*config) isPath(key string) bool {
	return slices.Contains([]string{"checks", "exceptions", "baseline", "kubeconfig", "values"}, key)
}

// texts returns a scalar, or a list of them, as a flag takes it.
func texts(v *document.Node) ([]string, error) {
	if v.IsNull() || v.Kind == document.Map {
		return nil, fmt.Errorf("want a value, or a list of values")
	}
	if v.Kind != document.List {
		return []string{scalarText(v)}, nil
	}
	var out []string
	for _, item := range v.Items {
		if item.IsNull() || item.Kind == document.Map || item.Kind == document.List {
			return nil, fmt.Errorf("line %d: want a list of plain values", item.Pos.Line)
		}
		out = append(out, scalarText(item))
	}
	return out, nil
}

func scalarText(v *document.Node) string {
	if v.Kind == document.String {
		return v.Text
	}
	return fmt.Sprint(v.Value())
}
