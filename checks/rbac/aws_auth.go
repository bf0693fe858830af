package rbacchecks

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// awsAuth is grants on clusters of Amazon EKS. Where it is not known whether
// the objects are for such a cluster, only rules that name the ConfigMap
// aws-auth count.
func awsAuth(in *check.Input) {
	q, err := readQuery(in.Params)
	if err != nil {
		in.Unknown(nil, "parameters of the check: "+err.Error())
		return
	}
	switch eks(in.Snapshot) {
	case no:
		return
	case unclear:
		q.onlyNamed = true
	case yes:
	}
	q.report(in)
}

type answer uint8

const (
	unclear answer = iota
	yes
	no
)

// eks tells whether a snapshot is of EKS: by the version, which there is such
// as v1.33.4-eks-1a2b3c, or by objects that only EKS has.
func eks(s *cluster.Snapshot) answer {
	switch {
	case strings.Contains(s.Version, "-eks-"):
		return yes
	case s.Version != "":
		return no
	case s.Get("", "ConfigMap", "kube-system", "aws-auth") != nil:
		return yes
	}
	isEKS := func(o *cluster.Object) bool { return o.Annotation("eks.amazonaws.com/role-arn") != "" }
	if slices.ContainsFunc(s.Kind("ServiceAccount"), isEKS) {
		return yes
	}
	return unclear
}

// counts says whether a rule may count at all for the question.
func (q *query) counts(r *rbac.Rule) bool { return !q.onlyNamed || !r.Unnamed() }
