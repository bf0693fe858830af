package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/helm"
	"seawall.io/seawall/internal/kube"
	"seawall.io/seawall/internal/scan"
)

// targetFlags say how targets are read; all commands that read some share them.
type targetFlags struct {
	kubeconfig string
	context    string
	allContext bool
	exclude    []string
	values     []string
	set        []string
	setString  []string
	quiet      bool
}

func (t *targetFlags) register(f *pflag.FlagSet) {
	f.StringVar(&t.kubeconfig, "kubeconfig", "", "kubeconfig file for cluster targets (default: $KUBECONFIG, then ~/.kube/config)")
	f.StringVar(&t.context, "context", "", "context of the kubeconfig for cluster targets")
	f.BoolVar(&t.allContext, "all-contexts", false, "read the clusters of all contexts of the kubeconfig")
	f.StringSliceVar(&t.exclude, "exclude", nil, "leave out files and folders whose path matches, such as testdata or deploy/*.yaml (repeatable)")
	f.StringSliceVarP(&t.values, "values", "f", nil, "values file for Helm charts (repeatable)")
	f.StringArrayVar(&t.set, "set", nil, "value for Helm charts, as in helm --set (repeatable)")
	f.StringArrayVar(&t.setString, "set-string", nil, "value for Helm charts that is always a string (repeatable)")
	f.BoolVarP(&t.quiet, "quiet", "q", false, "print nothing but the report")
}

// target is what the flags say to the service.
func (t *targetFlags) target(env *Env, targets []string) *scan.Options {
	o := &scan.Options{
		Version: Version(), Targets: targets, Stdin: env.Stdin,
		AllContexts: t.allContext, Exclude: t.exclude,
		Kube: kube.Options{Kubeconfig: t.kubeconfig, Context: t.context, Version: Version()},
		Helm: helm.Options{Values: t.values, Set: t.set, SetString: t.setString},
	}
	if env.StderrTerminal && !t.quiet {
		o.Progress = progress(env.Stderr)
	}
	return o
}

// questionFlags are those of commands that answer a question about targets: each
// names them with --target, its arguments being the question.
type questionFlags struct {
	targetFlags
	targets         []string
	output          string
	allowIncomplete bool
}

func (q *questionFlags) register(f *pflag.FlagSet) {
	q.targetFlags.register(f)
	f.StringArrayVarP(&q.targets, "target", "t", []string{"cluster"}, "what to ask: a file or folder, -, cluster, cluster:CONTEXT or snapshot:FILE (repeatable)")
	f.StringVarP(&q.output, "output", "o", "table", "table or json")
	f.BoolVar(&q.allowIncomplete, "allow-incomplete", false, "exit with 0 even if something could not be read")
}

// options says what to read for the answer.
func (q *questionFlags) options(env *Env) scan.Options { return *q.target(env, q.targets) }

// verdict is the exit code of an answer that rests on what was read.
func (q *questionFlags) verdict(c *seawall.Coverage) error {
	if len(c.Incomplete) > 0 && !q.allowIncomplete {
		return &exitError{code: exitIncomplete}
	}
	return nil
}

// answerHead is what the JSON of every answer begins with.
type answerHead struct {
	Version    string               `json:"version"`
	Targets    []string             `json:"targets"`
	Complete   bool                 `json:"complete"`
	Incomplete []seawall.Incomplete `json:"incomplete,omitempty"`
	Notes      []string             `json:"notes"`
}

func (q *questionFlags) head(holes []seawall.Incomplete, notes []string) answerHead {
	return answerHead{Version: Version(), Targets: q.targets, Complete: len(holes) == 0, Incomplete: holes, Notes: notes}
}

// writeJSON writes an answer for programs.
func writeJSON(env *Env, answer any) error {
	enc := json.NewEncoder(env.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(answer); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

// notRead is the line that says for people what is not in an answer.
func notRead(hole seawall.Incomplete) string {
	return fmt.Sprintf("not read: %s\n", strings.TrimPrefix(hole.Location.String()+": "+hole.Reason, ": "))
}
