// Package rbac holds Seawall's RBAC model to Kubernetes' own: the authorizer,
// its rule resolver and subject locator, the controller that aggregates
// ClusterRoles, and the default policy. It has tests only.
package rbac
