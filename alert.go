package seawall

import "time"

// Alert is an event, or several, that a runtime check holds to be an attack or a
// departure from what the workload does.
type Alert struct {
	// ID is unique; Fingerprint is the same for the same check, workload, container
	// and cause, so that repeats can be told.
	ID          string `json:"id"`
	Fingerprint string `json:"fingerprint"`
	*Rule
	Severity Severity  `json:"severity"`
	Time     time.Time `json:"time"`
	Node     string    `json:"node,omitempty"`
	Message  string    `json:"message"`
	// Respond is what the check holds to suit as a response where responding is
	// automatic: evidence, cut, freeze or isolate. Empty is none.
	Respond string `json:"respond,omitempty"`
	// Event is the one that completed the match; Earlier those that led to it, oldest
	// first.
	Event   *Event   `json:"event"`
	Earlier []*Event `json:"earlier,omitempty"`
	// Count is how many times the same was seen since the last alert of it, this one
	// included.
	Count uint64 `json:"count,omitempty"`
	// Incident groups the alerts of one attack.
	Incident string `json:"incident,omitempty"`
}

// Incident is a group of alerts that one process tree, container or identity
// causes.
type Incident struct {
	ID       string    `json:"id"`
	Severity Severity  `json:"severity"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Node     string    `json:"node,omitempty"`
	Pod      *Pod      `json:"pod,omitempty"`
	// Container is the one that the incident began in.
	Container *Container `json:"container,omitempty"`
	// Root is the process that the others come from.
	Root *Process `json:"root,omitempty"`
	// Alerts counts those of the incident; Checks names the checks, in the order in
	// which they first fired.
	Alerts int      `json:"alerts"`
	Checks []string `json:"checks"`
	// Timeline holds what happened, oldest first. Dropped counts what no longer
	// fitted.
	Timeline []TimelineEntry `json:"timeline,omitempty"`
	Dropped  int             `json:"dropped,omitempty"`
	Closed   bool            `json:"closed,omitempty"`
}

// TimelineEntry is one line of an incident's story.
type TimelineEntry struct {
	Time  time.Time `json:"time"`
	Text  string    `json:"text"`
	Check string    `json:"check,omitempty"` // where it is an alert
	Act   string    `json:"act,omitempty"`   // where it is something that Seawall did
	PID   uint32    `json:"pid,omitempty"`
}
