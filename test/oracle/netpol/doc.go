// Package netpol holds package reach against the matcher of Cyclonus, and the
// faults that package netpol finds against the validation of the API server.
package netpol
