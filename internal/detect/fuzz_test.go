package detect_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
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

// FuzzRule: no text of a rule makes the compiler or the engine panic, what is
// refused is refused with the file's name, and an outcome is the same twice.
func FuzzRule(f *testing.F) {
	const head = "# T\n\nWhy.\n\nFix: it.\n\n-- check.yaml --\nid: r\nseverity: low\n"
	const examples = "-- pass/a.jsonl --\n" + `{"kind":"write","process":{"pid":1,"exe":"/a"},"file":{"path":"/x","inode":3}}` + "\n" +
		`{"kind":"exec","process":{"pid":2,"exe":"/x","args":["x","y"],"program":{"inode":3}}}` + "\n" +
		"-- fail/b.jsonl --\n# params {words: [a]}\n" + `{"kind":"exec","boot":5,"process":{"pid":2}}` + "\n"
	f.Add([]byte(head + "match: exec\nby: node\nwithin: 1m\nafter: [{match: write, deny: file.inode > 0, as: drop}]\ndeny: process.program.inode == drop.file.inode\nmessage: '{drop.file.path} {process.args}'\nparams: {words: [x]}\n" + examples))
	f.Add([]byte(head + "match: [exec, write]\nby: process\ncount: 2\ndistinct: string(process.pid)\nwithin: 1s\ndeny: params.words.exists(w, w in process.args) || process.args[7] == ''\nmessage: m\nparams: {words: [x, 3]}\n" + examples))
	f.Add([]byte(head + "match: exec\ndeny: process.ancestors.map(a, a.exe).size() == size(pod.labels)\nmessage: '{pod.labels} {1/0} {process}'\n" + examples))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := check.ParseRule("checks/runtime/r.txtar", text)
		if err == nil {
			_, err = detect.New([]*check.Rule{r}, detect.Options{On: []string{r.ID}})
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "checks/runtime/r.txtar") {
				t.Errorf("the error names no file: %v", err)
			}
			return
		}
		for i := range r.Examples {
			first, err := detect.Outcome(r, &r.Examples[i], detect.Options{})
			second, _ := detect.Outcome(r, &r.Examples[i], detect.Options{Interpreter: true})
			if err == nil && first != second {
				t.Errorf("closures\n%s\ninterpreter\n%s", first, second)
			}
		}
	})
}
