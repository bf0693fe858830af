package probe

import "runtime"

// archOfObjects is how bpf2go calls this machine.
var archOfObjects = map[string]string{"amd64": "x86", "arm64": "arm64"}[runtime.GOARCH] //nolint:gochecknoglobals // a constant of the machine
