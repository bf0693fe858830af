package rbac

import "testing"

// core is a rule on the core group.
func core(verbs, resources, names []string) Rule {
	return Rule{Verbs: verbs, APIGroups: []string{""}, Resources: resources, ResourceNames: names}
}

func TestRuleAllows(t *testing.T) {
	get := []string{"get"}
	all := []string{"*"}
	tests := []struct {
		name string
		rule Rule
		in   Attributes
		want bool
	}{
		{"same", core(get, []string{"pods"}, nil), Attributes{Verb: "get", Resource: "pods"}, true},
		{"other-verb", core(get, []string{"pods"}, nil), Attributes{Verb: "list", Resource: "pods"}, false},
		{"verb-in-another-case", core([]string{"GET"}, []string{"pods"}, nil), Attributes{Verb: "get", Resource: "pods"}, false},
		{"other-resource", core(get, []string{"pods"}, nil), Attributes{Verb: "get", Resource: "secrets"}, false},
		{"any-verb", core(all, []string{"pods"}, nil), Attributes{Verb: "impersonate", Resource: "pods"}, true},
		{"verb-prefix-is-no-pattern", core([]string{"get*"}, []string{"pods"}, nil), Attributes{Verb: "get", Resource: "pods"}, false},

		{"any-resource-has-subresources", core(get, all, nil), Attributes{Verb: "get", Resource: "pods", Subresource: "exec"}, true},
		{"subresource-is-not-in-its-resource", core(get, []string{"pods"}, nil), Attributes{Verb: "get", Resource: "pods", Subresource: "exec"}, false},
		{"resource-is-not-in-its-subresource", core(get, []string{"pods/exec"}, nil), Attributes{Verb: "get", Resource: "pods"}, false},
		{"subresource", core(get, []string{"pods/exec"}, nil), Attributes{Verb: "get", Resource: "pods", Subresource: "exec"}, true},
		{"subresource-of-any", core(get, []string{"*/exec"}, nil), Attributes{Verb: "get", Resource: "pods", Subresource: "exec"}, true},
		{"subresource-of-any-is-not-the-resource", core(get, []string{"*/exec"}, nil), Attributes{Verb: "get", Resource: "pods"}, false},
		{"other-subresource-of-any", core(get, []string{"*/log"}, nil), Attributes{Verb: "get", Resource: "pods", Subresource: "exec"}, false},
		{"suffix-of-a-subresource", core(get, []string{"*/ec"}, nil), Attributes{Verb: "get", Resource: "pods", Subresource: "exec"}, false},
		{"any-subresource-of-pods-matches-nothing", core(get, []string{"pods/*"}, nil), Attributes{Verb: "get", Resource: "pods", Subresource: "exec"}, false},
		{"any-subresource-of-pods-is-not-pods", core(get, []string{"pods/*"}, nil), Attributes{Verb: "get", Resource: "pods"}, false},
		{"star-slash-star", core(get, []string{"*/*"}, nil), Attributes{Verb: "get", Resource: "pods", Subresource: "exec"}, false},

		{"named", core(get, []string{"pods"}, []string{"a"}), Attributes{Verb: "get", Resource: "pods", Name: "a"}, true},
		{"named-otherwise", core(get, []string{"pods"}, []string{"a"}), Attributes{Verb: "get", Resource: "pods", Name: "b"}, false},
		{"name-star-is-no-pattern", core(get, []string{"pods"}, all), Attributes{Verb: "get", Resource: "pods", Name: "b"}, false},
		{"create-carries-no-name", core([]string{"create"}, []string{"pods"}, []string{"a"}), Attributes{Verb: "create", Resource: "pods"}, false},
		{"create-of-a-subresource-carries-one", core([]string{"create"}, []string{"pods/exec"}, []string{"a"}), Attributes{Verb: "create", Resource: "pods", Subresource: "exec", Name: "a"}, true},
		{"list-without-field-selector", core([]string{"list"}, []string{"pods"}, []string{"a"}), Attributes{Verb: "list", Resource: "pods"}, false},
		{"list-with-field-selector", core([]string{"list"}, []string{"pods"}, []string{"a"}), Attributes{Verb: "list", Resource: "pods", Name: "a"}, true},
		{"deletecollection-carries-no-name", core(all, []string{"pods"}, []string{"a"}), Attributes{Verb: "deletecollection", Resource: "pods"}, false},
		{"unnamed-rule-allows-a-name", core(get, []string{"pods"}, nil), Attributes{Verb: "get", Resource: "pods", Name: "b"}, true},

		{"no-groups-match-nothing", Rule{Verbs: all, Resources: all}, Attributes{Verb: "get", Resource: "pods"}, false},
		{"core-is-not-apps", core(all, all, nil), Attributes{Verb: "get", Group: "apps", Resource: "deployments"}, false},
		{"any-group", Rule{Verbs: get, APIGroups: all, Resources: []string{"deployments"}}, Attributes{Verb: "get", Group: "apps", Resource: "deployments"}, true},
		{"no-verbs", Rule{APIGroups: all, Resources: all}, Attributes{Verb: "get", Resource: "pods"}, false},
		{"wildcards-do-not-give-urls", Rule{Verbs: all, APIGroups: all, Resources: all}, Attributes{Verb: "get", Path: "/metrics"}, false},

		{"url", Rule{Verbs: get, NonResourceURLs: []string{"/metrics"}}, Attributes{Verb: "get", Path: "/metrics"}, true},
		{"url-below", Rule{Verbs: get, NonResourceURLs: []string{"/metrics"}}, Attributes{Verb: "get", Path: "/metrics/x"}, false},
		{"url-prefix", Rule{Verbs: get, NonResourceURLs: []string{"/api/*"}}, Attributes{Verb: "get", Path: "/api/v1"}, true},
		{"url-prefix-is-not-its-parent", Rule{Verbs: get, NonResourceURLs: []string{"/api/*"}}, Attributes{Verb: "get", Path: "/api"}, false},
		{"url-with-two-stars", Rule{Verbs: get, NonResourceURLs: []string{"/api**"}}, Attributes{Verb: "get", Path: "/apis"}, true},
		{"url-star-inside", Rule{Verbs: get, NonResourceURLs: []string{"/a/*/b"}}, Attributes{Verb: "get", Path: "/a/x/b"}, false},
		{"every-url", Rule{Verbs: all, NonResourceURLs: all}, Attributes{Verb: "post", Path: "/logs"}, true},
		{"url-needs-the-verb", Rule{Verbs: get, NonResourceURLs: all}, Attributes{Verb: "post", Path: "/logs"}, false},
		{"urls-do-not-give-resources", Rule{Verbs: all, NonResourceURLs: all}, Attributes{Verb: "get", Resource: "pods"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.rule.Allows(tt.in); got != tt.want {
				t.Errorf("%v allows %+v: got %v, want %v", &tt.rule, tt.in, got, tt.want)
			}
			if got := slowAllows(&tt.rule, tt.in); got != tt.want {
				t.Errorf("the slow matcher says %v", got)
			}
		})
	}
}

func TestRuleGrants(t *testing.T) {
	tests := []struct {
		name                  string
		rule                  Rule
		verb, group, resource string
		want                  bool
	}{
		{"plain", core([]string{"get"}, []string{"pods"}, nil), "get", "", "pods", true},
		{"names-are-not-looked-at", core([]string{"get"}, []string{"pods"}, []string{"a"}), "get", "", "pods", true},
		{"subresource-of-any", core([]string{"get"}, []string{"*/exec"}, nil), "get", "", "pods/exec", true},
		{"any-subresource", core([]string{"get"}, []string{"pods/*"}, nil), "get", "", "pods/exec", false},
		{"every-verb-wants-a-star", core([]string{"get", "list"}, []string{"pods"}, nil), "*", "", "pods", false},
		{"every-verb", core([]string{"*"}, []string{"pods"}, nil), "*", "", "pods", true},
		{"every-resource-wants-a-star", core([]string{"*"}, []string{"pods"}, nil), "get", "", "*", false},
		{"every-group-wants-a-star", core([]string{"*"}, []string{"*"}, nil), "get", "*", "*", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.rule.Grants(tt.verb, tt.group, tt.resource); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRuleString(t *testing.T) {
	tests := []struct {
		rule Rule
		want string
	}{
		{core([]string{"get", "list"}, []string{"pods"}, nil), "get,list on pods"},
		{core([]string{"get"}, []string{"secrets"}, []string{"a", "b"}), "get on secrets named a,b"},
		{Rule{Verbs: []string{"*"}, APIGroups: []string{"", "apps"}, Resources: []string{"*"}}, "* on * of core,apps"},
		{Rule{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}}, "get on /x"},
	}
	for _, tt := range tests {
		if got := tt.rule.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
