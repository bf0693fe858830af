package probe

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// Every object is part of the version, every record part of the layout.
func TestVersionIsWhole(t *testing.T) {
	files, err := filepath.Glob("*_x86_bpfel.o")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(strings.Replace(f, "x86", archOfObjects, 1))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(objects(), func(o []byte) bool { return string(o) == string(text) }) && f != "tasks_x86_bpfel.o" {
			t.Errorf("%s is not among objects()", f)
		}
	}
	var known []string
	for _, r := range records() {
		known = append(known, strings.TrimPrefix(fmt.Sprintf("%T", r), "probe."))
	}
	generated, err := filepath.Glob("*_" + archOfObjects + "_bpfel.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range generated {
		file, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				ts := s.(*ast.TypeSpec)
				st, ok := ts.Type.(*ast.StructType)
				if !ok || len(st.Fields.List) < 2 || ts.Name.Name == "tasksTask" || strings.HasSuffix(ts.Name.Name, "Owner") {
					continue
				}
				if first := st.Fields.List[1]; len(first.Names) == 1 && (first.Names[0].Name == "H" || first.Names[0].Name == "N") && !slices.Contains(known, ts.Name.Name) {
					t.Errorf("%s: %s is not among records()", f, ts.Name.Name)
				}
			}
		}
	}
}

// pinned returns a directory for pins that nobody else uses, removed at the end with all that
// is in it.
func pinned(t *testing.T) string {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/bpf", &st); err != nil || st.Type != unix.BPF_FS_MAGIC {
		t.Skip("no bpf file system is mounted at /sys/fs/bpf")
	}
	if os.Geteuid() != 0 {
		t.Skip("loading eBPF programs takes root")
	}
	dir := fmt.Sprintf("/sys/fs/bpf/seawall-test-%s-%d", strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-"), os.Getpid())
	t.Cleanup(func() {
		if _, err := Uninstall(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// life is an agent that runs until it is killed: it prints what it is handed.
func life(t *testing.T, pins string, version string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLife$", "-test.v=false")
	cmd.Env = append(os.Environ(), "SEAWALL_LIFE="+pins, "SEAWALL_LIFE_VERSION="+version)
	cmd.Stderr = os.Stderr
	return cmd
}

func lifeOptions(pins, version string) Options {
	o := Options{Pins: pins, Hooks: []string{"process", "guard"}}
	o.RingBytes[RingExec] = 64 << 20
	if version == "b" {
		o.RingBytes[RingLife] = 2 << 20 // another version is one with other programs or rings
	}
	return o
}

func TestLife(t *testing.T) {
	pins := os.Getenv("SEAWALL_LIFE")
	if pins == "" {
		return // runs in a process of its own
	}
	began := time.Now()
	p, err := Open(lifeOptions(pins, os.Getenv("SEAWALL_LIFE_VERSION")))
	if err != nil {
		t.Fatal(err)
	}
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(os.Stdout, format, args...) // one write, so that a kill cuts no line in two
	}
	say("open %v adopted %v\n", time.Since(began), p.adopted)
	for ; ; time.Sleep(5 * time.Millisecond) {
		err := p.Poll(func(ev *seawall.Event) {
			switch {
			case ev.Kind == seawall.EventExec && len(ev.Process.Args) == 2 && strings.HasPrefix(ev.Process.Args[1], "nr-"):
				say("exec %s\n", ev.Process.Args[1])
			case ev.Kind == seawall.EventTamper:
				say("tamper %s %s\n", ev.Call.Name, ev.Call.Op)
			case ev.Kind == seawall.EventLoss:
				say("loss %s %d\n", ev.Loss.Class, ev.Loss.Count)
			}
		})
		if err != nil {
			say("poll: %v\n", err)
		}
	}
}

// An agent is killed and started again, over and over, while programs are run: each
// is reported once, whoever is there to hear it.
func TestNoExecIsMissed(t *testing.T) {
	for _, test := range []struct{ name, versions string }{{"same-version", "aaaa"}, {"upgrades", "abab"}} {
		t.Run(test.name, func(t *testing.T) {
			pins := pinned(t)
			var got []string
			lines := make(chan string, 1<<20)
			begin := func(version string) (*exec.Cmd, chan struct{}) {
				cmd := life(t, pins, version)
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				read := make(chan struct{})
				go func() {
					defer close(read)
					for s := bufio.NewScanner(out); s.Scan(); {
						lines <- s.Text()
					}
				}()
				return cmd, read
			}
			kill := func(cmd *exec.Cmd, read chan struct{}) {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				<-read
				_ = cmd.Wait() // it was killed
			}
			opened := func() {
				for deadline := time.After(20 * time.Second); ; {
					select {
					case line := <-lines:
						got = append(got, line)
						if strings.HasPrefix(line, "open ") {
							t.Log(line)
							return
						}
					case <-deadline:
						t.Fatal("no sensor was opened")
					}
				}
			}
			cmd, read := begin(test.versions[:1])
			opened()
			stop := make(chan struct{})
			made := make(chan int)
			go func() {
				n := 0
				for tick := time.NewTicker(time.Millisecond); ; n++ {
					select {
					case <-stop:
						made <- n
						return
					case <-tick.C:
					}
					_ = exec.CommandContext(t.Context(), "/bin/true", fmt.Sprintf("nr-%d", n)).Run()
				}
			}()
			for _, version := range test.versions[1:] {
				time.Sleep(700 * time.Millisecond)
				kill(cmd, read)
				cmd, read = begin(string(version))
				opened()
			}
			time.Sleep(300 * time.Millisecond)
			close(stop)
			n := <-made
			last := fmt.Sprintf("exec nr-%d", n-1)
			for !slices.Contains(got, last) {
				select {
				case line := <-lines:
					got = append(got, line)
				case <-time.After(20 * time.Second):
					t.Fatalf("the last of %d never came", n)
				}
			}
			kill(cmd, read)
			seen := map[string]int{}
			deaths := 0
			for _, line := range got {
				switch {
				case strings.HasPrefix(line, "exec "):
					seen[line]++
				case strings.HasPrefix(line, "tamper death"):
					deaths++
					t.Log(line)
				case !strings.HasPrefix(line, "open "):
					t.Log(line)
				}
			}
			missing, twice := 0, 0
			for i := range n {
				switch seen[fmt.Sprintf("exec nr-%d", i)] {
				case 0:
					missing++
				case 1:
				default:
					twice++
				}
			}
			t.Logf("%d programs run, %d reported, %d missing, %d twice", n, len(seen), missing, twice)
			// What was being handed out when the agent was killed is handed out again.
			if missing != 0 || twice > len(test.versions)-1 {
				t.Errorf("%d missing, %d twice", missing, twice)
			}
			if deaths != len(test.versions)-1 {
				t.Errorf("%d deaths were told of %d", deaths, len(test.versions)-1)
			}
			left, err := filepath.Glob(filepath.Join(pins, sensorPrefix+"*"))
			if err != nil || len(left) != 1 {
				t.Errorf("left: %v %v", left, err)
			}
		})
	}
}

func TestPinsAreOneSensors(t *testing.T) {
	pins := pinned(t)
	p := open(t, lifeOptions(pins, "a"))
	if _, err := Open(lifeOptions(pins, "a")); !errors.Is(err, errTaken) {
		t.Errorf("a second sensor: %v", err)
	}
	if _, err := Uninstall(pins); !errors.Is(err, errTaken) {
		t.Errorf("uninstalled below a sensor: %v", err)
	}
	_ = p
}

// Of what nobody lost no number is missing in any ring, through one life and the next.
func TestNumbersGoOn(t *testing.T) {
	pins := pinned(t)
	for life := range 2 {
		p, err := Open(Options{Pins: pins})
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			if err := exec.CommandContext(t.Context(), "/bin/true").Run(); err != nil {
				t.Error(err)
			}
			if err := p.Poll(func(*seawall.Event) {}); err != nil {
				t.Error(err)
			}
		}
		l, err := p.Ledger()
		if err != nil {
			t.Error(err)
		}
		lost := uint64(0)
		for _, c := range l.Kinds {
			lost += c.Lost
		}
		if p.adopted != (life == 1) || l.Gaps > lost {
			t.Errorf("life %d, adopted %v: %d numbers are missing of %d lost", life, p.adopted, l.Gaps, lost)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
