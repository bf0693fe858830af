// Package netpol holds package reach against the matcher of Cyclonus, and the
// faults that package netpol finds against the validation of the API server: its
// own of NetworkPolicy, and of the policies of the administrator what it makes of
// the schemas and rules in their definitions.
package netpol
