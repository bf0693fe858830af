package workloadchecks

import (
	"fmt"
	"slices"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// identity reports workloads whose service account is granted too much in the
// whole cluster. The parameter question is admin (everything) or takeover
// (making pods, or reading Secrets). Pods without a token are left out.
func identity(in *check.Input) {
	question, _ := in.Params["question"].(string)
	type account struct{ namespace, name string }
	known := map[account]string{}
	for _, t := range in.Snapshot.Templates() {
		a := account{t.Namespace(), t.ServiceAccount()}
		answer, done := known[a]
		if !done {
			answer = powers(in.Snapshot, question, a.namespace, a.name)
			known[a] = answer
		}
		if answer == "" || !hasToken(in.Snapshot, &t) {
			continue
		}
		in.Report(check.Hit{
			Object: t.Object, Path: t.SpecPath + ".serviceAccountName",
			Message: fmt.Sprintf("ServiceAccount %s/%s may %s", a.namespace, a.name, answer),
		})
	}
}

// powers says what an account may do in the whole cluster, and by what; "" is
// nothing of what is asked for.
func powers(s *cluster.Snapshot, question, namespace, name string) string {
	for _, g := range rbac.Of(s).GrantsFor(rbac.Account(namespace, name), "") {
		if !g.Rule.Unnamed() {
			continue
		}
		by := fmt.Sprintf(", by %s and %s", g.Binding, g.Role)
		if question == "admin" {
			if g.Rule.Grants("*", "*", "*") {
				return "do everything in the whole cluster" + by
			}
			continue
		}
		for _, p := range [...]struct{ verb, resource string }{
			{"create", "pods"},
			{"update", "pods"},
			{"patch", "pods"},
			{"get", "secrets"},
			{"list", "secrets"},
			{"watch", "secrets"},
		} {
			if g.Rule.Grants(p.verb, "", p.resource) {
				return fmt.Sprintf("%s %s in the whole cluster%s", p.verb, p.resource, by)
			}
		}
	}
	return ""
}

// hasToken says whether the pods get a token of their account: by the automount,
// which the pod decides before the account, or by a volume of their own.
func hasToken(s *cluster.Snapshot, t *cluster.PodTemplate) bool {
	for _, v := range t.Spec().Get("volumes").List() {
		for _, source := range v.At("projected", "sources").List() {
			if source.Get("serviceAccountToken") != nil {
				return true
			}
		}
	}
	if mount, set := t.Spec().Get("automountServiceAccountToken").Bool(); set {
		return mount
	}
	for _, ns := range slices.Compact([]string{t.Object.Namespace, t.Namespace()}) {
		if account := s.Get("", "ServiceAccount", ns, t.ServiceAccount()); account != nil {
			if mount, set := account.Root.Get("automountServiceAccountToken").Bool(); set {
				return mount
			}
		}
	}
	return true
}
