package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// marker is set in the environment of every daemon and inherited by what it
// starts, and so tells which cluster a process belongs to.
const marker = "SEAWALL_LAB_CLUSTER"

// logTail is how many lines of a daemon's log go into an error.
const logTail = 15

// daemon is a program that goes on when the lab's own has ended.
type daemon struct {
	name string
	log  string        // path
	done chan struct{} // closed when it has stopped
	err  error         // why, once done is closed
}

// start runs argv as the daemon called name, in the namespaces that enter
// leads to.
func (c *cluster) start(name string, enter []string, argv ...string) error {
	logName := filepath.Join(c.Logs(), name+".log")
	if err := os.MkdirAll(c.Logs(), 0o755); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	log, err := os.OpenFile(logName, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	defer log.Close()

	argv = append(append([]string{}, enter...), argv...)
	// No context: the daemon shall outlive this process, and down ends it.
	cmd := exec.CommandContext(context.Background(), argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		marker + "=" + c.Name,
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	if err := writeFile(c.state("pid", name), []byte(strconv.Itoa(cmd.Process.Pid)+"\n")); err != nil {
		return err
	}
	d := &daemon{name: name, log: logName, done: make(chan struct{})}
	go func() {
		d.err = cmd.Wait()
		close(d.done)
	}()
	c.daemons = append(c.daemons, d)
	return nil
}

// stopped returns an error if a daemon has ended, which none should.
func (c *cluster) stopped() error {
	for _, d := range c.daemons {
		select {
		case <-d.done:
			reason := "without an error"
			if d.err != nil {
				reason = d.err.Error()
			}
			return fmt.Errorf("%s has stopped (%s); the end of its log:\n%s", d.name, reason, tail(d.log, logTail))
		default:
		}
	}
	return nil
}

// await calls ready until it returns nil. The error, when a daemon stops or
// when the time is over, contains the end of the log of the daemon that is to
// blame, or of the suspects.
func (c *cluster) await(ctx context.Context, what string, limit time.Duration, suspects []string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	start := time.Now()
	var last error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err // and not that we ran out of time while asking
		}
		if err := c.stopped(); err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
			}
			return fmt.Errorf("waiting for %s: not there after %s: %w%s",
				what, time.Since(start).Round(time.Second), last, c.tails(suspects))
		}
	}
}

func (c *cluster) tails(daemons []string) string {
	var out strings.Builder
	for _, name := range daemons {
		fmt.Fprintf(&out, "\nthe end of the log of %s:\n%s", name, tail(filepath.Join(c.Logs(), name+".log"), logTail))
	}
	return out.String()
}

// tail returns the last n lines of a file.
func tail(name string, n int) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
