package probe

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// BenchmarkTax measures what the hooks on system calls cost: the CPU time of a
// system call, an open and a program that is run, with the hooks and without, in
// turns. The ratios count; the times depend on the machine and its other work.
func BenchmarkTax(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("loading eBPF programs takes root")
	}
	for _, storm := range []struct {
		name  string
		times int
		do    func() error
	}{
		{"getppid", 1_000_000, func() error { unix.Getppid(); return nil }},
		{"open", 100_000, func() error {
			fd, err := unix.Open("/etc/hostname", unix.O_RDONLY, 0)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		}},
		{"exec", 200, func() error { return exec.CommandContext(b.Context(), "/bin/true").Run() }},
	} {
		for _, hooks := range [][]string{{"process", "creds", "file", "calls", "capability"}, {"process", "creds", "calls"}, {"process", "creds", "file"}, {"process"}, {"process", "syscalls"}} {
			b.Run(storm.name+"/"+hooks[len(hooks)-1], func(b *testing.B) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				var ratios, extra []float64
				for range 7 {
					bare := cpuTime(b, storm.times, storm.do)
					p, err := Open(Options{Hooks: hooks})
					if err != nil {
						b.Fatal(err)
					}
					if slices.Contains(hooks, "syscalls") {
						if err := p.Attach("syscalls"); err != nil {
							b.Fatal(err)
						}
						if err := p.Learn(1); err != nil {
							b.Fatal(err)
						}
					}
					taxed := cpuTime(b, storm.times, storm.do)
					if err := p.Poll(func(*seawall.Event) {}); err != nil {
						b.Fatal(err)
					}
					if err := p.Close(); err != nil {
						b.Fatal(err)
					}
					ratios = append(ratios, taxed/bare)
					extra = append(extra, (taxed-bare)/float64(storm.times))
				}
				slices.Sort(ratios)
				slices.Sort(extra)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(ratios[len(ratios)/2], "ratio")
				b.ReportMetric(extra[len(extra)/2], "extra-ns")
			})
		}
	}
}

// cpuTime runs a storm, and returns the CPU time that it and its children took, in
// nanoseconds.
func cpuTime(b *testing.B, times int, do func() error) float64 {
	b.Helper()
	used := func() float64 {
		var own, children unix.Rusage
		if unix.Getrusage(unix.RUSAGE_THREAD, &own) != nil || unix.Getrusage(unix.RUSAGE_CHILDREN, &children) != nil {
			b.Fatal("no CPU time is to be had")
		}
		return float64(own.Utime.Nano() + own.Stime.Nano() + children.Utime.Nano() + children.Stime.Nano())
	}
	began := used()
	for range times {
		if err := do(); err != nil {
			b.Fatal(err)
		}
	}
	return used() - began
}
