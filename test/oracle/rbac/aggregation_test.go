package rbac

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	rbacapply "k8s.io/client-go/applyconfigurations/rbac/v1"
	rbacclient "k8s.io/client-go/kubernetes/typed/rbac/v1"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
)

// last is the name of the aggregated role that the controller comes to last in
// every round, which tells that the round is over.
const last = "~last"

// aggregation is Kubernetes' controller over roles in memory. It stands in for
// the informer and the client that the controller is given.
type aggregation struct {
	cache.SharedIndexInformer
	rbacclient.ClusterRoleInterface

	handler cache.ResourceEventHandler
	round   chan struct{}

	mu      sync.Mutex
	roles   []*rbacv1.ClusterRole // by name, last at the end
	changed bool
}

// startAggregation starts a controller, which ends with the test.
func startAggregation(t *testing.T) *aggregation {
	t.Helper()
	a := &aggregation{round: make(chan struct{})}
	controller := clusterroleaggregation.NewClusterRoleAggregation(informer{a}, getter{a})
	ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), klog.Logger{})) // which tells of every step
	done := make(chan struct{})
	go func() {
		defer close(done)
		controller.Run(ctx, 1)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return a
}

type informer struct{ a *aggregation }

func (i informer) Informer() cache.SharedIndexInformer   { return i.a }
func (i informer) Lister() rbaclisters.ClusterRoleLister { return lister{a: i.a} }

type getter struct{ a *aggregation }

func (g getter) ClusterRoles() rbacclient.ClusterRoleInterface { return g.a }

func (a *aggregation) HasSynced() bool { return true }

func (a *aggregation) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	a.handler = h
	return nil, nil
}

type lister struct {
	rbaclisters.ClusterRoleListerExpansion
	a *aggregation
}

func (l lister) List(sel labels.Selector) ([]*rbacv1.ClusterRole, error) {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	var out []*rbacv1.ClusterRole
	for _, r := range l.a.roles {
		if sel.Matches(labels.Set(r.Labels)) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (l lister) Get(name string) (*rbacv1.ClusterRole, error) {
	if name == last {
		l.a.round <- struct{}{}
		return nil, apierrors.NewNotFound(rbacv1.Resource("clusterroles"), name)
	}
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	for _, r := range l.a.roles {
		if r.Name == name {
			return r, nil
		}
	}
	return nil, apierrors.NewNotFound(rbacv1.Resource("clusterroles"), name)
}

// Apply stores the rules that the controller has gathered. That only their
// order changes does not count: in a cycle of roles it may change for ever.
func (a *aggregation) Apply(_ context.Context, in *rbacapply.ClusterRoleApplyConfiguration, _ metav1.ApplyOptions) (*rbacv1.ClusterRole, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.roles, func(r *rbacv1.ClusterRole) bool { return r.Name == *in.Name })
	next := a.roles[i].DeepCopy()
	next.Rules = nil
	for _, r := range in.Rules {
		next.Rules = append(next.Rules, rbacv1.PolicyRule{
			Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames, NonResourceURLs: r.NonResourceURLs,
		})
	}
	a.changed = a.changed || !slices.Equal(sortedRules(a.roles[i]), sortedRules(next))
	a.roles[i] = next
	return next, nil
}

func sortedRules(r *rbacv1.ClusterRole) []string {
	var out []string
	for _, rule := range r.Rules {
		text, err := json.Marshal(rule)
		if err != nil {
			panic(err)
		}
		out = append(out, string(text))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// settle lets the controller run until it changes nothing more.
func (a *aggregation) settle(t *testing.T, roles []*rbacv1.ClusterRole) []*rbacv1.ClusterRole {
	t.Helper()
	a.mu.Lock()
	a.roles = nil
	for _, r := range roles {
		a.roles = append(a.roles, r.DeepCopy())
	}
	slices.SortFunc(a.roles, func(x, y *rbacv1.ClusterRole) int { return cmp.Compare(x.Name, y.Name) })
	nothing := metav1.LabelSelector{MatchLabels: map[string]string{last: last}}
	end := &rbacv1.ClusterRole{AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{nothing}}}
	end.Name = last
	a.roles = append(a.roles, end)
	a.mu.Unlock()
	for range 100 {
		a.mu.Lock()
		a.changed = false
		a.mu.Unlock()
		a.handler.OnAdd(nil, false)
		<-a.round
		a.mu.Lock()
		changed := a.changed
		a.mu.Unlock()
		if !changed {
			return slices.Clone(a.roles[:len(a.roles)-1])
		}
	}
	t.Fatal("the controller does not come to rest")
	return nil
}
