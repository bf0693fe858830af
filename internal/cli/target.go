package cli

import (
	"github.com/spf13/pflag"

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
	defaultNS  string // --default-namespace
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
	f.StringVar(&t.defaultNS, "default-namespace", "", "namespace of objects of files that name none, as in kubectl apply --namespace (default: default)")
	f.StringSliceVarP(&t.values, "values", "f", nil, "values file for Helm charts (repeatable)")
	f.StringArrayVar(&t.set, "set", nil, "value for Helm charts, as in helm --set (repeatable)")
	f.StringArrayVar(&t.setString, "set-string", nil, "value for Helm charts that is always a string (repeatable)")
	f.BoolVarP(&t.quiet, "quiet", "q", false, "print nothing but the report")
}

// target is what the flags say to the service.
func (t *targetFlags) target(env *Env, targets []string) *scan.Options {
	o := &scan.Options{
		Version: Version(), Targets: targets, Stdin: env.Stdin,
		AllContexts: t.allContext, Exclude: t.exclude, DefaultNamespace: t.defaultNS,
		Kube: kube.Options{Kubeconfig: t.kubeconfig, Context: t.context, Version: Version()},
		Helm: helm.Options{Values: t.values, Set: t.set, SetString: t.setString, Namespace: t.defaultNS},
	}
	if env.StderrTerminal && !t.quiet {
		o.Progress = progress(env.Stderr)
	}
	return o
}
