// Package check is the policy engine: it reads rules, each one file, compiles
// their CEL in Kubernetes' own environment, and judges objects with them.
// Questions that need more than one object are answered by Go functions that a
// rule names. The package does no input or output and starts no goroutines;
// package scan feeds it and spreads the work.
package check

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/txtar"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// Rule is one check as its file describes it.
type Rule struct {
	ID       string
	Topic    string // the folder: pod, rbac, network
	Title    string
	Why      string // Markdown
	Fix      string // Markdown; its first sentence is the remediation
	Severity seawall.Severity
	Phase    seawall.Phase
	Layer    seawall.Layer
	// Match is container, pod, * or kinds: Service, networking.k8s.io/Ingress; or
	// kinds of event: exec, connect.
	Match   []string
	Each    string
	When    string
	Deny    string
	At      string
	Message string
	Patches []PatchTemplate
	Refs    []string
	Params  map[string]any
	// Off rules run only when somebody asks for them.
	Off bool
	// Func names a Go function instead of Deny.
	Func string
	// Whole rules judge live clusters and snapshots only: of files they say
	// nothing, and do not count as passed there.
	Whole bool
	// Conceal says that the line at fault holds what nobody should repeat, a
	// credential: reports do not show it.
	Conceal bool
	// Needs says what, beyond objects, the rule needs to be judged.
	Needs    string
	Examples []Example
	// What follows is of rules on events alone. Count matches, of as many values of
	// Distinct where that is given, must come in Within for one of what By names;
	// the steps of After before the match, in their order.
	By       By
	Count    int
	Distinct string // CEL
	Within   time.Duration
	After    []Step
	// Respond is what automatic response suits; empty where none does.
	Respond string
	// File is where the rule was read from.
	File string

	remediation string
	events      bool // it judges events
	// places are where the fields stand in File: deny, fix[0].expr.
	places map[string]place
}

// place is where the value of a field stands in the rule's file.
type place struct {
	line int
	// block says that the text is a block scalar, which begins on the next line.
	block bool
}

// at names the file, and the line of a field, and within it the line of its
// text, from 1, where they are known.
func (r *Rule) at(field string, line int) string {
	p, known := r.places[field]
	if !known {
		return r.File
	}
	if line > 1 || p.block {
		p.line += line - 1
	}
	if p.block {
		p.line++
	}
	return fmt.Sprintf("%s:%d", r.File, p.line)
}

// PatchTemplate is one line of a rule's fix.
type PatchTemplate struct {
	Op    string // set or remove
	Path  string
	Value any
	Expr  string // CEL that yields the value
	When  string // CEL; where it is not true, the patch is left out
}

// Example is a set of objects that must pass, or must fail in the wanted way.
type Example struct {
	Name string // pass/absent.yaml
	Text []byte
	Want string // of fail examples, one finding a line
	Fail bool
}

// Remediation is the first sentence of Fix, on one line.
func (r *Rule) Remediation() string {
	if r.remediation == "" {
		return firstSentence(r.Fix)
	}
	return r.remediation
}

func firstSentence(text string) string {
	first, _, _ := strings.Cut(text, "\n\n")
	first = strings.Join(strings.Fields(first), " ")
	if i := strings.Index(first, ". "); i > 0 {
		first = first[:i+1]
	}
	return first
}

// ParseRule reads a rule from the text of its txtar file. name is used in
// errors, and its folder becomes the topic.
func ParseRule(name string, text []byte) (*Rule, error) {
	ar := txtar.Parse(text)
	r := &Rule{File: name, Topic: path.Base(path.Dir(name))}
	if err := r.parseDoc(string(ar.Comment)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	wants := map[string]string{}
	found := false
	line := 1 + bytes.Count(ar.Comment, []byte("\n"))
	for _, f := range ar.Files {
		line++ // of the part's name
		first := line
		line += bytes.Count(f.Data, []byte("\n"))
		switch {
		case f.Name == "check.yaml" && found:
			return nil, fmt.Errorf("%s:%d: a second part check.yaml: one file is one check", name, first-1)
		case f.Name == "check.yaml":
			found = true
			if err := r.parseSpec(f.Data, first); err != nil {
				return nil, err
			}
		case strings.HasSuffix(f.Name, ".want"):
			wants[strings.TrimSuffix(f.Name, ".want")] = strings.TrimSpace(string(f.Data))
		case strings.HasPrefix(f.Name, "pass/"), strings.HasPrefix(f.Name, "fail/"):
			r.Examples = append(r.Examples, Example{Name: f.Name, Text: f.Data, Fail: strings.HasPrefix(f.Name, "fail/")})
		default:
			return nil, fmt.Errorf("%s:%d: part %q is none of check.yaml, pass/*, fail/* and fail/*.want", name, first-1, f.Name)
		}
	}
	if !found {
		return nil, fmt.Errorf("%s: the part check.yaml is missing: see docs/adding-a-check.md", name)
	}
	for i := range r.Examples {
		e := &r.Examples[i]
		stem := strings.TrimSuffix(e.Name, path.Ext(e.Name))
		e.Want = wants[stem]
		delete(wants, stem)
	}
	for stem := range wants {
		return nil, fmt.Errorf("%s: %s.want has no example beside it", name, stem)
	}
	return r, nil
}

// parseDoc takes title, reason and fix out of the comment before the parts.
func (r *Rule) parseDoc(text string) error {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	title, rest, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(title, "# ") {
		return fmt.Errorf("the first line must be the title: # Title")
	}
	r.Title = strings.TrimSpace(title[2:])
	why, fix, ok := strings.Cut("\n"+rest, "\nFix:")
	if !ok {
		return fmt.Errorf("a paragraph that begins with Fix: is missing")
	}
	r.Why, r.Fix = strings.TrimSpace(why), strings.TrimSpace(fix)
	r.remediation = firstSentence(r.Fix)
	if r.Why == "" {
		return fmt.Errorf("the paragraph that says why it matters is missing")
	}
	return nil
}

// parseSpec reads check.yaml, whose first line is the given one of the file.
func (r *Rule) parseSpec(text []byte, first int) error {
	docs := document.Parse(text, document.Limits{})
	if len(docs) != 1 {
		return fmt.Errorf("%s:%d: want one YAML document, have %d", r.File, first, len(docs))
	}
	if err := docs[0].Err; err != nil {
		return fmt.Errorf("%s:%d: %s", r.File, first+max(err.Line, 1)-1, err.Msg)
	}
	root := docs[0].Root
	if root.Kind() != document.Map {
		return fmt.Errorf("%s:%d: want a mapping with id, severity, match and deny or func", r.File, first)
	}
	lines := strings.Split(string(text), "\n")
	r.places = map[string]place{}
	locate := func(field string, pos document.Pos) {
		at := int(pos.Line)
		block := at <= len(lines) && pos.Column > 0 && isBlockHeader(lines[at-1], int(pos.Column))
		r.places[field] = place{first + at - 1, block}
	}
	for _, f := range root.Map() {
		locate(f.Key, f.Value.Pos)
		if f.Key == "fix" || f.Key == "after" {
			for i, item := range f.Value.List() {
				for _, part := range item.Map() {
					locate(fmt.Sprintf("%s[%d].%s", f.Key, i, part.Key), part.Value.Pos)
				}
			}
		}
		if err := r.setField(f.Key, f.Value); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", r.File, first+int(f.Pos.Line)-1, f.Key, err)
		}
	}
	if err := r.complete(); err != nil {
		return fmt.Errorf("%s:%d: %w", r.File, first, err)
	}
	return nil
}

// isBlockHeader says whether a block scalar begins at a column of a line. All
// before it is ASCII in a file of checks that anybody can read.
func isBlockHeader(line string, column int) bool {
	return column <= len(line) && (line[column-1] == '|' || line[column-1] == '>')
}

func (r *Rule) setField(key string, v *document.Node) error {
	if known, err := r.setEventField(key, v); known {
		return err
	}
	text := map[string]*string{
		"id": &r.ID, "each": &r.Each, "when": &r.When, "deny": &r.Deny, "at": &r.At,
		"message": &r.Message, "func": &r.Func, "needs": &r.Needs,
		"phase": (*string)(&r.Phase), "layer": (*string)(&r.Layer),
	}
	if dst := text[key]; dst != nil {
		if v.Kind() != document.String {
			return fmt.Errorf("want a string")
		}
		*dst = strings.TrimRight(v.Str(), " \t\r\n")
		return nil
	}
	switch key {
	case "severity":
		var err error
		r.Severity, err = seawall.ParseSeverity(v.Str())
		return err
	case "match", "refs":
		list, err := stringList(v)
		if key == "match" {
			r.Match = list
		} else {
			r.Refs = list
		}
		return err
	case "default":
		// YAML 1.1 reads a bare off as false.
		if on, isBool := v.Bool(); (isBool && !on) || v.Str() == "off" {
			r.Off = true
			return nil
		}
		return fmt.Errorf("the only value is off")
	case "whole":
		var ok bool
		if r.Whole, ok = v.Bool(); !ok {
			return fmt.Errorf("want true or false")
		}
		return nil
	case "conceal":
		var ok bool
		if r.Conceal, ok = v.Bool(); !ok {
			return fmt.Errorf("want true or false")
		}
		return nil
	case "params":
		m, ok := v.Value().(map[string]any)
		if !ok {
			return fmt.Errorf("want a mapping of names to defaults")
		}
		r.Params = m
		return nil
	case "fix":
		if v.Kind() != document.List {
			return fmt.Errorf("want a list of {op: set or remove, path, value or expr}")
		}
		for _, item := range v.List() {
			p, err := parsePatch(item)
			if err != nil {
				return err
			}
			r.Patches = append(r.Patches, p)
		}
		return nil
	}
	return fmt.Errorf("unknown field: docs/adding-a-check.md lists the fields")
}

func parsePatch(item *document.Node) (PatchTemplate, error) {
	var p PatchTemplate
	text := map[string]*string{"op": &p.Op, "path": &p.Path, "expr": &p.Expr, "when": &p.When}
	for _, f := range item.Map() {
		switch dst := text[f.Key]; {
		case f.Key == "value":
			p.Value = f.Value.Value()
		case dst == nil:
			return p, fmt.Errorf("unknown field %q: want op, path, value, expr, when", f.Key)
		case f.Value.Kind() != document.String:
			return p, fmt.Errorf("%s: want a string", f.Key)
		default:
			*dst = f.Value.Str()
		}
	}
	switch hasValue := item.Get("value") != nil; {
	case p.Op != "set" && p.Op != "remove", p.Path == "":
		return p, fmt.Errorf("want op: set or remove, and a path")
	case p.Op == "set" && hasValue == (p.Expr != ""):
		return p, fmt.Errorf("set %s: want either value or expr", p.Path)
	case p.Op == "remove" && (hasValue || p.Expr != ""):
		return p, fmt.Errorf("remove %s: takes no value", p.Path)
	}
	return p, nil
}

func stringList(v *document.Node) ([]string, error) {
	if s := v.Str(); s != "" {
		return []string{s}, nil
	}
	if v.Kind() != document.List {
		return nil, fmt.Errorf("want a string, or a list of strings")
	}
	var out []string
	for _, item := range v.List() {
		if item.Str() == "" {
			return nil, fmt.Errorf("want a list of strings")
		}
		out = append(out, item.Str())
	}
	return out, nil
}

// complete fills in what follows from other fields and refuses what does not
// fit together.
func (r *Rule) complete() error {
	switch {
	case r.ID == "":
		return fmt.Errorf("id is missing")
	case strings.Trim(r.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return fmt.Errorf("id %q: use lower-case letters, digits and dashes", r.ID)
	case r.Severity == seawall.None:
		return fmt.Errorf("severity is missing")
	case len(r.Match) == 0:
		return fmt.Errorf("match is missing")
	case !slices.Contains([]seawall.Layer{"", seawall.CloudLayer, seawall.ClusterLayer, seawall.ContainerLayer, seawall.CodeLayer}, r.Layer):
		return fmt.Errorf("layer %q: want cloud, cluster, container or code", r.Layer)
	case r.Topic == RuntimeTopic || namesEvents(r.Match):
		r.events = true
		return r.completeEvents()
	case (r.Deny == "") == (r.Func == "") && r.Needs == "":
		return fmt.Errorf("want either deny or func")
	case r.Deny != "" && r.Message == "":
		return fmt.Errorf("message is missing")
	case !slices.Contains([]seawall.Phase{"", seawall.Build, seawall.Deploy, seawall.Runtime}, r.Phase):
		return fmt.Errorf("phase %q: want build, deploy or runtime", r.Phase)
	case len(r.Match) > 1 && (slices.Contains(r.Match, "pod") || slices.Contains(r.Match, "container")):
		return fmt.Errorf("match: pod and container stand alone")
	}
	if err := r.refuseEventFields(); err != nil {
		return err
	}
	if r.Phase == "" {
		r.Phase = seawall.Build
	}
	if r.Layer == "" {
		r.Layer = seawall.ClusterLayer
		if r.Scope() != ScopeObject {
			r.Layer = seawall.ContainerLayer
		}
	}
	return nil
}

// Scope is what a rule is judged on.
type Scope uint8

// The scopes.
const (
	ScopeObject Scope = iota
	ScopePod
	ScopeContainer
)

// Scope tells what a rule is judged on.
func (r *Rule) Scope() Scope {
	switch r.Match[0] {
	case "pod":
		return ScopePod
	case "container":
		return ScopeContainer
	}
	return ScopeObject
}
