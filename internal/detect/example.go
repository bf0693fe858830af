package detect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/document"
)

// ParseEvent reads an event from one line of JSON. A field that events do not have
// is an error: a slip must not turn into an event that says nothing.
func ParseEvent(line []byte) (*seawall.Event, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	ev := new(seawall.Event)
	if err := dec.Decode(ev); err != nil {
		return nil, fmt.Errorf("reading an event: %w", err)
	}
	if dec.More() {
		return nil, fmt.Errorf("reading an event: want one JSON object on the line")
	}
	if ev.Kind == seawall.EventNone {
		return nil, fmt.Errorf("reading an event: kind is missing: want one of %v", seawall.EventKinds())
	}
	return ev, nil
}

// pause is how long after the one before an event of an example happens where it
// does not say, in nanoseconds.
const pause = 1e6

// exampleEvents reads an example: events, and the lines on which they stand. Blank
// lines and those that begin with # are left out.
func exampleEvents(e *check.Example) (events []*seawall.Event, lines []int, err error) {
	boot := uint64(0)
	number := 0
	for line := range bytes.Lines(e.Text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		ev, err := ParseEvent(line)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: line %d: %w", e.Name, number, err)
		}
		if ev.Boot == 0 {
			ev.Boot = boot + pause
		}
		boot = ev.Boot
		events, lines = append(events, ev), append(lines, number)
	}
	if len(events) == 0 {
		return nil, nil, fmt.Errorf("%s: no events", e.Name)
	}
	return events, lines, nil
}

// paramsMark begins the comment of an example that has parameters of its own.
const paramsMark = "# params "

func exampleParams(e *check.Example) (map[string]any, error) {
	for line := range strings.Lines(string(e.Text)) {
		text, found := strings.CutPrefix(line, paramsMark)
		if !found {
			continue
		}
		docs := document.Parse([]byte(text), document.Limits{})
		if len(docs) == 1 && docs[0].Err == nil {
			if params, ok := docs[0].Root.Value().(map[string]any); ok {
				return params, nil
			}
		}
		return nil, fmt.Errorf("%s: want a YAML mapping after %q", e.Name, paramsMark)
	}
	return nil, nil
}

// Outcome judges an example by a rule and returns its alerts one a line, as .want
// parts have them: LINE SEVERITY WORKLOAD/CONTAINER PID EXE: MESSAGE. LINE is that
// of the completing event; processes of the node's own have the word node in place
// of a workload. What could not be decided has a line too.
func Outcome(r *check.Rule, e *check.Example, o Options) (string, error) {
	params, err := exampleParams(e)
	if err != nil {
		return "", err
	}
	o.On = append(slices.Clone(o.On), r.ID)
	if params != nil {
		o.Params = map[string]map[string]any{r.ID: params}
	}
	engine, err := New([]*check.Rule{r}, o)
	if err != nil {
		return "", err
	}
	events, lines, err := exampleEvents(e)
	if err != nil {
		return "", err
	}
	lineOf := map[*seawall.Event]int{}
	var out []string
	told := map[foldKey]bool{}
	tell := func(alerts []*seawall.Alert) {
		for _, a := range alerts {
			line := fmt.Sprintf("%d %s %s", lineOf[a.Event], a.Severity, about(a))
			key := foldKey{a.Fingerprint, owner(a.Event)}
			if told[key] {
				line += fmt.Sprintf(" (%d more)", a.Count)
			}
			told[key] = true
			out = append(out, line)
		}
	}
	undecided := uint64(0)
	for i, ev := range events {
		lineOf[ev] = lines[i]
		tell(engine.Observe(ev))
		if rs := engine.Stats().Rules[0]; rs.Undecided > undecided {
			undecided = rs.Undecided
			out = append(out, fmt.Sprintf("%d undecided: %s", lines[i], rs.Error))
		}
	}
	tell(engine.Flush())
	return strings.Join(out, "\n"), nil
}

// about says where an alert is from, by whom and what it says.
func about(a *seawall.Alert) string {
	ev := a.Event
	where := "node"
	if ev.Container != nil || ev.Pod != nil {
		where = ""
		if ev.Pod != nil {
			if where = ev.Pod.Workload.String(); where == "" {
				where = "Pod/" + ev.Pod.Name
			}
		}
		if ev.Container != nil {
			where = strings.TrimPrefix(where+"/"+ev.Container.Name, "/")
		}
	}
	who := ""
	if p := ev.Process; p != nil {
		who = fmt.Sprintf(" %d %s", p.PID, printable(p.Exe, maxPiece))
	}
	return fmt.Sprintf("%s%s: %s", where, who, a.Message)
}
