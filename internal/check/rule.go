// Package check is the policy engine: it reads rules, each one file, compiles
// their CEL in Kubernetes' own environment, and judges objects with them.
// Questions that need more than one object are answered by Go functions that a
// rule names. The package does no input or output and starts no goroutines;
// package scan feeds it and spreads the work.
package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

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
	// Match is container, pod, * or kinds: Service, networking.k8s.io/Ingress.
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
	// Needs says what, beyond objects, the rule needs to be judged.
	Needs    string
	Examples []Example
	// File is where the rule was read from.
	File string

	remediation string
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
	for _, f := range ar.Files {
		switch {
		case f.Name == "check.yaml":
			found = true
			if err := r.parseSpec(f.Data); err != nil {
				return nil, fmt.Errorf("%s: check.yaml: %w", name, err)
			}
		case strings.HasSuffix(f.Name, ".want"):
			wants[strings.TrimSuffix(f.Name, ".want")] = strings.TrimSpace(string(f.Data))
		case strings.HasPrefix(f.Name, "pass/"), strings.HasPrefix(f.Name, "fail/"):
			r.Examples = append(r.Examples, Example{Name: f.Name, Text: f.Data, Fail: strings.HasPrefix(f.Name, "fail/")})
		default:
			return nil, fmt.Errorf("%s: part %q is none of check.yaml, pass/*, fail/* and fail/*.want", name, f.Name)
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

func (r *Rule) parseSpec(text []byte) error {
	docs := document.Parse(text, document.Limits{})
	if len(docs) != 1 {
		return fmt.Errorf("want one YAML document, have %d", len(docs))
	}
	if docs[0].Err != nil {
		return docs[0].Err
	}
	root := docs[0].Root
	if root == nil || root.Kind != document.Map {
		return fmt.Errorf("want a mapping with id, severity, match and deny or func")
	}
	for _, f := range root.Fields {
		if err := r.setField(f.Key, f.Value); err != nil {
			return fmt.Errorf("line %d: %s: %w", f.Pos.Line, f.Key, err)
		}
	}
	return r.complete()
}

func (r *Rule) setField(key string, v *document.Node) error {
	text := map[string]*string{
		"id": &r.ID, "each": &r.Each, "when": &r.When, "deny": &r.Deny, "at": &r.At,
		"message": &r.Message, "func": &r.Func, "needs": &r.Needs,
		"phase": (*string)(&r.Phase), "layer": (*string)(&r.Layer),
	}
	if dst := text[key]; dst != nil {
		if v.Kind != document.String {
			return fmt.Errorf("want a string")
		}
		*dst = strings.TrimSpace(v.Text)
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
	case "params":
		m, ok := v.Value().(map[string]any)
		if !ok {
			return fmt.Errorf("want a mapping of names to defaults")
		}
		r.Params = m
		return nil
	case "fix":
		for _, item := range v.List() {
			p := PatchTemplate{
				Op: item.Get("op").Str(), Path: item.Get("path").Str(),
				Value: item.Get("value").Value(), Expr: item.Get("expr").Str(), When: item.Get("when").Str(),
			}
			if (p.Op != "set" && p.Op != "remove") || p.Path == "" {
				return fmt.Errorf("want op: set or remove, and a path")
			}
			r.Patches = append(r.Patches, p)
		}
		return nil
	}
	return fmt.Errorf("unknown field: docs/adding-a-check.md lists the fields")
}

func stringList(v *document.Node) ([]string, error) {
	if s := v.Str(); s != "" {
		return []string{s}, nil
	}
	var out []string
	for _, item := range v.List() {
		if item.Str() == "" {
			return nil, fmt.Errorf("want a list of strings")
		}
		out = append(out, item.Text)
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
	case (r.Deny == "") == (r.Func == "") && r.Needs == "":
		return fmt.Errorf("want either deny or func")
	case r.Deny != "" && r.Message == "":
		return fmt.Errorf("message is missing")
	case len(r.Match) > 1 && (slices.Contains(r.Match, "pod") || slices.Contains(r.Match, "container")):
		return fmt.Errorf("match: pod and container stand alone")
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
