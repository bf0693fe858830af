package probe_test

import (
	"os"
	"testing"

	"seawall.io/seawall/test/vm"
)

// The tests of what depends on the kernel, under kernels that this machine does not run: with
// security modules of ours, and booted without.
func TestKernels(t *testing.T) {
	if os.Getenv("SEAWALL_VM") != "" {
		t.Skip("this is the guest")
	}
	for _, k := range []vm.Kernel{vm.Linux6_1, vm.Linux6_12} {
		for _, boot := range []struct{ name, cmdline string }{{"lsm", vm.WithBPF}, {"fmod_ret", vm.WithoutBPF}} {
			t.Run(string(k)+"/"+boot.name, func(t *testing.T) {
				vm.Test(t, k, boot.cmdline, ".", "-test.run=TestExec|TestEnforce|TestFilesTraced")
			})
		}
	}
}
