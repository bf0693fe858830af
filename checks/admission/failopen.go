package admissionchecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// failOpen reports webhooks on pods and workloads that admit what they do not
// see, policies that admit what they cannot judge, and bindings that do not
// deny.
func failOpen(in *check.Input) {
	for _, kind := range [...]string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		for _, o := range of(in.Snapshot, kind) {
			for i, w := range o.Root.Get("webhooks").List() {
				if w.Get("failurePolicy").Str() != "Ignore" || !matchesWorkloads(w.Get("rules")) {
					continue
				}
				in.Report(check.Hit{
					Object: o, Path: document.Index("webhooks", i) + ".failurePolicy", Cause: w.Get("name").Str(),
					Message: fmt.Sprintf("webhook %s admits pods unseen when it does not answer", w.Get("name").Str()),
				})
			}
		}
	}
	for _, o := range of(in.Snapshot, "ValidatingAdmissionPolicy") {
		if o.Root.At("spec", "failurePolicy").Str() == "Ignore" {
			in.Report(check.Hit{
				Object: o, Path: "spec.failurePolicy", Message: "the policy admits what it fails to judge",
				Fix: patch.Set(o.Root, "spec.failurePolicy", "Fail"),
			})
		}
	}
	for _, o := range of(in.Snapshot, "ValidatingAdmissionPolicyBinding") {
		actions := texts(o.Root.At("spec", "validationActions"))
		if slices.Contains(actions, "Deny") {
			continue
		}
		in.Report(check.Hit{
			Object: o, Path: "spec.validationActions",
			Message: fmt.Sprintf("the binding of policy %s denies nothing: its actions are %s",
				o.Root.At("spec", "policyName").Str(), strings.Join(actions, ", ")),
		})
	}
}

func of(s *cluster.Snapshot, kind string) []*cluster.Object {
	var out []*cluster.Object
	for _, o := range s.Kind(kind) {
		if o.Group() == "admissionregistration.k8s.io" {
			out = append(out, o)
		}
	}
	return out
}

// workloads are the resources that embed pods, by API group.
//
//nolint:gochecknoglobals // a table
var workloads = map[string][]string{
	"":      {"pods", "replicationcontrollers", "podtemplates", "pods/ephemeralcontainers"},
	"apps":  {"deployments", "statefulsets", "daemonsets", "replicasets"},
	"batch": {"jobs", "cronjobs"},
}

// matchesWorkloads says whether rules match the creation or change of pods or of
// what makes them.
func matchesWorkloads(rules *document.Node) bool {
	for _, r := range rules.List() {
		operations := texts(r.Get("operations"))
		if !overlaps(operations, "*", "CREATE", "UPDATE") {
			continue
		}
		groups, resources := texts(r.Get("apiGroups")), texts(r.Get("resources"))
		for group, names := range workloads {
			if overlaps(groups, "*", group) && overlaps(resources, append([]string{"*", "*/*"}, names...)...) {
				return true
			}
		}
	}
	return false
}

func overlaps(list []string, wanted ...string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return slices.Contains(wanted, s) })
}

func texts(n *document.Node) []string {
	out := make([]string, 0, n.Len())
	for _, v := range n.List() {
		out = append(out, v.Str())
	}
	return out
}
