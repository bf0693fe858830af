// Package rbacchecks holds the Go functions of the checks on RBAC in this
// folder. They judge what subjects can do by their bindings, never a role that
// nobody is bound to. Package internal/rbac answers what is granted; here it is
// decided what of that is worth a finding.
package rbacchecks

import "seawall.io/seawall/internal/check"

// Funcs returns the functions by the names that checks use.
func Funcs() map[string]check.Func {
	return map[string]check.Func{
		"grants":                    grants,
		"rbacAggregation":           aggregation,
		"rbacAWSAuth":               awsAuth,
		"rbacBroadRole":             broadRole,
		"rbacDashboard":             dashboard,
		"rbacMissingRole":           missingRole,
		"rbacNodePods":              nodePods,
		"rbacManyRoles":             manyRoles,
		"rbacManySubjects":          manySubjects,
		"rbacMasters":               masters,
		"rbacOpenSubjects":          openSubjects,
		"rbacServiceAccountsRights": accountRights,
		"rbacStealPods":             stealPods,
		"rbacWildcards":             wildcards,
	}
}
