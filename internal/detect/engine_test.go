package detect_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/detect"
)

// ruleOf makes a rule of the fields of its check.yaml.
func ruleOf(t testing.TB, fields string) *check.Rule {
	t.Helper()
	head := "# T\n\nWhy.\n\nFix: it.\n\n-- check.yaml --\n"
	if !strings.Contains(fields, "id:") {
		head += "id: r\n"
	}
	r, err := check.ParseRule("checks/runtime/r.txtar", []byte(head+"severity: high\n"+strings.TrimSpace(fields)+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func engineOf(t testing.TB, o detect.Options, rules ...*check.Rule) *detect.Engine {
	t.Helper()
	e, err := detect.New(rules, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const second = uint64(time.Second)

var day = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// event is one of a process in a container, at a second.
func event(kind seawall.EventKind, container string, pid uint32, at float64) *seawall.Event {
	ev := &seawall.Event{
		Kind: kind, Boot: uint64(at * float64(second)), Time: day.Add(time.Duration(at * float64(time.Second))), Node: "n1",
		Process: &seawall.Process{PID: pid, Start: uint64(pid), Exe: "/bin/tool"},
	}
	if container != "" {
		ev.Container = &seawall.Container{ID: container, Name: "app"}
	}
	return ev
}

func TestRepeatsAreCountedExactly(t *testing.T) {
	e := engineOf(t, detect.Options{}, ruleOf(t, "match: fork\ndeny: 'true'\nmessage: m"))
	var got []string
	tell := func(at float64, alerts []*seawall.Alert) {
		for _, a := range alerts {
			got = append(got, fmt.Sprintf("%v: %d", at, a.Count))
		}
	}
	for _, at := range []float64{1, 2, 3, 61.5, 62, 200, 201} {
		ev := event(seawall.EventFork, "c1", 7, at)
		if at == 3 {
			ev.Count = 5 // folded by the kernel
		}
		tell(at, e.Observe(ev))
	}
	tell(999, e.Flush())
	// The second window begins where the first ended, and ends with what it counted.
	want := []string{"1: 1", "61.5: 6", "200: 2", "999: 2"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if s := e.Stats(); s.Alerts != 4 || s.Folded != 10 || s.Rules[0].Matched != 7 {
		t.Errorf("%+v", s)
	}
}

// TestNoMatchIsLost: whatever the stream, the counts of alerts add up to the
// matches.
func TestNoMatchIsLost(t *testing.T) {
	r := ruleOf(t, "match: [open, write]\ndeny: file.path != 'quiet'\nmessage: '{file.path}'")
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 0))
		e := engineOf(t, detect.Options{Limits: detect.Limits{Folds: 20, ContainerFolds: 4}}, r)
		var want, got uint64
		ids := map[string]bool{}
		take := func(alerts []*seawall.Alert) {
			for _, a := range alerts {
				got += a.Count
				if ids[a.ID] {
					t.Fatalf("two alerts are called %s", a.ID)
				}
				ids[a.ID] = true
			}
		}
		at := 0.0
		for range 2000 {
			at += random.Float64()
			ev := event(seawall.EventOpen, fmt.Sprint("c", random.IntN(12)), 7, at)
			ev.Count = random.Uint64N(4)
			ev.File = &seawall.File{Path: fmt.Sprint("/f", random.IntN(20))}
			if random.IntN(3) == 0 {
				ev.File.Path = "quiet"
			} else {
				want += max(ev.Count, 1)
			}
			take(e.Observe(ev))
		}
		take(e.Flush())
		if got != want {
			t.Fatalf("seed %d: alerts count %d matches, want %d", seed, got, want)
		}
	}
}

func TestAlertFloodOfOneContainer(t *testing.T) {
	e := engineOf(t, detect.Options{}, ruleOf(t, "match: open\ndeny: 'true'\nmessage: '{file.path}'"))
	sent := 0
	for i := range 10_000 {
		ev := event(seawall.EventOpen, "c1", 7, 1+float64(i)/1000)
		ev.File = &seawall.File{Path: fmt.Sprint("/f", i)}
		sent += len(e.Observe(ev))
	}
	if sent != 33 { // 32 causes, and one for all others
		t.Errorf("%d alerts at once, want 33", sent)
	}
	other := event(seawall.EventOpen, "c2", 7, 12)
	other.File = &seawall.File{Path: "/x"}
	got := e.Observe(other)
	if len(got) != 1 {
		t.Errorf("another container's alert did not go out at once: %v", got)
	}
	total := uint64(0)
	for _, a := range e.Flush() {
		total += a.Count
	}
	if total != 10_000-33 {
		t.Errorf("the summaries count %d, want %d", total, 10_000-33)
	}
}

// TestCountsAgainstReference holds counts, of matches and of different values, to
// a reference that forgets nothing.
func TestCountsAgainstReference(t *testing.T) {
	for _, distinct := range []bool{false, true} {
		fields := "match: connect\ndeny: 'true'\nmessage: m\nby: process\ncount: 5\nwithin: 3s\n"
		if distinct {
			fields += "distinct: net.remote.port\n"
		}
		r := ruleOf(t, fields)
		for seed := range uint64(40) {
			random := rand.New(rand.NewPCG(seed, 0))
			e := engineOf(t, detect.Options{}, r)
			type seen struct {
				at   float64
				port int
			}
			since := map[uint32][]seen{}
			at, want, got := 0.0, 0, uint64(0)
			for range 1000 {
				at += random.Float64()
				pid, port := random.Uint32N(3), random.IntN(9)
				ev := event(seawall.EventConnect, "c", pid, at)
				ev.Socket = &seawall.Socket{Protocol: "tcp", Remote: addrPort(port)}
				for _, a := range e.Observe(ev) {
					got += a.Count
				}
				since[pid] = append(since[pid], seen{at, port})
				values, n := map[int]bool{}, 0
				for _, s := range since[pid] {
					if at-s.at <= 3 {
						values[s.port] = true
						n++
					}
				}
				if distinct {
					n = len(values)
				}
				if n >= 5 {
					want++
					since[pid] = nil
				}
			}
			for _, a := range e.Flush() {
				got += a.Count
			}
			if got != uint64(want) {
				t.Fatalf("distinct %v, seed %d: got %d alerts, want %d", distinct, seed, got, want)
			}
			if want == 0 {
				t.Fatal("the streams never reach the count")
			}
		}
	}
}

// TestSequencesAgainstReference holds a sequence of two steps to a reference that
// forgets nothing.
func TestSequencesAgainstReference(t *testing.T) {
	r := ruleOf(t, `
match: exec
by: container
within: 4s
after:
  - {match: write, deny: file.created, as: drop, within: 2s}
  - {match: chmod, deny: file.inode == drop.file.inode, as: armed}
deny: process.program.inode == armed.file.inode
message: '{drop.file.path}'`)
	matches := 0
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 0))
		e := engineOf(t, detect.Options{}, r)
		type past struct {
			kind    seawall.EventKind
			at      float64
			inode   uint64
			created bool
			in      string
		}
		var history []past
		at := 0.0
		for range 400 {
			at += random.Float64()
			p := past{
				[]seawall.EventKind{seawall.EventWrite, seawall.EventChmod, seawall.EventExec}[random.IntN(3)],
				at, random.Uint64N(4), random.IntN(2) == 0, fmt.Sprint("c", random.IntN(2)),
			}
			ev := event(p.kind, p.in, 9, at)
			if p.kind == seawall.EventExec {
				ev.Process.Program.Inode = p.inode
			} else {
				ev.File = &seawall.File{Path: "/f", Traits: seawall.Traits{Inode: p.inode}, Created: p.created}
			}
			before := e.Stats().Rules[0].Matched
			e.Observe(ev)
			got := e.Stats().Rules[0].Matched > before
			want := false
			if p.kind == seawall.EventExec {
				for i, c := range history {
					if c.kind != seawall.EventChmod || c.in != p.in || c.inode != p.inode || at-c.at > 4 {
						continue
					}
					for _, w := range history[:i] {
						want = want || (w.kind == seawall.EventWrite && w.created && w.in == p.in && w.inode == c.inode && c.at-w.at <= 2)
					}
				}
			}
			if got != want {
				t.Fatalf("seed %d, second %v: got %v, want %v", seed, at, got, want)
			}
			if want {
				matches++
			}
			history = append(history, p)
		}
	}
	if matches == 0 {
		t.Error("the streams complete no sequence")
	}
}

// TestFloodKeepsOthers: a container that begins sequences without end pushes out
// its own, nobody else's, wherever the limit lies.
func TestFloodKeepsOthers(t *testing.T) {
	// Neither < nor > is what sequences are found by.
	const fields = `
match: exec
within: 10m
after: [{match: write, as: drop}]
deny: process.program.inode <= drop.file.inode && process.program.inode >= drop.file.inode
message: m
`
	limits := map[string]detect.Limits{
		"one-container": {ContainerEntries: 8, ScopeEntries: 100, Entries: 1000},
		"one-scope":     {ContainerEntries: 1000, ScopeEntries: 8, JoinedEntries: 8, Entries: 1000},
		"all":           {ContainerEntries: 1000, ScopeEntries: 1000, Entries: 16},
	}
	for name, l := range limits {
		for _, by := range []string{"process", "container", "node"} {
			t.Run(name+"-"+by, func(t *testing.T) {
				e := engineOf(t, detect.Options{Limits: l}, ruleOf(t, fields+"by: "+by))
				write := func(container string, pid uint32, inode uint64, at float64) {
					ev := event(seawall.EventWrite, container, pid, at)
					ev.File = &seawall.File{Path: "/f", Traits: seawall.Traits{Inode: inode}}
					e.Observe(ev)
				}
				for i := range uint32(3) {
					write("victim", 5, uint64(i), float64(i))
				}
				for i := range uint32(5000) {
					write("flood", 100+i%50, uint64(1000+i), 10+float64(i)/100)
				}
				for i := range uint64(3) {
					ev := event(seawall.EventExec, "victim", 5, 100+float64(i))
					ev.Process.Program.Inode = i
					e.Observe(ev)
				}
				s := e.Stats()
				if s.Rules[0].Matched != 3 {
					t.Errorf("%d of 3 sequences were completed", s.Rules[0].Matched)
				}
				if s.Evicted == 0 || s.Entries > 1000 {
					t.Errorf("evicted %d, kept %d", s.Evicted, s.Entries)
				}
			})
		}
	}
}

// TestSequencesAreFoundByValue: a thousand other files written in between do not
// push out the one that is run, and a file written again and again is kept.
func TestSequencesAreFoundByValue(t *testing.T) {
	e := engineOf(t, detect.Options{}, ruleOf(t, `
match: exec
by: container
within: 10m
after: [{match: write, as: drop}]
deny: drop.file.inode == process.program.inode && process.program.dev == drop.file.dev
message: m
`))
	write := func(inode uint64, at float64) {
		ev := event(seawall.EventWrite, "c", 5, at)
		ev.File = &seawall.File{Path: "/f", Traits: seawall.Traits{Inode: inode}}
		e.Observe(ev)
	}
	write(7, 1)
	for i := range uint64(1000) {
		write(1000+i, 2)
		write(8, 2)
	}
	for _, inode := range []uint64{7, 8, 1500, 9} {
		ev := event(seawall.EventExec, "c", 5, 3)
		ev.Process.Program.Inode = inode
		ev.Process.Exe = fmt.Sprint("/", inode)
		if got := len(e.Observe(ev)); got != map[bool]int{true: 1}[inode != 9] {
			t.Errorf("inode %d: %d alerts", inode, got)
		}
	}
	if s := e.Stats(); s.Entries != 1009 {
		t.Errorf("%d entries", s.Entries)
	}
}

// TestMemoryIsBounded: a million short processes in ten thousand containers leave
// no more than the limit.
func TestMemoryIsBounded(t *testing.T) {
	e := engineOf(t, detect.Options{}, ruleOf(t, "match: fork\ndeny: 'true'\nmessage: m\nby: process\ncount: 3\nwithin: 1h"))
	for i := range uint32(200_000) {
		e.Observe(event(seawall.EventFork, fmt.Sprint("c", i%10_000), i, float64(i)/1000))
	}
	if s := e.Stats(); s.Entries > 16384 || s.Evicted != 200_000-uint64(s.Entries) {
		t.Errorf("kept %d, evicted %d of 200000", s.Entries, s.Evicted)
	}
}

func TestExpiredIsNotEvicted(t *testing.T) {
	e := engineOf(t, detect.Options{}, ruleOf(t, "match: fork\ndeny: 'true'\nmessage: m\nby: process\ncount: 3\nwithin: 1s"))
	for i := range uint32(5000) {
		e.Observe(event(seawall.EventFork, "c", i, float64(i)))
	}
	if s := e.Stats(); s.Evicted != 0 || s.Entries > 3 {
		t.Errorf("kept %d, evicted %d: what is over is neither", s.Entries, s.Evicted)
	}
}

func TestTreeIsTheSession(t *testing.T) {
	r := ruleOf(t, "match: fork\ndeny: 'true'\nmessage: m\nby: tree\ncount: 3\nwithin: 10s")
	proc := func(pid uint32, entry string, parent *seawall.Process) *seawall.Process {
		return &seawall.Process{PID: pid, Start: uint64(pid), Entry: entry, Parent: parent}
	}
	systemd := proc(1, "node", nil)
	shim := proc(50, "node", systemd)
	initProcess := proc(100, "init", shim)
	worker := proc(110, "init", initProcess) // a fork of it
	session := proc(200, "exec", proc(199, "", shim))
	sshd := proc(60, "node", systemd)
	untold := proc(300, "", shim) // nobody said that it is a container's first
	tests := []struct {
		name      string
		container string
		of        [3]*seawall.Process
		want      bool
	}{
		{"children-of-init", "c", [3]*seawall.Process{proc(101, "", initProcess), initProcess, proc(102, "", proc(101, "", initProcess))}, true},
		{"forks-of-init", "c", [3]*seawall.Process{worker, proc(111, "", worker), initProcess}, true},
		{"init-and-session", "c", [3]*seawall.Process{proc(101, "", initProcess), proc(201, "", session), initProcess}, false},
		{"session", "c", [3]*seawall.Process{proc(201, "", session), proc(202, "", session), session}, true},
		{"on-the-node", "", [3]*seawall.Process{proc(61, "", sshd), proc(62, "", proc(61, "", sshd)), sshd}, true},
		{"two-services", "", [3]*seawall.Process{proc(61, "", sshd), proc(51, "", shim), sshd}, false},
		{"nobody-said", "c", [3]*seawall.Process{proc(301, "", untold), proc(302, "", untold), untold}, true},
		{"not-the-shim", "c", [3]*seawall.Process{proc(301, "", untold), proc(302, "", shim), untold}, false},
		{"pid-used-again", "c", [3]*seawall.Process{
			proc(101, "", &seawall.Process{PID: 100, Start: 5, Entry: "init"}), proc(101, "", &seawall.Process{PID: 100, Start: 6, Entry: "init"}),
			proc(101, "", &seawall.Process{PID: 100, Start: 7, Entry: "init"}),
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := engineOf(t, detect.Options{}, r)
			got := 0
			for i, p := range tt.of {
				ev := event(seawall.EventFork, tt.container, 0, float64(i+1))
				ev.Process = p
				got += len(e.Observe(ev))
			}
			if (got > 0) != tt.want {
				t.Errorf("got %d alerts, want one: %v", got, tt.want)
			}
		})
	}
	// A loop of parents is nobody's tree, and must end.
	a := proc(500, "", nil)
	a.Parent = proc(501, "", a)
	ev := event(seawall.EventFork, "c", 0, 1)
	ev.Process = a
	engineOf(t, detect.Options{}, r).Observe(ev)
}

func TestOptions(t *testing.T) {
	const fields = "id: is-%s\nmatch: fork\ndeny: count > params.most\nmessage: more than {params.most}\nparams: {most: 5}"
	on, off := ruleOf(t, fmt.Sprintf(fields, "on")), ruleOf(t, fmt.Sprintf(fields, "off")+"\ndefault: off")
	exceptions, err := detect.ParseExceptions("x.yaml", []byte(`
exceptions:
  - {check: is-o*, namespace: kube-*, workload: DaemonSet/agent, container: app, match: process.exe == "/bin/tool", reason: known}
  - {check: is-on, namespace: late, reason: known, expires: 2026-11-20}
  - {check: is-on, namespace: today, reason: known, expires: 2026-11-21}
  - {check: is-on, namespace: unsure, match: 'process.args[5] == ""', reason: known}
`))
	if err != nil {
		t.Fatal(err)
	}
	e := engineOf(t, detect.Options{
		On:         []string{"is-off"},
		Params:     map[string]map[string]any{"is-off": {"most": int64(2)}},
		Severity:   map[string]seawall.Severity{"is-off": seawall.Low},
		Exceptions: exceptions,
	}, on, off)
	judge := func(count uint64, namespace, workload, exe string) string {
		ev := event(seawall.EventFork, "c", 1, 1)
		ev.Count, ev.Process.Exe = count, exe
		ev.Pod = &seawall.Pod{Namespace: namespace, Name: "p", Workload: seawall.Workload{Kind: "DaemonSet", Name: workload}}
		var out []string
		for _, a := range e.Observe(ev) {
			out = append(out, fmt.Sprintf("%s %s %s", a.Check, a.Severity, a.Message))
		}
		return strings.Join(out, ", ")
	}
	tests := []struct {
		count                    uint64
		namespace, workload, exe string
		want                     string
	}{
		{2, "shop", "a", "/a", ""},
		{3, "shop", "b", "/a", "is-off low more than 2"},
		{6, "shop", "c", "/a", "is-on high more than 5, is-off low more than 2"},
		{6, "kube-system", "agent", "/bin/tool", ""},
		{6, "kube-system", "agent", "/bin/other", "is-on high more than 5, is-off low more than 2"},
		{6, "kube-system", "agents", "/bin/tool", "is-on high more than 5, is-off low more than 2"},
		{6, "late", "d", "/a", "is-on high more than 5, is-off low more than 2"},
		{6, "today", "e", "/a", "is-off low more than 2"},
		{6, "unsure", "f", "/a", "is-on high more than 5, is-off low more than 2"},
	}
	for _, tt := range tests {
		if got := judge(tt.count, tt.namespace, tt.workload, tt.exe); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt, got, tt.want)
		}
	}
	if s := e.Stats(); s.Accepted != 18 {
		t.Errorf("%d accepted, want 18", s.Accepted)
	}
	want := "x.yaml:4: the exception for is-on expired on 2026-11-20: see to the cause, or renew it"
	if got := exceptions.Warnings([]string{"is-on", "is-off"}, "2026-11-21"); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := exceptions.Warnings([]string{"is-off"}, "2026-11-01"); len(got) != 3 || !strings.Contains(got[0], "no runtime check is called is-on") {
		t.Errorf("got %q", got)
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	const head = "match: exec\nmessage: m\ndeny: "
	rules := map[string]string{
		head + "process.exee == ''":                                            "checks/runtime/r.txtar:12: deny: does not compile: undefined field 'exee'",
		head + "process.exe":                                                   "deny: yields string, want bool",
		head + "'true'\nwhen: nope":                                            "when: does not compile: undeclared reference to 'nope'",
		head + "params.x == 1\nparams: {z: 1}":                                 "undefined field 'x'",
		head + "params.z == 'a'\nparams: {z: 1}":                               "found no matching overload",
		head + "drop.file.path == ''":                                          "undeclared reference to 'drop'",
		"match: exec\nmessage: 'a {b'\ndeny: 'true'":                           "checks/runtime/r.txtar:11: message: a { without its }",
		"match: exec\nmessage: 'a {b}'\ndeny: 'true'":                          "undeclared reference to 'b'",
		head + "'true'\nby: pod\nwithin: 1s\ncount: 2\ndistinct: process.args": "distinct: yields list(string), want string",
		head + "'true'\nby: pod\nwithin: 1s\nafter: [{match: open, as: net}]":  "after[0].as: net is a variable already",
		head + "'true'\nby: pod\nwithin: 1s\nafter: [{match: open, deny: b.count == 1}, {match: open, as: b}]": "after[0].deny: does not compile: undeclared reference to 'b'",
	}
	for fields, want := range rules {
		_, err := detect.New([]*check.Rule{ruleOf(t, fields)}, detect.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "checks/runtime/r.txtar:") {
			t.Errorf("%s:\ngot  %v\nwant %s", fields, err, want)
		}
	}
	r := ruleOf(t, head+"'true'")
	if _, err := detect.New([]*check.Rule{r, r}, detect.Options{}); err == nil || !strings.Contains(err.Error(), "already defined") {
		t.Errorf("got %v", err)
	}
	if _, err := detect.New([]*check.Rule{r}, detect.Options{Params: map[string]map[string]any{"r": {"x": int64(1)}}}); err == nil || !strings.Contains(err.Error(), `no parameter "x"`) {
		t.Errorf("got %v", err)
	}
}

func TestExceptionErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a: b":                      `x.yaml:1: key "a": want exceptions, a list`,
		"exceptions: [{check: a}]":  "x.yaml:1: an exception for a must give a reason",
		"exceptions: [{reason: a}]": "x.yaml:1: an exception must name its check",
		"exceptions: [{check: a, reason: b, expires: soon}]":   `x.yaml:1: expires "soon": want a date, YYYY-MM-DD`,
		"exceptions: [{check: '[', reason: b}]":                `x.yaml:1: "[": syntax error in pattern: use a name, or * for any run of characters`,
		"exceptions: [{check: a, reason: b, match: object.x}]": "x.yaml:1: match: does not compile: undeclared reference to 'object'",
		"exceptions: [{check: a, reason: b, pod: x}]":          `x.yaml:1: unknown key "pod"`,
		"exceptions: [{check: a, reason: b, namespace: [x]}]":  "x.yaml:1: namespace: want a string",
		"exceptions:\n- a\n":                                   "x.yaml:2: want a mapping with check and reason",
	} {
		if _, err := detect.ParseExceptions("x.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestUndecidedIsCounted(t *testing.T) {
	e := engineOf(t, detect.Options{}, ruleOf(t, "match: exec\ndeny: process.args[3] == 'x'\nmessage: m"))
	for i := range 100 {
		if got := e.Observe(event(seawall.EventExec, "c", 1, float64(i+1))); len(got) > 0 {
			t.Fatal("an alert")
		}
	}
	s := e.Stats()
	if s.Rules[0].Undecided != 100 || !strings.Contains(s.Rules[0].Error, "index out of bounds") || s.Interpreted != 1 {
		t.Errorf("%+v", s)
	}
}

func TestHostileArguments(t *testing.T) {
	r := ruleOf(t, "match: exec\ndeny: process.cmdline.contains('evil')\nmessage: '{process.cmdline} {process.args} {process.exe}'")
	long := strings.Repeat("a", 2<<20)
	for name, args := range map[string][]string{
		"newlines":     {"sh", "evil\n2026-11-21 all is well"},
		"escapes":      {"evil\x1b[2J\x1b[31m\x07"},
		"bidi":         {"evil \u202egnp.exe"},
		"broken-utf8":  {"evil\xff\xc3"},
		"2-MB":         {"evil", long},
		"many":         append([]string{"evil"}, slices.Repeat([]string{"x"}, 200_000)...),
		"nul":          {"evil\x00"},
		"long-unicode": {"evil" + strings.Repeat("\u00e9", 1<<16)},
	} {
		t.Run(name, func(t *testing.T) {
			ev := event(seawall.EventExec, "c", 1, 1)
			ev.Process.Args, ev.Process.Exe = args, args[len(args)-1]
			got := engineOf(t, detect.Options{}, r).Observe(ev)
			if len(got) != 1 {
				t.Fatalf("%d alerts", len(got))
			}
			for _, c := range got[0].Message {
				if c < ' ' || c == 0x7f || c == '\u202e' || c == '\ufffd' {
					t.Fatalf("message %q", got[0].Message)
				}
			}
			if len(got[0].Message) > 2100 {
				t.Errorf("a message of %d bytes", len(got[0].Message))
			}
		})
	}
}

// TestDeterministic: the same events raise the same alerts, byte for byte.
func TestDeterministic(t *testing.T) {
	r := ruleOf(t, "match: [exec, open]\ndeny: 'true'\nmessage: '{pod.labels} {exec.values}'")
	var first string
	for range 5 {
		g := newGenerator(3, r)
		e := engineOf(t, detect.Options{}, r)
		var in detect.Incidents
		var b strings.Builder
		for i := range 300 {
			ev := g.event()
			ev.Boot = uint64(i) * second
			for _, a := range e.Observe(ev) {
				for _, x := range in.Add(a) {
					fmt.Fprintf(&b, "%s %s %s %+v\n", a.ID, a.Message, x.ID, x.Timeline)
				}
			}
		}
		if first == "" {
			first = b.String()
		}
		if b.String() != first {
			t.Fatal("two runs differ")
		}
	}
}

func TestTimeNeverBreaks(t *testing.T) {
	r := ruleOf(t, "match: fork\ndeny: 'true'\nmessage: m\nby: container\ncount: 2\nwithin: 1s")
	e := engineOf(t, detect.Options{}, r, ruleOf(t, "id: s\nmatch: fork\nby: node\nwithin: 1h\nafter: [{match: fork, as: a}]\ndeny: 'true'\nmessage: m"))
	for _, boot := range []uint64{5 * second, 1, ^uint64(0), 0, 7 * second, ^uint64(0) - 1, 8 * second} {
		ev := event(seawall.EventFork, "c", 1, 1)
		ev.Boot = boot
		e.Observe(ev)
	}
	e.Flush()
}
