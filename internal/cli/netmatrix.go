package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
)

// maxFold is how many classes are put together by what they reach; beyond it
// each stands alone, since that needs every pair at once.
const maxFold = 3000

// matrixAnswer is the matrix of one cluster. What is not among the Connections
// is denied.
type matrixAnswer struct {
	answerSource
	CNI         string             `json:"cni,omitempty"`
	Classes     []matrixClass      `json:"classes"`
	Connections []matrixConnection `json:"connections"`
}

// matrixClass is workloads that reach, and are reached by, the same.
type matrixClass struct {
	ID        int      `json:"id"`
	Workloads []string `json:"workloads"`

	shown bool
}

type matrixConnection struct {
	From  int      `json:"from"`
	To    int      `json:"to"`
	Ports netPorts `json:"ports"`

	ports *reach.Ports
}

func newNetMatrix(env *Env) *cobra.Command {
	var n netFlags
	var namespace string
	cmd := &cobra.Command{
		Use:   "matrix",
		Short: "Show which workloads reach which, folded by what policies tell apart",
		Long: `Show which workloads reach which. Workloads that reach, and are reached by, the
same are one class. What is not shown is denied. What a pod does to itself is
left out.

With --namespace only connections from and to its workloads are shown; policies
of other namespaces are taken into account all the same.

Exit code: 0; 2 the command or the job failed; 3 something could not be read (0
with --allow-incomplete).`,
		Example: "  seawall net matrix -n shop -t snapshot:cluster.tar.zst\n  seawall net matrix -t deploy/ -o dot | dot -Tsvg > net.svg",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := n.read(cmd.Context(), env, "dot")
			if err != nil {
				return err
			}
			answers := []*matrixAnswer{}
			for _, m := range r.models {
				r.unread(m, func(*netpol.Policy) bool { return true })
				answers = append(answers, r.matrix(m, namespace))
			}
			if namespace != "" && empty(answers) {
				return fmt.Errorf("no workload is in namespace %q", namespace)
			}
			text := matrixTable(answers)
			if n.output == "dot" {
				text = matrixDot(answers)
			}
			return n.finish(env, r.reading, struct {
				answerHead
				Matrices []*matrixAnswer `json:"matrices"`
			}{n.head(r.holes, r.notes), answers}, text)
		},
	}
	n.register(cmd)
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "show connections from and to this namespace only")
	cmd.Flags().Lookup("output").Usage = "table, json or dot"
	return cmd
}

func empty(answers []*matrixAnswer) bool {
	for _, a := range answers {
		if len(a.Classes) > 0 {
			return false
		}
	}
	return true
}

func (r *netReading) matrix(m *reach.Model, namespace string) *matrixAnswer {
	out := &matrixAnswer{answerSource: sourceOf(r.of[m]), CNI: m.CNI().Name, Classes: []matrixClass{}, Connections: []matrixConnection{}}
	x, classes := m.Matrix(), m.Classes()
	var sets [][]int
	var cells [][]*reach.Ports
	if len(classes) <= maxFold {
		sets, cells = x.Fold()
	} else {
		for i := range classes {
			sets = append(sets, []int{i})
		}
	}
	all := make([]matrixClass, len(sets))
	for i, set := range sets {
		all[i] = matrixClass{ID: i, Workloads: []string{}}
		for _, id := range set {
			for _, t := range classes[id].Templates {
				all[i].Workloads = append(all[i].Workloads, reach.Pod(t).String())
				all[i].shown = all[i].shown || namespace == "" || t.Namespace() == namespace
			}
		}
	}
	used := make([]bool, len(all))
	for from := range all {
		used[from] = used[from] || all[from].shown
		row := x.Row(sets[from][0])
		if cells != nil {
			row = cells[from]
		}
		for to, ports := range row {
			if ports.Any() != reach.Denied && (all[from].shown || all[to].shown) {
				used[from], used[to] = true, true
				out.Connections = append(out.Connections, matrixConnection{from, to, portsOf(ports), ports})
			}
		}
	}
	found := slices.ContainsFunc(all, func(c matrixClass) bool { return c.shown })
	for i := range all {
		if found && used[i] {
			out.Classes = append(out.Classes, all[i])
		}
	}
	return out
}

func matrixTable(answers []*matrixAnswer) string {
	var b strings.Builder
	for i, a := range answers {
		if len(answers) > 1 {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s:\n", a.answerSource)
		}
		for _, c := range a.Classes {
			fmt.Fprintf(&b, "%d  %s\n", c.ID, shortNames(c.Workloads))
		}
		last, text := -1, ""
		var to []string
		flush := func() {
			if len(to) > 0 {
				fmt.Fprintf(&b, "%d -> %s: %s\n", last, strings.Join(to, ", "), text)
			}
			to = nil
		}
		if len(a.Connections) > 0 {
			b.WriteByte('\n')
		}
		for _, c := range a.Connections {
			if s := c.ports.String(); c.From != last || s != text {
				flush()
				last, text = c.From, s
			}
			to = append(to, strconv.Itoa(c.To))
		}
		flush()
	}
	return b.String()
}

// shortNames names the first of many workloads, those of one name together.
func shortNames(all []string) string {
	const most = 8
	var list []string
	times := map[string]int{}
	for _, name := range all {
		if times[name]++; times[name] == 1 {
			list = append(list, name)
		}
	}
	for i, name := range list {
		if times[name] > 1 {
			list[i] = fmt.Sprintf("%s (%d)", name, times[name])
		}
	}
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

func matrixDot(answers []*matrixAnswer) string {
	var b strings.Builder
	b.WriteString("digraph net {\n")
	for i, a := range answers {
		for _, c := range a.Classes {
			fmt.Fprintf(&b, "  c%d_%d [shape=box, label=%q];\n", i, c.ID, strings.ReplaceAll(shortNames(c.Workloads), ", ", "\n"))
		}
		for _, c := range a.Connections {
			fmt.Fprintf(&b, "  c%d_%d -> c%d_%d [label=%q];\n", i, c.From, i, c.To, c.ports)
		}
	}
	b.WriteString("}\n")
	return b.String()
}
