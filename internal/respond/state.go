package respond

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall"
)

// New returns a responder that goes on with what the state folder says: pods that
// are contained are cut and frozen again, should they not be. What of that failed
// is returned with it; the responder works all the same.
func New(o Options) (*Responder, error) {
	r := &Responder{o: o, busy: map[string]bool{}, held: map[string]*contained{}}
	if o.State == "" {
		return r, nil
	}
	if err := os.MkdirAll(o.State, 0o700); err != nil {
		return r, fmt.Errorf("making the folder for what is contained: %w", err)
	}
	entries, err := os.ReadDir(o.State)
	if err != nil {
		return r, fmt.Errorf("reading what is contained: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(o.State, e.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var c contained
		if err := json.Unmarshal(text, &c); err != nil || c.Act == nil || c.Act.Pod == nil {
			errs = append(errs, fmt.Errorf("%s says nothing of a contained pod: %w", filepath.Join(o.State, e.Name()), err))
			continue
		}
		if c.Automatic {
			// Who makes the agent crash must not get a new budget by it.
			r.past.acts = append(r.past.acts, pastAct{c.Act.Time, c.Act.Pod.Namespace + "/" + c.Act.Pod.Workload.String()})
		}
		if _, err := os.Stat(c.Dir); errors.Is(err, fs.ErrNotExist) {
			// The pod went while no agent ran.
			r.held[c.Act.Pod.UID] = &c
			r.forget(&c)
			continue
		}
		r.held[c.Act.Pod.UID] = &c
		_, cutErr := r.cut(c.target())
		if err := errors.Join(cutErr, o.Freezer.Freeze(c.target())); err != nil {
			errs = append(errs, fmt.Errorf("holding pod %s/%s: %w", c.Act.Pod.Namespace, c.Act.Pod.Name, err))
		}
	}
	return r, errors.Join(errs...)
}

// Contained returns the acts of the pods that are contained now, oldest first.
func (r *Responder) Contained() []*seawall.Act {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*seawall.Act, 0, len(r.held))
	for _, c := range r.held {
		act := *c.Act
		act.Steps = slices.Clone(act.Steps)
		out = append(out, &act)
	}
	slices.SortFunc(out, func(a, b *seawall.Act) int { return a.Time.Compare(b.Time) })
	return out
}

// remember writes a contained pod to the state folder. That it cannot be written is
// a step of the act that failed: the pod is contained all the same, until the agent
// ends and its pins, which outlive it, are all that holds the pod.
func (r *Responder) remember(c *contained) {
	r.mu.Lock()
	r.held[c.Act.Pod.UID] = c
	r.mu.Unlock()
	if r.o.State == "" {
		return
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		file := r.file(c)
		if err = os.WriteFile(file+".new", text, 0o600); err == nil {
			err = os.Rename(file+".new", file)
		}
	}
	if err != nil && c.Act.Step("remember") == nil {
		r.change(func() {
			c.Act.Steps = append(c.Act.Steps, seawall.ActStep{Name: "remember", Time: r.now(), Error: err.Error()})
		})
	}
}

func (r *Responder) forget(c *contained) {
	r.mu.Lock()
	delete(r.held, c.Act.Pod.UID)
	r.mu.Unlock()
	if r.o.State != "" {
		if err := os.Remove(r.file(c)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.change(func() {
				c.Act.Steps = append(c.Act.Steps, seawall.ActStep{Name: "forget", Time: r.now(), Error: err.Error()})
			})
		}
	}
}

func (r *Responder) file(c *contained) string {
	sum := sha256.Sum256([]byte(c.Act.Pod.UID))
	return filepath.Join(r.o.State, hex.EncodeToString(sum[:8])+".json")
}

func actID(kind seawall.ActKind, uid string, at time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", kind, uid, at.UnixNano()))
	return hex.EncodeToString(sum[:8])
}
