//go:build !linux

package slimming

import "archive/tar"

// addCapability does nothing: only Linux has capabilities of files.
func addCapability(*tar.Header, string) {}
