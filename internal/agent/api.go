package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/agents"
	"seawall.io/seawall/internal/detect"
	"seawall.io/seawall/internal/probe"
	"seawall.io/seawall/internal/process"
	"seawall.io/seawall/internal/respond"
	"seawall.io/seawall/internal/spool"
)

// Status is what the agent says of itself.
type Status struct {
	Node     string         `json:"node"`
	Version  string         `json:"version"`
	Started  time.Time      `json:"started"`
	Coverage probe.Coverage `json:"coverage"`
	Ledger   probe.Ledger   `json:"ledger"`
	Checks   int            `json:"checks"`
	Detect   detect.Stats   `json:"detect"`
	Process  process.Stats  `json:"processes"`
	Spool    spool.Stats    `json:"spool"`
	// Events came through the pipeline, Foreign of them from other nodes that share the
	// kernel; LatePolls came more than a second after the one before; Unwritten entries
	// were lost before the spool.
	Events    uint64 `json:"events"`
	Foreign   uint64 `json:"foreign,omitempty"`
	LatePolls uint64 `json:"latePolls"`
	Unwritten uint64 `json:"unwritten"`
	// Tier is what the node can prevent; Held counts the pods that are kept from
	// something.
	Tier *probe.Standing `json:"tier,omitempty"`
	Held int             `json:"held,omitempty"`
	// EvidenceKey is the public key of the node's bundles of evidence (Ed25519).
	EvidenceKey []byte            `json:"evidenceKey,omitempty"`
	Contained   []*seawall.Act    `json:"contained,omitempty"`
	Problems    map[string]string `json:"problems,omitempty"`
}

// Status returns what the agent says of itself now.
func (a *Agent) Status() (Status, error) {
	ledger, err := a.o.Sensor.Ledger()
	s := Status{
		Node: a.o.Node, Version: a.o.Version, Started: a.began, Coverage: a.o.Sensor.Coverage(), Ledger: ledger, Checks: len(a.engine.Checks()),
		Spool: a.spool.Stats(), Events: a.events.Load(), Foreign: a.foreign.Load(), LatePolls: a.late.Load(), Unwritten: a.writer.dropped(),
	}
	if a.o.Enforcer != nil {
		tier := a.o.Enforcer.Tier()
		s.Tier = &tier
		a.prevent.mu.Lock()
		s.Held = len(a.prevent.held)
		a.prevent.mu.Unlock()
	}
	if a.o.Evidence != nil {
		s.EvidenceKey = a.o.Evidence.PublicKey()
	}
	if a.responder != nil {
		s.Contained = a.responder.Contained()
	}
	a.statusMu.Lock()
	defer a.statusMu.Unlock()
	s.Detect, s.Process = a.engineSt, a.tableSt
	s.Problems = map[string]string{}
	maps.Copy(s.Problems, a.problems)
	return s, err
}

// Serve answers on a unix socket until ctx ends. Nothing else is open to anybody, and it
// is root's alone: from elsewhere one comes through the API server, by exec into the
// agent's pod, which RBAC decides. An old socket is replaced.
func (a *Agent) Serve(ctx context.Context, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making the folder of the agent's socket: %w", err)
	}
	if conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close() // somebody is there
		return fmt.Errorf("another agent listens on %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listening on the agent's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	srv := &http.Server{
		Handler: a.handler(), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, peerUID(c))
		},
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // followers are not waited for
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type peerKey struct{}

// peerUID is the user at the other end, as the kernel says; -1 where it does not.
func peerUID(c net.Conn) int {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return -1
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	if err := raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	}); err != nil {
		return -1
	}
	return uid
}

func (a *Agent) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		s, err := a.Status()
		if err != nil {
			s.Problems["ledger"] = err.Error()
		}
		answer(w, s)
	})
	mux.HandleFunc("GET /v1/events", a.serveEvents)
	mux.HandleFunc("GET /v1/entries", a.serveEntries)
	mux.HandleFunc("GET /v1/profiles", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.profiles.Profiles()) })
	mux.HandleFunc("POST /v1/isolate", a.serveAct(func(ctx context.Context, t respond.Target, q respond.Request) (*seawall.Act, error) {
		return a.contain(ctx, t, q)
	}))
	mux.HandleFunc("POST /v1/release", a.serveAct(func(ctx context.Context, t respond.Target, q respond.Request) (*seawall.Act, error) {
		return a.responder.Release(ctx, t, q)
	}))
	mux.HandleFunc("POST /v1/evidence", a.serveEvidence)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if uid, _ := r.Context().Value(peerKey{}).(int); uid != os.Geteuid() && uid != 0 {
			fail(w, http.StatusForbidden, errors.New("the agent answers root only"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the other end went away
}

func fail(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

// choose compiles a filter: an event is chosen if every field that is set fits.
func choose(f agents.Filter) (func(*seawall.Event) bool, error) {
	kinds := map[seawall.EventKind]bool{}
	for _, name := range f.Kinds {
		var k seawall.EventKind
		if err := k.UnmarshalText([]byte(name)); err != nil {
			return nil, err
		}
		kinds[k] = true
	}
	where := func(*seawall.Event) bool { return true }
	if f.Where != "" {
		c, err := detect.ParseCondition(f.Where)
		if err != nil {
			return nil, err
		}
		where = c.Holds
	}
	return func(ev *seawall.Event) bool {
		switch {
		case len(kinds) > 0 && !kinds[ev.Kind],
			f.Namespace != "" && (ev.Pod == nil || ev.Pod.Namespace != f.Namespace),
			f.Pod != "" && (ev.Pod == nil || ev.Pod.Name != f.Pod),
			f.Container != "" && (ev.Container == nil || ev.Container.Name != f.Container):
			return false
		}
		return where(ev)
	}, nil
}

func (a *Agent) serveEvents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	wants, err := choose(agents.Filter{Kinds: q["kind"], Namespace: q.Get("namespace"), Pod: q.Get("pod"), Container: q.Get("container"), Where: q.Get("where")})
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	f := a.hub.follow(wants)
	defer a.hub.leave(f)
	w.Header().Set("Content-Type", "application/jsonl")
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	flusher := http.NewResponseController(w)
	if flusher.Flush() != nil {
		return
	}
	var told uint64
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case ev := <-f.events:
			if out.Encode(ev) != nil {
				return
			}
		case <-tick.C:
			if lost := f.lost.Load(); lost > told {
				loss := &seawall.Event{Kind: seawall.EventLoss, Time: time.Now(), Node: a.o.Node, Loss: &seawall.Loss{Class: "follower", Count: lost - told, Reason: "the reader of this stream is too slow"}}
				if out.Encode(loss) != nil {
					return
				}
				told = lost
			}
			if flusher.Flush() != nil {
				return
			}
		}
	}
}

// serveEntries sends what is in the spool, and with follow what comes.
func (a *Agent) serveEntries(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, err := strconv.ParseUint(cmp.Or(q.Get("from"), "0"), 10, 64)
	if err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("from: %w", err))
		return
	}
	kinds := q["kind"]
	w.Header().Set("Content-Type", "application/jsonl")
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	flusher := http.NewResponseController(w)
	for {
		news := a.spool.News()
		err := a.spool.Read(from, 0, func(e spool.Entry) error {
			from = e.Seq + 1
			if len(kinds) > 0 && !slices.Contains(kinds, e.Kind) {
				return nil
			}
			return out.Encode(e)
		})
		if err != nil || flusher.Flush() != nil || q.Get("follow") == "" {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-news:
		}
	}
}

func (a *Agent) readAct(w http.ResponseWriter, r *http.Request) (respond.Target, respond.Request, bool) {
	var q agents.ActRequest
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		fail(w, http.StatusBadRequest, err)
		return respond.Target{}, respond.Request{}, false
	}
	if a.responder == nil {
		fail(w, http.StatusNotImplemented, errors.New("this agent cannot contain: see problems in its status"))
		return respond.Target{}, respond.Request{}, false
	}
	t, ok := a.target(q.Namespace, q.Pod)
	if !ok {
		fail(w, http.StatusNotFound, fmt.Errorf("no pod %s/%s runs on node %s", q.Namespace, q.Pod, a.o.Node))
		return respond.Target{}, respond.Request{}, false
	}
	if own, err := a.o.Cgroups.Of(uint32(os.Getpid())); err == nil && strings.HasPrefix(own.Path+"/", strings.TrimPrefix(t.Dir, strings.TrimSuffix(a.o.Cgroups.Root, "/"))+"/") { //nolint:gosec // a PID
		fail(w, http.StatusConflict, errors.New("this is the agent's own pod: it cannot act on itself"))
		return respond.Target{}, respond.Request{}, false
	}
	return t, respond.Request{By: q.By, Reason: q.Reason, Keep: q.Keep}, true
}

func (a *Agent) serveAct(do func(context.Context, respond.Target, respond.Request) (*seawall.Act, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, q, ok := a.readAct(w, r)
		if !ok {
			return
		}
		// Who asked may go away; the act goes on.
		act, err := do(context.WithoutCancel(r.Context()), t, q)
		if err != nil && act == nil {
			fail(w, http.StatusConflict, err)
			return
		}
		answer(w, act)
	}
}

// serveEvidence collects the evidence of a pod, or sends what was collected before.
// With the query list it names the bundles only.
func (a *Agent) serveEvidence(w http.ResponseWriter, r *http.Request) {
	if a.o.Evidence == nil {
		fail(w, http.StatusNotImplemented, errors.New("this agent keeps no evidence"))
		return
	}
	query := r.URL.Query()
	if name := query.Get("name"); name != "" {
		f, err := a.o.Evidence.Open(name)
		if err != nil {
			fail(w, http.StatusNotFound, err)
			return
		}
		defer f.Close() //nolint:errcheck // it was only read
		w.Header().Set("Content-Type", "application/zstd")
		_, _ = io.Copy(w, f) // the other end went away
		return
	}
	if query.Has("list") {
		names, err := a.o.Evidence.List(query.Get("namespace"), query.Get("pod"))
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		answer(w, names)
		return
	}
	t, q, ok := a.readAct(w, r)
	if !ok {
		return
	}
	now := time.Now().UTC()
	act := &seawall.Act{
		ID: fmt.Sprintf("%x", now.UnixNano()), Kind: seawall.Evidence, Time: now, Node: a.o.Node, Pod: t.Pod, By: q.By, Reason: q.Reason, State: seawall.ActRunning,
	}
	name, err := a.o.Evidence.Collect(r.Context(), t, act)
	step := seawall.ActStep{Name: "evidence", Time: now, Took: time.Since(now), Done: err == nil, Detail: name}
	if err != nil {
		step.Error = err.Error()
	}
	act.Steps, act.State = []seawall.ActStep{step}, seawall.ActDone
	a.writer.put("act", act.ID, act.Time, act)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, act)
}
