package seawall

import "time"

// Act is something that Seawall did to a pod, or means to do, and how far it came.
// It is recorded before its first step and after each.
type Act struct {
	ID   string    `json:"id"`
	Kind ActKind   `json:"kind"`
	Time time.Time `json:"time"`
	Node string    `json:"node,omitempty"`
	Pod  *Pod      `json:"pod"`
	// By is who asked: a person's name, or the check whose alert it answers.
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	// Alert and Incident are what it answers, where it was not asked for.
	Alert    string    `json:"alert,omitempty"`
	Incident string    `json:"incident,omitempty"`
	Steps    []ActStep `json:"steps,omitempty"`
	// State is planned, held, running, done or undone. Held acts wait for somebody's
	// approval, for the reason in Held.
	State ActState `json:"state"`
	Held  string   `json:"held,omitempty"`
	// Proposals are commands that a person may want to run next; Seawall does not.
	Proposals []string `json:"proposals,omitempty"`
}

// ActKind is what an act is.
type ActKind string

// The kinds of acts.
const (
	Contain  ActKind = "contain"
	Release  ActKind = "release"
	Evidence ActKind = "evidence"
)

// ActState is how far an act came.
type ActState string

// The states of an act.
const (
	ActHeld    ActState = "held"
	ActRunning ActState = "running"
	ActDone    ActState = "done"
	ActUndone  ActState = "undone"
)

// ActStep is one step of an act.
type ActStep struct {
	Name string    `json:"name"` // cut, freeze, evidence, policy, labels, replacement
	Time time.Time `json:"time"`
	// Took is in nanoseconds.
	Took time.Duration `json:"took"`
	Done bool          `json:"done"`
	// Detail says what came of it, Error why it did not work; a step that is to be
	// tried again has both false Done and an Error.
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Step returns the last step of a name, nil where there was none.
func (a *Act) Step(name string) *ActStep {
	for i := len(a.Steps) - 1; i >= 0; i-- {
		if a.Steps[i].Name == name {
			return &a.Steps[i]
		}
	}
	return nil
}
