package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/scan"
)

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

// reading is what the answer to a question rests on.
type reading struct {
	snapshots []*cluster.Snapshot
	holes     []seawall.Incomplete
	// warnings are those of the targets, notes what is to be said of the answer,
	// they among it.
	warnings, notes []string
}

// read reads the targets of a question. Answers are written as tables, JSON or
// one of the formats.
func (q *questionFlags) read(ctx context.Context, env *Env, formats ...string) (*reading, error) {
	if err := oneOf(q.output, append([]string{"table", "json"}, formats...)); err != nil {
		return nil, err
	}
	saveMemory(env, q.targets)
	read, err := scan.Read(ctx, *q.target(env, q.targets))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the target
	}
	r := &reading{snapshots: read.Snapshots, holes: read.Coverage.Incomplete, warnings: read.Warnings, notes: []string{}}
	for _, w := range read.Warnings {
		r.note(w)
	}
	return r, nil
}

// oneOf refuses formats that are not known.
func oneOf(format string, known []string) error {
	if slices.Contains(known, format) {
		return nil
	}
	return fmt.Errorf("--output %q: want %s", format, strings.Join(known[:len(known)-1], ", ")+" or "+known[len(known)-1])
}

// note adds what is to be said of the answer, once.
func (r *reading) note(text string) {
	if text != "" && !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// finish writes the answer, as JSON or as text with remarks where that is a
// table, and makes the exit code of what it rests on.
func (q *questionFlags) finish(env *Env, r *reading, answer any, text string) error {
	if q.output == "json" {
		if err := writeJSON(env, answer); err != nil {
			return err
		}
	} else {
		if q.output == "table" {
			text += remarks(r.notes, r.holes)
		}
		if _, err := io.WriteString(env.Stdout, text); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
	}
	if len(r.holes) > 0 && !q.allowIncomplete {
		return &exitError{code: exitIncomplete}
	}
	return nil
}

// remarks says for people what is to be said of an answer, and what is not in it.
func remarks(notes []string, holes []seawall.Incomplete) string {
	var b strings.Builder
	for _, note := range notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	for _, hole := range holes {
		b.WriteString(notRead(hole))
	}
	return b.String()
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

// holeText says for people what could not be read, and where.
func holeText(hole seawall.Incomplete) string {
	return strings.TrimPrefix(hole.Location.String()+": "+hole.Reason, ": ")
}

// notRead is the line that says for people what is not in an answer.
func notRead(hole seawall.Incomplete) string { return "not read: " + holeText(hole) + "\n" }

// isCluster says that a snapshot is of a cluster and not of files.
func isCluster(s *cluster.Snapshot) bool { return s.Whole || s.Version != "" }

// answerSource names what an answer is about: a cluster, or all files together.
type answerSource struct {
	Cluster string `json:"cluster,omitempty"`
	Source  string `json:"source"` // cluster or files
}

func sourceOf(s *cluster.Snapshot) answerSource {
	out := answerSource{Source: "files"}
	if isCluster(s) {
		out.Source = "cluster"
	}
	for _, o := range s.Objects {
		if o.Cluster != "" {
			out.Cluster = o.Cluster
			break
		}
	}
	return out
}

// String is the heading of the source's part of an answer.
func (s answerSource) String() string {
	if s.Cluster == "" {
		return s.Source
	}
	return s.Source + " " + s.Cluster
}

func (s answerSource) source() answerSource { return s }

// bySource writes answers one after the other, under the names of what they are
// about where that is not the same for all.
func bySource[A interface{ source() answerSource }](w *strings.Builder, answers []A, write func(A)) {
	several := slices.ContainsFunc(answers, func(a A) bool { return a.source() != answers[0].source() })
	for i, a := range answers {
		if several && (i == 0 || a.source() != answers[i-1].source()) {
			fmt.Fprintf(w, "%s:\n", a.source())
		}
		write(a)
	}
}
