// Package detect is the detection engine: it judges the events of a node by
// runtime checks and turns matches into alerts, and alerts into incidents. A check
// is the same file as any other, with CEL over the event, the tree of its process,
// its container, its pod and what the workload was seen to do; counts and sequences
// look back over windows of time.
//
// The package does no input or output, starts no goroutine and has no clock: time
// is what the events say. What it remembers is bounded, each container has a share
// of its own, and what had to be forgotten is counted in [Stats], as is every match
// that could not be decided.
package detect

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
)

// Options choose how an Engine judges. The zero value judges by every rule that is
// on by default.
type Options struct {
	// Node is put into alerts whose event does not name its node.
	Node string
	// On names rules to judge by although they are off by default.
	On []string
	// Params changes parameters: check, name, value. Severity changes severities.
	Params   map[string]map[string]any
	Severity map[string]seawall.Severity
	// Exceptions are what somebody accepted; may be nil.
	Exceptions *Exceptions
	Limits     Limits
	// Interpreter judges by cel-go's interpreter alone. Nothing changes but the
	// speed; the tests hold the one against the other.
	Interpreter bool
}

// Engine judges events. It is for one goroutine; events of one container must come
// in the order in which they happened.
type Engine struct {
	options Options
	rules   []*rule
	byKind  [][]duty
	memory  *memory
	folds   *folds
	frame   frame
	now     uint64 // the latest time that an event had, nanoseconds since boot
	stats   Stats
}

// duty is what a rule has to do with events of one kind: judge them, or take note
// of them as a step.
type duty struct {
	rule *rule
	step int // judgement where it is the last
}

// judgement is the step at which a rule judges.
const judgement = check.MaxSteps

// New makes an engine of those of the rules that judge events. Its error joins all
// that is wrong with them.
func New(rules []*check.Rule, o Options) (*Engine, error) {
	env, err := newEnv()
	if err != nil {
		return nil, err
	}
	e := &Engine{options: o, byKind: make([][]duty, len(seawall.EventKinds())+1)}
	e.options.Limits = o.Limits.orDefaults()
	e.memory, e.folds = newMemory(e.options.Limits), newFolds(e.options.Limits)
	var errs []error
	seen := map[string]string{}
	for _, source := range rules {
		if !source.OnEvents() || (source.Off && !slices.Contains(o.On, source.ID)) {
			continue
		}
		if other, dup := seen[source.ID]; dup {
			errs = append(errs, source.Broken("id", fmt.Errorf("check %q is already defined in %s: give it another id", source.ID, other)))
			continue
		}
		seen[source.ID] = source.File
		source, err := source.WithParams(o.Params[source.ID])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r, err := compile(env, source)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if s, changed := o.Severity[r.ID]; changed {
			r.severity = s
		}
		if o.Interpreter {
			r.interpretOnly()
		}
		e.rules = append(e.rules, r)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	e.assign()
	return e, nil
}

// interpretOnly takes the closures out of a rule.
func (r *rule) interpretOnly() {
	all := []*expression{r.when, r.deny, r.distinct}
	for i := range r.steps {
		all = append(all, r.steps[i].when, r.steps[i].deny)
		r.steps[i].join = nil
	}
	for _, p := range r.message {
		all = append(all, p.expr)
	}
	for _, x := range all {
		if x != nil {
			x.fast = (*compiler)(nil).unknown()
		}
	}
}

// assign fills byKind. Rules judge an event before they take note of it, and take
// note of the last step first, so that no event is its own predecessor.
func (e *Engine) assign() {
	for _, k := range seawall.EventKinds() {
		for _, r := range e.rules {
			kinds, err := check.Kinds(r.Match)
			if err == nil && slices.Contains(kinds, k) {
				e.byKind[k] = append(e.byKind[k], duty{r, judgement})
			}
		}
		for _, r := range e.rules {
			for i := len(r.steps) - 1; i >= 0; i-- {
				if r.steps[i].usesKind(k) {
					e.byKind[k] = append(e.byKind[k], duty{r, i})
				}
			}
		}
	}
}

// Observe judges an event and returns the alerts that it completes, and the
// summaries of repeats whose window has ended. The event is kept where a sequence
// or an alert needs it, so nobody may change it afterwards.
func (e *Engine) Observe(ev *seawall.Event) []*seawall.Alert {
	e.stats.Events++
	out := e.Advance(ev.Boot)
	if int(ev.Kind) >= len(e.byKind) {
		return out
	}
	e.frame.event, e.frame.joinedOf = ev, nil
	for _, d := range e.byKind[ev.Kind] {
		e.frame.rule = d.rule
		if d.step != judgement {
			e.note(d.rule, d.step)
			continue
		}
		if a := e.judge(d.rule); a != nil {
			out = append(out, a)
		}
	}
	return out
}

// Advance tells the engine what time it is, in nanoseconds since boot, and returns
// the summaries that are due. Events do so too; on a quiet node somebody must.
func (e *Engine) Advance(boot uint64) []*seawall.Alert {
	e.now = max(e.now, boot)
	return e.folds.expire(e.now)
}

// Flush returns the summaries of all repeats that are still being counted.
func (e *Engine) Flush() []*seawall.Alert { return e.folds.flush() }

// at is when the event of the frame happened.
func (e *Engine) at() uint64 {
	if e.frame.event.Boot == 0 {
		return e.now
	}
	return e.frame.event.Boot
}

// holds evaluates two conditions, either of which may be nil. What cannot be
// decided does not hold, and is counted.
func (e *Engine) holds(r *rule, when, deny *expression) bool {
	for _, x := range [...]*expression{when, deny} {
		if x == nil {
			continue
		}
		ok, err := x.judge(&e.frame, r.last == nil)
		if err != nil {
			r.undecided(err)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (r *rule) undecided(err error) {
	r.stats.Undecided++
	if !errors.Is(err, errFailed) {
		r.last = err
	}
}

// judge judges the event by a rule, and returns an alert where there is one to
// send.
func (e *Engine) judge(r *rule) *seawall.Alert {
	if len(r.steps) == 0 {
		if !e.holds(r, r.when, r.deny) {
			return nil
		}
		return e.matched(r, nil)
	}
	if r.trails == 0 || !e.holds(r, r.when, nil) {
		return nil
	}
	last := len(r.steps) - 1
	for _, en := range slices.Backward(e.before(r, last)) {
		if !e.follows(&en.trail, r.steps[last].within) {
			continue
		}
		e.frame.steps = en.trail.events
		if e.holds(r, nil, r.deny) {
			return e.matched(r, en.trail.events[:last+1])
		}
	}
	return nil
}

// before returns the sequences that have come to a step and that the event may
// continue.
func (e *Engine) before(r *rule, i int) []*entry {
	return e.memory.slots[slot{r, i, scopeOf(r.By, e.frame.event), e.frame.joinValue(r.steps[i].join, ofEvent)}]
}

// follows says whether the event came after a trail and within a window.
func (e *Engine) follows(t *trail, within uint64) bool {
	at := e.at()
	return t.at <= at && at-t.at <= within
}

// note takes note of the event as a step of a sequence.
func (e *Engine) note(r *rule, i int) {
	s := &r.steps[i]
	if i == 0 {
		if e.holds(r, s.when, s.deny) {
			e.remember(r, 0, trail{})
		}
		return
	}
	before := e.before(r, i-1)
	if len(before) == 0 || !e.holds(r, s.when, nil) {
		return
	}
	// What is remembered may push entries out of the list that is being read.
	for _, en := range slices.Clone(before) {
		if !e.follows(&en.trail, r.steps[i-1].within) {
			continue
		}
		e.frame.steps = en.trail.events
		if e.holds(r, nil, s.deny) {
			e.remember(r, i, en.trail)
		}
	}
}

func (e *Engine) remember(r *rule, i int, t trail) {
	ev, at := e.frame.event, e.at()
	t.events[i], t.at = ev, at
	e.frame.steps = t.events
	s := slot{r, i, scopeOf(r.By, ev), e.frame.joinValue(r.steps[i].join, ofStep)}
	en := e.memory.add(s, owner(ev), e.now, later(at, r.steps[i].within))
	en.trail = t
}

// later adds a window to a time; there is nothing after the end of time.
func later(at, window uint64) uint64 {
	if at+window < at {
		return ^uint64(0)
	}
	return at + window
}

// matched counts a match and raises an alert where it completes the count.
func (e *Engine) matched(r *rule, earlier []*seawall.Event) *seawall.Alert {
	r.stats.Matched++
	if r.Count == 0 {
		return e.raise(r, slices.Clone(earlier), repeats(e.frame.event))
	}
	ev, at := e.frame.event, e.at()
	var v string
	if r.distinct != nil {
		var err error
		if v, err = r.distinct.text(&e.frame); err != nil {
			r.undecided(err)
			return nil
		}
	}
	s := slot{rule: r, step: counterStep, scope: scopeOf(r.By, ev)}
	expires := later(at, r.within)
	var en *entry
	if list := e.memory.slots[s]; len(list) > 0 {
		en = list[0]
		e.memory.renew(en, expires)
	} else {
		en = e.memory.add(s, owner(ev), e.now, expires)
	}
	if !en.counter.add(r, ev, at, repeats(ev), v) {
		return nil
	}
	earlier = append(slices.Clone(earlier), en.counter.recent...)
	e.memory.remove(en)
	return e.raise(r, earlier, 1)
}

// Stats say what an engine did, and what it could not do.
type Stats struct {
	Events uint64 `json:"events"`
	// Alerts were returned; Folded matches were counted into one of them; Accepted
	// ones fell under an exception.
	Alerts   uint64 `json:"alerts"`
	Folded   uint64 `json:"folded"`
	Accepted uint64 `json:"accepted"`
	// Entries are the counters and begun sequences that are remembered now; Evicted
	// were pushed out before their time.
	Entries int    `json:"entries"`
	Evicted uint64 `json:"evicted"`
	// Interpreted is how often cel-go had to be asked.
	Interpreted uint64      `json:"interpreted"`
	Rules       []RuleStats `json:"rules"` // sorted by check
}

// RuleStats are those of one rule.
type RuleStats struct {
	Check    string `json:"check"`
	Matched  uint64 `json:"matched"`
	Accepted uint64 `json:"accepted,omitempty"`
	// Undecided counts evaluations that yielded an error; Error is the last of them
	// that was asked for in words.
	Undecided uint64 `json:"undecided,omitempty"`
	Error     string `json:"error,omitempty"`
}

// Stats returns what the engine did so far.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Entries, s.Evicted = e.memory.total, e.memory.evicted
	s.Alerts, s.Folded = e.folds.sent, e.folds.folded
	s.Interpreted = e.frame.slow
	for _, r := range e.rules {
		rs := r.stats
		rs.Check = r.ID
		if r.last != nil {
			rs.Error = r.last.Error()
		}
		s.Rules = append(s.Rules, rs)
	}
	slices.SortFunc(s.Rules, func(a, b RuleStats) int { return cmp.Compare(a.Check, b.Check) })
	return s
}

// Checks returns the IDs of the rules that the engine judges by, sorted.
func (e *Engine) Checks() []string {
	ids := map[string]bool{}
	for _, r := range e.rules {
		ids[r.ID] = true
	}
	return slices.Sorted(maps.Keys(ids))
}
