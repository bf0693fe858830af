package kube

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/redact"
)

const (
	// listers is how many lists are read at a time. The API server gives one
	// client about as many seats.
	listers = 4
	// maxSilent is how many requests in a row may stay without answer before
	// the rest is not tried: each costs the whole timeout.
	maxSilent = 6
)

// ReadOptions say what to read of a cluster. The zero value is everything.
type ReadOptions struct {
	// Namespace restricts the objects that live in namespaces to one. Objects
	// of the whole cluster are read all the same, as far as allowed.
	Namespace string
	// Progress, when set, is told of every page read. It is called by one
	// goroutine at a time and must not block.
	Progress func(Progress)
}

// Progress is how far a Read has come.
type Progress struct {
	// Resource was read last: deployments.apps.
	Resource string
	// Objects counts the objects read so far.
	Objects int
	// Done and Total count resources.
	Done, Total int
}

// Read lists everything that can be listed, and returns the objects sorted by
// group, version, kind, namespace and name. What could not be read is named in
// Snapshot.Incomplete; only when that is everything, or the server cannot be
// reached, is it an error. Snapshot.Whole is true when nothing is missing and
// no namespace was asked for.
//
// Each answer may take [Options].Timeout; ctx bounds the whole.
func (c *Client) Read(ctx context.Context, o ReadOptions) (*cluster.Snapshot, error) {
	// client-go would log to standard error; all it has to say is returned.
	ctx = klog.NewContext(ctx, klog.Logger{})

	version, err := c.version(ctx)
	if err != nil && !isRefusal(err) {
		return nil, c.unreadable(err)
	}
	s := session{Client: c, options: o, red: reader{cluster: c.name, redactor: redact.Redactor{Salt: newSalt()}, shared: document.NewShared()}}
	if err != nil {
		s.incomplete = append(s.incomplete, reason("read /version: %s", describe(err)))
	}
	resources, missing, err := c.discover(ctx)
	if err != nil {
		return nil, c.unreadable(err)
	}
	s.incomplete = append(s.incomplete, missing...)
	s.progress.Total = len(resources)

	outcomes := s.listAll(ctx, resources)
	if err := s.checkNamespace(ctx, outcomes); err != nil {
		return nil, err
	}
	s.listByNamespace(ctx, outcomes)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading cluster %s: %w", c.name, context.Cause(ctx))
	}
	return s.snapshot(version, outcomes)
}

// version returns the server's version, such as v1.36.3.
func (c *Client) version(ctx context.Context) (string, error) {
	text, _, err := c.get(ctx, "/version", "application/json")
	if err != nil {
		return "", err
	}
	var v struct{ GitVersion string }
	if err := json.Unmarshal(text, &v); err != nil {
		return "", malformed(fmt.Errorf("the answer to /version is not JSON: %w", err))
	}
	return v.GitVersion, nil
}

func newSalt() []byte {
	salt := make([]byte, 32)
	rand.Read(salt)
	return salt
}

// session is one Read.
type session struct {
	*Client
	options    ReadOptions
	red        reader
	incomplete []seawall.Incomplete

	mu       sync.Mutex // of what follows
	progress Progress
	silent   int // requests in a row without answer
}

// outcome is what came of one resource.
type outcome struct {
	resource resource
	objects  []*cluster.Object
	reasons  []seawall.Incomplete
	err      error // why the list ended early; it is not yet in reasons
}

// listAll lists the resources, a few at a time.
func (s *session) listAll(ctx context.Context, resources []resource) []outcome {
	outcomes := make([]outcome, len(resources))
	var group errgroup.Group
	group.SetLimit(listers)
	for i, r := range resources {
		group.Go(func() error {
			l := s.list(ctx, r, s.options.Namespace)
			outcomes[i] = outcome{resource: r, objects: l.objects, err: l.err}
			for _, b := range l.broken {
				outcomes[i].reasons = append(outcomes[i].reasons, reason("list %s: an item could not be read: %s", r, oneLine(b)))
			}
			s.done(r)
			return nil
		})
	}
	group.Wait() //nolint:errcheck // outcomes hold the errors
	return outcomes
}

// list is Client.list with progress, unless the server has fallen silent.
func (s *session) list(ctx context.Context, r resource, namespace string) listing {
	s.mu.Lock()
	silent := s.silent >= maxSilent
	s.mu.Unlock()
	if silent {
		return listing{err: errSilent}
	}
	l := s.Client.list(ctx, s.red, r, namespace, func(objects int) { s.tell(r, objects) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if isSilent(l.err) {
		s.silent++
	} else {
		s.silent = 0
	}
	return l
}

func (s *session) tell(r resource, objects int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.Resource = r.String()
	s.progress.Objects += objects
	if s.options.Progress != nil {
		s.options.Progress(s.progress)
	}
}

func (s *session) done(r resource) {
	s.mu.Lock()
	s.progress.Done++
	s.mu.Unlock()
	s.tell(r, 0)
}

// checkNamespace makes sure that the namespace that was asked for exists: the
// server answers with empty lists when it does not. Where namespaces may not
// be listed, the one is asked for.
func (s *session) checkNamespace(ctx context.Context, outcomes []outcome) error {
	name := s.options.Namespace
	i := slices.IndexFunc(outcomes, func(o outcome) bool { return o.resource.String() == "namespaces" })
	if name == "" || i < 0 {
		return nil
	}
	o := &outcomes[i]
	if o.err == nil {
		if slices.ContainsFunc(o.objects, func(n *cluster.Object) bool { return n.Name == name }) {
			return nil
		}
		return s.noNamespace(name)
	}
	text, _, err := s.get(ctx, o.resource.path("")+"/"+url.PathEscape(name), "application/json")
	if apierrors.IsNotFound(err) {
		return s.noNamespace(name)
	}
	if err != nil {
		return nil //nolint:nilerr // that namespaces cannot be read is told already
	}
	if n, err := s.red.object(s.red.shared.Reader(), cutFor(o.resource).apply(nil, text), o.resource); err == nil {
		o.reasons = append(o.reasons, reason("list namespaces but %s: %s", name, describe(o.err)))
		o.objects, o.err = append(o.objects, n), nil
	}
	return nil
}

func (s *session) noNamespace(name string) error {
	return fmt.Errorf("cluster %s has no namespace %q: check --namespace against %s", s.name, name, s.tryKubectl())
}

// snapshot puts the outcomes together.
func (s *session) snapshot(version string, outcomes []outcome) (*cluster.Snapshot, error) {
	var objects []*cluster.Object
	var failed error
	succeeded := false
	for i := range outcomes {
		o := &outcomes[i]
		objects = append(objects, o.objects...)
		s.incomplete = append(s.incomplete, o.reasons...)
		if o.err == nil {
			succeeded = true
			continue
		}
		s.incomplete = append(s.incomplete, s.endedEarly(o))
		if failed == nil {
			failed = o.err
		}
	}
	if !succeeded && len(objects) == 0 && failed != nil {
		return nil, s.unreadable(failed)
	}
	sortObjects(objects)
	snap := cluster.NewSnapshot(objects)
	snap.Version = version
	snap.Incomplete = s.incomplete
	snap.Whole = s.options.Namespace == "" && len(s.incomplete) == 0
	return snap, nil
}

func (s *session) endedEarly(o *outcome) seawall.Incomplete {
	where := ""
	if o.resource.namespaced && s.options.Namespace != "" {
		where = " in namespace " + s.options.Namespace
	}
	if len(o.objects) > 0 {
		return reason("list %s%s: after %d objects: %s", o.resource, where, len(o.objects), describe(o.err))
	}
	return reason("list %s%s: %s", o.resource, where, describe(o.err))
}

// sortObjects puts objects in the order that a snapshot file has.
func sortObjects(objects []*cluster.Object) {
	slices.SortStableFunc(objects, func(a, b *cluster.Object) int {
		return cmp.Or(cmp.Compare(a.Group(), b.Group()), cmp.Compare(a.APIVersion, b.APIVersion),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
