// Package version holds seawall's order of versions against osv-scalibr's. It
// has tests only.
package version
