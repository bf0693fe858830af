package podchecks

import (
	"fmt"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
	"seawall.io/seawall/internal/rbac"
)

// mounted says whether the pods get a token of their account, and the path of
// the field that decides it. The pod's field wins over the account's, and true
// is the default of both (plugin/pkg/admission/serviceaccount). An account that
// the snapshot does not hold counts with the default.
func mounted(in *check.Input, t *cluster.PodTemplate) (yes bool, path string) {
	path = document.Key(t.SpecPath, "automountServiceAccountToken")
	if v, set := t.Spec().Get("automountServiceAccountToken").Bool(); set {
		return v, path
	}
	if sa := lookup(in, "ServiceAccount", t, t.ServiceAccount()); sa != nil {
		if v, set := sa.Root.Get("automountServiceAccountToken").Bool(); set {
			return v, path
		}
	}
	return true, path
}

// tokenMounted reports pods that get a service account token. A fix is offered
// only where nothing says that the token is wanted: neither the pod itself, nor
// a binding of its account.
func tokenMounted(in *check.Input) {
	model := rbac.Of(in.Snapshot)
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		yes, path := mounted(in, t)
		if !yes {
			continue
		}
		h := check.Hit{Object: t.Object, Path: path}
		why := "by default"
		if t.Spec().Get("automountServiceAccountToken") != nil {
			why = "automountServiceAccountToken is true"
		} else if boundBy(model, t) == nil {
			h.Fix = patch.Set(t.Object.Root, path, false)
		}
		h.Message = fmt.Sprintf("the token of service account %s is mounted (%s)", t.ServiceAccount(), why)
		in.Report(h)
	}
}

// tokenWithPermissions reports pods that get the token of an account that is
// bound to something.
func tokenWithPermissions(in *check.Input) {
	model := rbac.Of(in.Snapshot)
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		yes, path := mounted(in, t)
		if !yes {
			continue
		}
		if b := boundBy(model, t); b != nil {
			in.Report(check.Hit{
				Object: t.Object, Path: path,
				Message: fmt.Sprintf("the token of service account %s is mounted, and %s grants it %s", t.ServiceAccount(), b, b.RoleRef()),
			})
		}
	}
}

// boundBy returns the first binding that means the account of the pods, by its
// name or as one of its namespace. What all accounts of the cluster are granted
// is the binding's fault and not the pods'.
func boundBy(model *rbac.Model, t *cluster.PodTemplate) *rbac.Binding {
	id := rbac.Account(t.Namespace(), t.ServiceAccount())
	for _, b := range model.AllBindingsFor(id) {
		s, _ := b.Applies(id)
		_, _, named := s.Account()
		_, ofNamespace := s.AccountGroup()
		if named || ofNamespace {
			return b
		}
	}
	return nil
}

// defaultAccount reports pods that get a token of the account default.
func defaultAccount(in *check.Input) {
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		if t.ServiceAccount() != "default" {
			continue
		}
		if yes, _ := mounted(in, t); !yes {
			continue
		}
		in.Report(check.Hit{Object: t.Object, Path: document.Key(t.SpecPath, "serviceAccountName")})
	}
}

// missingAccount reports pods whose account does not exist. The account
// default always does. Files are taken to hold the accounts of a namespace when
// they hold any of it.
func missingAccount(in *check.Input) {
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		name := t.ServiceAccount()
		if name == "default" || lookup(in, "ServiceAccount", t, name) != nil {
			continue
		}
		switch absence(in, "ServiceAccount", t.Namespace()) {
		case unsaid:
			continue
		case unread:
			in.Unknown(t.Object, fmt.Sprintf("whether service account %s exists is unknown: not all of the cluster was read", name))
			continue
		case certain:
		}
		path := document.Key(t.SpecPath, "serviceAccountName")
		if t.Spec().Get("serviceAccountName").Str() == "" {
			path = document.Key(t.SpecPath, "serviceAccount")
		}
		in.Report(check.Hit{
			Object: t.Object, Path: path,
			Message: fmt.Sprintf("service account %s does not exist in namespace %s", name, t.Namespace()),
		})
	}
}
