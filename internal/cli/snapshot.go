package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/kube"
	"seawall.io/seawall/internal/snapshotfile"
)

func newSnapshot(env *Env) *cobra.Command {
	var file, kubeconfig, kubeContext, namespace string
	var probe bool
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Write a cluster's state to a file that every command reads like the cluster",
		Long: `Write a cluster's state to a file that every command reads like the cluster.

The values of Secrets are never in the file, only their keys, lengths and salted
fingerprints. ConfigMaps are, with their values. What could not be read is named
in the file, and again by every command that reads it.`,
		Example: "  seawall snapshot -o cluster.tar.zst && seawall scan snapshot:cluster.tar.zst",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := kube.Connect(kube.Options{Kubeconfig: kubeconfig, Context: kubeContext, Version: Version()})
			if err != nil {
				return err //nolint:wrapcheck // it says what to do
			}
			var o kube.ReadOptions
			o.Namespace = namespace
			var asked kube.ProbeOptions
			if env.StderrTerminal {
				show := progress(env.Stderr)
				asked.Progress = func(done, total int) { show("asking services", done, total) }
				o.Progress = func(p kube.Progress) {
					show(fmt.Sprintf("reading %s, %d objects", p.Resource, p.Objects), p.Done, p.Total)
				}
			}
			snap, err := client.Read(cmd.Context(), o)
			if err != nil {
				return err //nolint:wrapcheck // it says what to do
			}
			if probe {
				snap = client.Probe(cmd.Context(), snap, asked)
			}
			meta := snapshotfile.Meta{Seawall: Version(), Time: env.Now().UTC()}
			if err := snapshotfile.WriteFile(file, snap, meta); err != nil {
				return err //nolint:wrapcheck // it names the file
			}
			fmt.Fprintf(env.Stderr, "%s: %d objects of %s\n", file, len(snap.Objects), client.Name()) //nolint:errcheck // the file is what counts
			for _, hole := range snap.Incomplete {
				fmt.Fprintf(env.Stderr, "not in it: %s\n", hole.Reason) //nolint:errcheck // the file says it too
			}
			if len(snap.Incomplete) > 0 {
				return &exitError{code: exitIncomplete}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "output", "o", "cluster.tar.zst", "the file to write")
	f.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, then ~/.kube/config, then the pod's own account)")
	f.StringVar(&kubeContext, "context", "", "context of the kubeconfig")
	f.StringVarP(&namespace, "namespace", "n", "", "only this namespace, beside what belongs to none")
	f.BoolVar(&probe, "probe", false, "ask the ports of Services whether they answer without authentication, and keep what came of it")
	return cmd
}
