package config

import "fmt"

// Containerd is the part of containerd's configuration that is up to the lab.
type Containerd struct {
	PauseImage string
	CNIPlugins string // directory of the CNI programs
}

// Encode returns the file for containerd --config. Paths of state are left at
// their defaults: every node has directories of its own there.
func (c Containerd) Encode() []byte {
	return fmt.Appendf(nil, `# Version 2 is understood by containerd 1.6 as well as by 2.x.
version = 2

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  # Without CAP_SYS_RESOURCE, lowering a container's OOM score is forbidden, and
  # runc would end without a useful message.
  restrict_oom_score_adj = true
  # The nodes are not the machine: loading profiles into its kernel is not theirs.
  disable_apparmor = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = "/etc/cni/net.d"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`, c.PauseImage, c.CNIPlugins)
}
