package detect_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/detect"
)

// FuzzObserve: no stream of events makes the engine panic, every alert can be
// written as JSON, messages are printable, and matches are counted exactly.
func FuzzObserve(f *testing.F) {
	for _, r := range runtimeRules(f) {
		for _, e := range r.Examples {
			if len(e.Text) < 8<<10 {
				f.Add(e.Text)
			}
		}
	}
	f.Add([]byte(`{"kind":"exec","process":{"pid":1,"exe":"\u001b[31m/sh","args":["\u0000","a\nb"],"stdio":["socket","socket","socket"]},"container":{"id":"c"}}`))
	f.Add([]byte(`{"kind":"exec","boot":18446744073709551615,"count":18446744073709551615,"process":{"pid":1,"exe":"/bin/sh","stdio":["socket"]}}` + "\n" + `{"kind":"fork","boot":1}`))
	engine, err := detect.New(append(runtimeRules(f), languageRules(f)...), detect.Options{Node: "n"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		engine.Forget()
		var alerts []*seawall.Alert
		for line := range bytes.Lines(text) {
			ev := new(seawall.Event)
			if json.Unmarshal(line, ev) != nil {
				continue
			}
			// JSON has no broken UTF-8; the kernel does.
			if ev.Process != nil && len(ev.Process.Args) > 0 {
				ev.Process.Args[0] += "\xff"
			}
			alerts = append(alerts, engine.Observe(ev)...)
		}
		alerts = append(alerts, engine.Flush()...)
		for _, a := range alerts {
			if _, err := json.Marshal(a); err != nil {
				t.Error(err)
			}
			if !utf8.ValidString(a.Message) || strings.ContainsAny(a.Message, "\n\x1b\x00") || len(a.Message) > 3000 {
				t.Errorf("message %q", a.Message)
			}
		}
		if s := engine.Stats(); s.Alerts != uint64(len(alerts)) {
			t.Errorf("%d alerts, the engine counted %d", len(alerts), s.Alerts)
		}
	})
}
