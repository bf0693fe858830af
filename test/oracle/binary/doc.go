// Package binary holds what seawall reads of Go binaries against govulncheck. It
// has tests only.
package binary
