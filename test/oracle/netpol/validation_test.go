package netpol

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/kubernetes/pkg/apis/networking"
	defaults "k8s.io/kubernetes/pkg/apis/networking/v1"
	"k8s.io/kubernetes/pkg/apis/networking/validation"

	ours "seawall.io/seawall/internal/netpol"
)

// damage are values that may stand at a key, most of them wrong.
var damage = map[string][]string{
	"port":              {"0", "-1", "70000", `""`, `"http"`, `"HTTP"`, `"a-name-that-is-too-long"`, `"80"`, "8.5", "true", "null"},
	"endPort":           {"0", "1", "70000", `"http"`, "null", "65535"},
	"protocol":          {`"ICMP"`, `"tcp"`, `"TCP"`, `""`, "6", "null"},
	"cidr":              {`"10.0.0.0"`, `"10.0.0.0/33"`, `"::/129"`, `""`, `"10.1.2.3/8"`, `"010.0.0.0/8"`, `"fe80::1%eth0/64"`, `"::ffff:10.0.0.0/104"`, "10", "null"},
	"except":            {`["10.0.0.0"]`, `["192.168.0.0/16"]`, `[]`, `["0.0.0.0/0"]`, `"10.0.0.0/8"`, "null"},
	"podSelector":       {`{"matchLabels":{"a b":"c"}}`, `{"matchLabels":{"a":"b c"}}`, `{"matchLabels":{"a":1}}`, `{"matchExpressions":[{"key":"a","operator":"Like"}]}`, `[]`, `{}`, "null"},
	"namespaceSelector": {`{"matchExpressions":[{"key":"a","operator":"In"}]}`, `{"matchExpressions":[{"key":"a","operator":"Exists","values":["b"]}]}`, `{"matchExpressions":[{"key":"","operator":"Exists"}]}`, `{}`},
	"policyTypes":       {`["Bogus"]`, `["Ingress","Ingress"]`, `["Ingress","Egress","Ingress"]`, `[]`, `["ingress"]`, `"Ingress"`, "null"},
	"from":              {`[{}]`, `[{"ipBlock":{"cidr":"10.0.0.0/8"},"podSelector":{}}]`, `[{"podSelector":null}]`, `{}`, `[]`, "null"},
	"to":                {`[{}]`, `[null]`, `[{"ipBlock":{}}]`, `"all"`, `[]`},
	"ports":             {`[{}]`, `[{"endPort":80}]`, `[{"port":"http","endPort":80}]`, `[{"port":90,"endPort":80}]`, `[null]`, `{}`, `[]`},
	"ingress":           {`[{}]`, `[null]`, `{}`, `"all"`, `[]`, "null"},
	"egress":            {`[{}]`, `[[]]`, `true`, `[]`},
}

// spoil puts damage at some percent of the keys of a policy that have any.
func (r source) spoil(v any, damage map[string][]string, percent int) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if values := damage[k]; len(values) > 0 && r.chance(percent) {
				v[k] = json.RawMessage(pick(r, values...))
				continue
			}
			r.spoil(v[k], damage, percent)
		}
	case []any:
		for i := range v {
			r.spoil(v[i], damage, percent)
		}
	}
}

// lenient are ranges that the API server refuses from Kubernetes 1.36 on
// (StrictIPCIDRValidation). Older ones took them, and 1.36 leaves those in place
// that are there: package netpol reads them as they mean.
var lenient = []string{"10.1.2.3/8"}

// refused says whether the API server would refuse a policy, and why: it cannot
// be decoded, or is not valid.
func refused(text []byte) string {
	var v1 networkingv1.NetworkPolicy
	if err := json.Unmarshal(text, &v1); err != nil {
		return err.Error()
	}
	defaults.SetDefaults_NetworkPolicy(&v1)
	for _, p := range ports(&v1) {
		defaults.SetDefaults_NetworkPolicyPort(p)
	}
	var internal networking.NetworkPolicy
	if err := defaults.Convert_v1_NetworkPolicy_To_networking_NetworkPolicy(&v1, &internal, nil); err != nil {
		return err.Error()
	}
	if errs := validation.ValidateNetworkPolicy(&internal, validation.NetworkPolicyValidationOptions{AllowCIDRsEvenIfInvalid: lenient}); len(errs) > 0 {
		return errs.ToAggregate().Error()
	}
	return ""
}

// TestFaultsAreTheAPIServers compares what is wrong with policies with what the
// API server refuses, on policies with random damage.
func TestFaultsAreTheAPIServers(t *testing.T) {
	bad, good, differ := 0, 0, 0
	for seed := range uint64(30000) {
		r := source{rand.New(rand.NewPCG(seed, 2))}
		text, err := json.Marshal(r.policy(0))
		if err != nil {
			t.Fatal(err)
		}
		var policy map[string]any
		if err := json.Unmarshal(text, &policy); err != nil {
			t.Fatal(err)
		}
		spec, _ := policy["spec"].(map[string]any)
		r.spoil(spec, damage, 12)
		for _, key := range []string{"policyTypes", "ingress", "egress", "podSelector"} {
			if r.chance(3) {
				spec[key] = json.RawMessage(pick(r, damage[key]...))
			}
		}
		if text, err = json.Marshal(policy); err != nil {
			t.Fatal(err)
		}
		theirs := refused(text)
		policies := ours.Of(snapshot(t, string(text))).Policies()
		if len(policies) != 1 {
			t.Fatalf("%d policies in %s", len(policies), text)
		}
		faults := policies[0].Faults()
		if (theirs != "") != (len(faults) > 0) {
			t.Errorf("seed %d: the API server says %q, got %v\n%s", seed, theirs, faults, text)
			if differ++; differ > 8 {
				t.FailNow()
			}
		}
		if theirs == "" {
			good++
		} else {
			bad++
		}
	}
	t.Logf("%d refused, %d not", bad, good)
	if good < 5000 || bad < 5000 {
		t.Errorf("%d refused and %d not: too few of one to compare", bad, good)
	}
}
