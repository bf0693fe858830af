package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"seawall.io/seawall/checks"
)

func newFrameworks(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "frameworks",
		Short: "List the frameworks that --framework takes",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := checks.Frameworks()
			if err != nil {
				return err //nolint:wrapcheck // it names the file
			}
			w := tabwriter.NewWriter(env.Stdout, 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "FRAMEWORK\tVERSION\tCONTROLS\tDECIDED\tTITLE") //nolint:errcheck // Flush reports it
			for _, f := range all {
				decided := 0
				for _, c := range f.Controls {
					if len(c.Checks) > 0 {
						decided++
					}
				}
				fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", f.ID, f.Version, len(f.Controls), decided, f.Title) //nolint:errcheck // Flush reports it
			}
			return w.Flush() //nolint:wrapcheck // standard output
		},
	}
}
