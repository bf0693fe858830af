package cluster

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// WriteStatus writes a table of the cluster's daemons, and reports how many of
// them are not running.
func (l Layout) WriteStatus(out io.Writer) (stopped int, err error) {
	record, err := l.Record()
	if err != nil {
		return 0, err
	}
	files, err := filepath.Glob(l.state("pid", "*"))
	if err != nil {
		return 0, fmt.Errorf("listing daemons: %w", err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"cluster", record.Name},
		{"index", fmt.Sprint(record.Index)},
		{"API server", record.Server},
		{"this machine, from pods", record.Host},
		{"kubeconfig", l.Kubeconfig()},
		{"logs", l.Logs()},
	} {
		fmt.Fprintf(table, "%s\t%s\n", row[0], row[1])
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, fmt.Errorf("listing daemons: %w", err)
		}
		pid, state := strings.TrimSpace(string(text)), "running"
		if !l.runs(pid) {
			stopped++
			state = "stopped"
		}
		fmt.Fprintf(table, "%s\t%s, process %s\n", filepath.Base(file), state, pid)
	}
	return stopped, table.Flush()
}

// runs reports whether the process is alive and still a daemon of the cluster.
func (l Layout) runs(pid string) bool {
	environment, err := os.ReadFile(filepath.Join("/proc", pid, "environ"))
	return err == nil && l.marked(environment)
}
