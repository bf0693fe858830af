package probe_test

import (
	"os"
	"testing"

	"seawall.io/seawall/test/vm"
)

// The tests of this package, under the kernels that this machine does not run.
func TestKernels(t *testing.T) {
	if os.Getenv("SEAWALL_VM") != "" {
		t.Skip("this is the guest")
	}
	for _, k := range []vm.Kernel{vm.Linux6_1, vm.Linux6_12} {
		t.Run(string(k), func(t *testing.T) {
			vm.Test(t, k, vm.WithBPF, ".", "-test.run=TestExec")
		})
	}
}
