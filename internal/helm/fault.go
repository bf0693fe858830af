package helm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"seawall.io/seawall"
)

// hole turns the error of a template into what the user can act on: where it
// stopped, why, and what to set.
func (p *program) hole(src *source, err error) seawall.Incomplete {
	loc, at := p.faultPlace(src, err)
	var asked refusal
	var reason string
	switch {
	case errors.As(err, &asked):
		names := p.askedFor(at, loc)
		reason = "not rendered: the template says: " + strings.TrimSpace(asked.msg)
		if len(names) > 0 {
			value := p.find(at.scope, names[0])
			loc.Value = &value
			reason += fmt.Sprintf(": set %s with --set %s=... or in a values file", listPaths(names), names[0].set())
		} else {
			reason += ": give the values it asks for with --set or in a values file"
		}
	case errors.Is(err, context.DeadlineExceeded):
		reason = fmt.Sprintf("not rendered: the chart took longer than %s: look for a loop in this template", p.opts.Timeout)
	case errors.Is(err, errBudget):
		reason = fmt.Sprintf("not rendered: the templates of the chart wrote more than %d MiB or ran more than %d iterations: look for a loop in this template",
			p.opts.OutputBytes>>20, maxSteps)
	case src.parseErr != nil:
		reason = "the template cannot be parsed: " + lastMessage(err) + ": correct it, nothing in this file was rendered"
	default:
		reason = "not rendered: " + lastMessage(err) + missingHint(err)
	}
	return seawall.Incomplete{Location: loc, Reason: reason}
}

// missingHint explains the error that a missing sub-chart leads to.
func missingHint(err error) string {
	if strings.Contains(err.Error(), "no template ") {
		return ": define it in the templates of the chart, or run `helm dependency build` if a dependency has it"
	}
	return ""
}

// faultPlace reads the places in an error of text/template, of which the last
// one is where it happened.
func (p *program) faultPlace(src *source, err error) (seawall.Location, *source) {
	loc, at := seawall.Location{File: src.name}, src
	matches := regexp.MustCompile(`template: ([^:\n]+):(\d+)(?::(\d+))?:`).FindAllStringSubmatch(err.Error(), -1)
	for _, m := range slices.Backward(matches) {
		s := p.byName[m[1]]
		if s == nil {
			continue // text that tpl rendered
		}
		loc.File, at = s.name, s
		loc.Line, _ = strconv.Atoi(m[2])
		if column, err := strconv.Atoi(m[3]); err == nil {
			loc.Column = column + 1 // text/template counts bytes from 0
		}
		break
	}
	return loc, at
}

// askedFor returns the values that the action at a place looks at, or those
// that decide whether it is reached.
func (p *program) askedFor(src *source, loc seawall.Location) []valuePath {
	code := p.marked()
	var best *site
	var conds []*site
	for _, s := range code.sites {
		if s.define.src != src {
			continue
		}
		line, _ := src.position(int(s.node.Position()))
		switch n := s.node.(type) {
		case *parse.ActionNode, *parse.CommandNode:
			if line == loc.Line && best == nil {
				best = s
			}
		case *parse.PipeNode:
			if line <= loc.Line && len(n.Decl) == 0 {
				conds = append(conds, s)
			}
		}
	}
	ev := evaluator{program: p}
	var refs []ref
	if best != nil {
		refs = ev.node(&moment{site: best}, best.node).refs
	}
	if len(refs) == 0 && len(conds) > 0 {
		// {{ fail }} stands within the condition that found the values wanting.
		last := slices.MaxFunc(conds, func(a, b *site) int { return int(a.node.Position()) - int(b.node.Position()) })
		refs = ev.node(&moment{site: last}, last.node).refs
	}
	var out []valuePath
	for _, r := range refs {
		if path := r.scope.absolute(r.path); len(path) > 0 {
			out = append(out, path)
		}
	}
	return out
}

func listPaths(paths []valuePath) string {
	var names []string
	for _, p := range paths {
		if name := p.set(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names[:min(len(names), 4)], " or ")
}

// lastMessage is the innermost part of an error of text/template.
func lastMessage(err error) string {
	msg := err.Error()
	if i := strings.LastIndex(msg, "template: "); i >= 0 {
		if _, rest, ok := strings.Cut(msg[i:], ": executing "); ok {
			if _, rest, ok = strings.Cut(rest, ">: "); ok {
				if strings.HasPrefix(rest, "error calling ") {
					if _, cause, ok := strings.Cut(rest, ": "); ok {
						rest = cause
					}
				}
				return strings.TrimSpace(rest)
			}
		}
		parts := strings.SplitN(msg[i:], ": ", 3)
		return strings.TrimSpace(parts[len(parts)-1])
	}
	return msg
}
