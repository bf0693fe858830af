// Package exception marks findings that somebody accepted: through a comment
// beside the line, an annotation on the object, or a file of exceptions. It
// never drops a finding, and it warns of exceptions that have expired or that
// no longer accept anything.
package exception

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// Annotation is the annotation that accepts findings of its object: a JSON
// list of {"check","container","reason","expires"}.
const Annotation = "seawall.io/ignore"

// marker begins an accepting comment.
const marker = "seawall:ignore"

// entry is one exception, wherever it was written.
type entry struct {
	check     string // ID, or with * for any run of characters
	container string // "" for all
	reason    string
	expires   string // YYYY-MM-DD, last day included; "" never
	by        string // annotation, comment or file
	where     string // for warnings
	match     *check.Match
	used      bool
}

// List is a file of exceptions.
type List struct{ entries []*entry }

// ParseList reads a file of exceptions:
//
//	exceptions:
//	  - check: hostpath-*
//	    match: object.metadata.namespace == "kube-system"
//	    container: agent
//	    reason: node agents need it
//	    expires: 2027-01-31
//
// check and reason are required. name is used in errors and warnings.
func ParseList(name string, text []byte) (*List, error) {
	l := &List{}
	var matcher check.Matcher
	for _, d := range document.Parse(text, document.Limits{}) {
		switch {
		case d.Err != nil:
			return nil, fmt.Errorf("%s:%d: %s", name, max(d.Err.Line, 1), d.Err.Msg)
		case d.Root.IsNull():
			continue
		case d.Root.Kind() != document.Map:
			return nil, fmt.Errorf("%s:%d: want a mapping with the key exceptions", name, d.Root.Pos.Line)
		}
		for _, f := range d.Root.Map() {
			if f.Key != "exceptions" {
				return nil, fmt.Errorf("%s:%d: unknown key %q: want exceptions", name, f.Pos.Line, f.Key)
			}
			if !f.Value.IsNull() && f.Value.Kind() != document.List {
				return nil, fmt.Errorf("%s:%d: exceptions: want a list", name, f.Pos.Line)
			}
			for _, item := range f.Value.List() {
				e, pos, err := parseItem(item, &matcher)
				if err != nil {
					return nil, fmt.Errorf("%s:%d: %w", name, pos.Line, err)
				}
				e.where = fmt.Sprintf("%s:%d", name, item.Pos.Line)
				l.entries = append(l.entries, e)
			}
		}
	}
	return l, nil
}

// parseItem reads one exception. matcher compiles its match; without one it may
// have none. pos is the place of what is wrong.
func parseItem(item *document.Node, matcher *check.Matcher) (e *entry, pos document.Pos, err error) {
	e = &entry{by: "file"}
	fields := map[string]*string{
		"check": &e.check, "container": &e.container, "reason": &e.reason, "expires": &e.expires,
	}
	if item.Kind() != document.Map {
		return nil, item.Pos, fmt.Errorf("want a mapping with check and reason")
	}
	for _, f := range item.Map() {
		if f.Value.Kind() != document.String && (fields[f.Key] != nil || f.Key == "match") {
			return nil, f.Pos, fmt.Errorf("%s: want a string", f.Key)
		}
		switch dst := fields[f.Key]; {
		case dst != nil:
			*dst = f.Value.Str()
		case f.Key != "match":
			return nil, f.Pos, fmt.Errorf("unknown key %q: want check, match, container, reason, expires", f.Key)
		case matcher == nil:
			return nil, f.Pos, fmt.Errorf("match belongs in a file of exceptions")
		default:
			if e.match, err = matcher.Compile(f.Value.Str()); err != nil {
				return nil, f.Pos, fmt.Errorf("match: %w", err)
			}
		}
	}
	return e, item.Pos, e.valid()
}

func (e *entry) valid() error {
	if e.check == "" {
		return fmt.Errorf("an exception must name its check")
	}
	if strings.TrimSpace(e.reason) == "" {
		return fmt.Errorf("an exception for %s must give a reason", e.check)
	}
	if _, err := time.Parse(time.DateOnly, e.expires); e.expires != "" && err != nil {
		return fmt.Errorf("expires %q: want a date, YYYY-MM-DD", e.expires)
	}
	if _, err := path.Match(e.check, ""); err != nil {
		return fmt.Errorf("check %q: %w: use a name, or * for any run of characters", e.check, err)
	}
	return nil
}

// accepts says whether the exception is about the finding; it does not look at
// the date.
func (e *entry) accepts(f *seawall.Finding) bool {
	if e.container != "" && e.container != f.Subject.Container {
		return false
	}
	if e.check == f.Check {
		return true
	}
	ok, err := path.Match(e.check, f.Check)
	return err == nil && ok
}

// Acceptance applies exceptions to findings.
type Acceptance struct {
	List  *List  // may be nil
	Today string // YYYY-MM-DD
	// Objects are all that was scanned, so that exceptions on objects without a
	// finding are found too.
	Objects []*cluster.Object
	// Checks are the IDs of those that ran, and Known those of all there are: an
	// exception for one that did not run is not called useless, and one for none
	// at all is.
	Checks, Known []string
	// Partial says that some objects of the files were left out, so that an
	// exception may be for one of them.
	Partial bool
	// Text returns the text of a file in which findings stand, nil when it
	// cannot be had.
	Text func(file string) []byte
}

// Apply marks the findings that an exception accepts and returns warnings.
// objects holds the object of each finding, in the same order.
func (a *Acceptance) Apply(findings []*seawall.Finding, objects []*cluster.Object) []string {
	s := session{
		Acceptance: a,
		comments:   map[string]map[int][]*entry{},
		annotated:  map[*cluster.Object][]*entry{},

		annotatedFiles: map[string]bool{},
		expired:        map[*entry]bool{},
	}
	for i := range findings {
		s.apply(findings[i], objects[i])
	}
	for _, o := range a.Objects {
		s.ofObject(o)
		if o.Text != nil {
			s.ofFile(o.File)
		}
	}
	return s.conclude()
}

// session is one run of Apply.
type session struct {
	*Acceptance
	comments  map[string]map[int][]*entry
	annotated map[*cluster.Object][]*entry
	// annotatedFiles says which files hold the annotation at all.
	annotatedFiles map[string]bool
	all            []*entry
	last           *cluster.Object // findings of one object come one after another
	lastList       []*entry
	expired        map[*entry]bool
	warnings       []string
}

func (s *session) apply(f *seawall.Finding, o *cluster.Object) {
	if s.accept(f, o, s.ofObject(o)) {
		return
	}
	if f.Location.File != "" && s.accept(f, o, s.ofFile(f.Location.File)[f.Location.Line]) {
		return
	}
	if s.List != nil {
		s.accept(f, o, s.List.entries)
	}
}

// accept marks the finding if one of the exceptions is about it and holds.
func (s *session) accept(f *seawall.Finding, o *cluster.Object, entries []*entry) bool {
	for _, e := range entries {
		if !e.accepts(f) || !s.matches(e, o) {
			continue
		}
		e.used = true
		if e.expires != "" && e.expires < s.Today {
			s.expired[e] = true
			continue
		}
		f.Suppressed = &seawall.Suppression{Reason: e.reason, Expires: e.expires, By: e.by}
		return true
	}
	return false
}

func (s *session) matches(e *entry, o *cluster.Object) bool {
	if e.match == nil {
		return true
	}
	ok, err := e.match.Matches(o)
	return err == nil && ok
}

// ofObject returns the exceptions in the annotation of an object, or of the
// pod template inside it.
func (s *session) ofObject(o *cluster.Object) []*entry {
	if o == s.last {
		return s.lastList
	}
	list, known := s.annotated[o]
	if !known && s.mayBeAnnotated(o) {
		list = s.annotations(o)
		s.annotated[o] = list
		s.all = append(s.all, list...)
	}
	s.last, s.lastList = o, list
	return list
}

// mayBeAnnotated rules out most objects without looking for their templates.
func (s *session) mayBeAnnotated(o *cluster.Object) bool {
	if o.Text == nil {
		return true
	}
	has, known := s.annotatedFiles[o.File]
	if !known {
		has = bytes.Contains(o.Text, []byte(Annotation))
		s.annotatedFiles[o.File] = has
	}
	return has
}

func (s *session) annotations(o *cluster.Object) []*entry {
	var list []*entry
	roots := []string{""}
	for _, t := range cluster.PodTemplates(o) {
		if t.Path != "" {
			roots = append(roots, t.Path)
		}
	}
	for _, root := range roots {
		path := document.Key(document.Key(root, "metadata"), "annotations")
		path = document.Key(path, Annotation)
		n, _ := o.Root.Find(path)
		if n == nil {
			continue
		}
		where := o.Locate(path)
		if where.File == "" {
			where.Path = o.Subject().String()
		}
		list = append(list, s.parseAnnotation(n.Str(), where.String())...)
	}
	return list
}

func (s *session) parseAnnotation(text, where string) []*entry {
	root, err := document.ParseJSON([]byte(text), document.Limits{Bytes: 256 << 10})
	if err != nil || root.Kind() != document.List {
		s.warnings = append(s.warnings, fmt.Sprintf(`%s: annotation %s is not valid: want a JSON list of {"check","container","reason","expires"}`, where, Annotation))
		return nil
	}
	var out []*entry
	for _, item := range root.List() {
		e, _, err := parseItem(item, nil)
		if err != nil {
			s.warnings = append(s.warnings, fmt.Sprintf("%s: annotation %s: %v", where, Annotation, err))
			continue
		}
		e.by, e.where = "annotation", where
		out = append(out, e)
	}
	return out
}

// ofFile returns the exceptions in the comments of a file, by the line that
// they are about.
func (s *session) ofFile(name string) map[int][]*entry {
	if lines, known := s.comments[name]; known {
		return lines
	}
	var lines map[int][]*entry
	if text := s.Text(name); text != nil {
		for _, c := range document.Comments(text, marker) {
			e, err := parseComment(c.Text)
			where := fmt.Sprintf("%s:%d", name, c.Line)
			if err != nil {
				s.warnings = append(s.warnings, fmt.Sprintf("%s: %v", where, err))
				continue
			}
			e.where = where
			if lines == nil {
				lines = map[int][]*entry{}
			}
			line := int(c.Line)
			lines[line] = append(lines[line], e)
			if c.Alone {
				next := line + 1 + commentLinesAfter(text, line)
				lines[next] = append(lines[next], e)
			}
			s.all = append(s.all, e)
		}
	}
	s.comments[name] = lines
	return lines
}

// commentLinesAfter counts the comment lines that follow a line, so that
// several exceptions can stand above one line.
func commentLinesAfter(text []byte, line int) int {
	n := 0
	for i, l := range strings.Split(string(text), "\n") {
		if i < line {
			continue
		}
		if !strings.HasPrefix(strings.TrimSpace(l), "#") {
			break
		}
		n++
	}
	return n
}

var (
	commentPattern = regexp.MustCompile(`^seawall:ignore\s+(\S+)\s*(.*)$`)
	settingPattern = regexp.MustCompile(`^(reason|expires|container)=("([^"]*)"|[^"\s]\S*)(\s+|$)`)
)

func parseComment(text string) (*entry, error) {
	m := commentPattern.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf(`want: # seawall:ignore CHECK reason="..." expires=YYYY-MM-DD`)
	}
	e := &entry{check: m[1], by: "comment"}
	for rest := m[2]; rest != ""; {
		set := settingPattern.FindStringSubmatch(rest)
		if set == nil && strings.Count(rest, `"`)%2 != 0 {
			return nil, fmt.Errorf("seawall:ignore %s: %s: no quote closes it", e.check, rest)
		}
		if set == nil {
			return nil, fmt.Errorf(`seawall:ignore %s: %q is not understood: want reason="...", expires=YYYY-MM-DD or container=NAME`, e.check, rest)
		}
		v := set[2]
		if strings.HasPrefix(v, `"`) {
			v = set[3]
		}
		dst := map[string]*string{"reason": &e.reason, "expires": &e.expires, "container": &e.container}[set[1]]
		if *dst != "" {
			return nil, fmt.Errorf("seawall:ignore %s: %s is set twice", e.check, set[1])
		}
		*dst = v
		rest = rest[len(set[0]):]
	}
	return e, e.valid()
}

// conclude returns the warnings, sorted.
func (s *session) conclude() []string {
	if s.List != nil {
		s.all = append(s.all, s.List.entries...)
	}
	for _, e := range s.all {
		switch {
		case s.expired[e]:
			s.warnings = append(s.warnings, fmt.Sprintf("%s: the exception for %s expired on %s: fix the finding, or renew it", e.where, e.check, e.expires))
		case e.used:
		case !e.names(s.Known):
			s.warnings = append(s.warnings, fmt.Sprintf("%s: no check is called %s: `seawall check list` names them all", e.where, e.check))
		case e.names(s.Checks) && (!s.Partial || e.by == "annotation"):
			s.warnings = append(s.warnings, fmt.Sprintf("%s: the exception for %s accepts nothing any more: remove it", e.where, e.check))
		}
	}
	slices.Sort(s.warnings)
	return slices.Compact(s.warnings)
}

// names says whether the exception is about one of the checks.
func (e *entry) names(checks []string) bool {
	return slices.ContainsFunc(checks, func(id string) bool {
		ok, err := path.Match(e.check, id)
		return err == nil && ok
	})
}
