package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"seawall.io/seawall"
)

// maxNamespaceLists bounds how many lists of single namespaces are tried in
// place of refused lists of the whole cluster: 40 seconds' worth.
const maxNamespaceLists = 2000

// listByNamespace lists what may not be listed in the whole cluster in each
// namespace instead: in all of them if namespaces could be listed, else in the
// one that the context or the service account belongs to.
func (s *session) listByNamespace(ctx context.Context, outcomes []outcome) {
	if s.options.Namespace != "" {
		return
	}
	var refused []*outcome
	var names []string
	known := false
	for i := range outcomes {
		o := &outcomes[i]
		if o.resource.namespaced && isForbidden(o.err) && len(o.objects) == 0 {
			refused = append(refused, o)
		}
		if o.resource.String() == "namespaces" && o.err == nil {
			known = true
			for _, n := range o.objects {
				names = append(names, n.Name)
			}
		}
	}
	if !known && s.namespace != "" {
		names = []string{s.namespace}
	}
	if len(refused) == 0 || len(names) == 0 {
		return
	}
	tried := names[:min(len(names), max(1, maxNamespaceLists/len(refused)))]

	var group errgroup.Group
	group.SetLimit(listers)
	for _, o := range refused {
		group.Go(func() error {
			s.listEach(ctx, o, tried, known, len(names)-len(tried))
			return nil
		})
	}
	group.Wait() //nolint:errcheck // outcomes hold the errors
}

// listEach lists one resource in some namespaces. known says that these, and
// as many as are left, are all that the cluster has.
func (s *session) listEach(ctx context.Context, o *outcome, namespaces []string, known bool, left int) {
	var failed, read []string
	var first error
	for _, ns := range namespaces {
		l := s.list(ctx, o.resource, ns)
		o.objects = append(o.objects, l.objects...)
		for _, b := range l.broken {
			o.reasons = append(o.reasons, reason("list %s in namespace %s: an item could not be read: %s", o.resource, ns, oneLine(b)))
		}
		if l.err == nil {
			read = append(read, ns)
			continue
		}
		failed = append(failed, ns)
		if first == nil {
			first = l.err
		}
	}
	if len(read) == 0 && len(o.objects) == 0 {
		return // o.err, the refusal of the whole cluster, says it all
	}
	everywhere := o.err
	o.err = nil
	if len(failed) > 0 {
		o.reasons = append(o.reasons, reason("list %s in %d of %d namespaces (%s): %s",
			o.resource, len(failed), len(namespaces)+left, some(failed), describe(first)))
	}
	if left > 0 {
		o.reasons = append(o.reasons, reason("list %s in %d more namespaces: not tried, since listing the whole cluster is %s: "+
			"allow that, or read one namespace with --namespace", o.resource, left, describe(everywhere)))
	}
	if !known {
		o.reasons = append(o.reasons, onlyIn(o.resource, read, everywhere))
	}
}

func onlyIn(r resource, read []string, err error) seawall.Incomplete {
	return reason("list %s outside of namespace %s: %s", r, some(read), describe(err))
}

// some names the first few.
func some(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(slices.Clone(names[:few]), ", "), len(names)-few)
}
