// Package probe is the door to the kernel: it loads the eBPF programs of bpf/,
// reads what they report as events, and carries out in the kernel what package
// respond decides. It knows neither pods nor checks: an event's process has its
// cgroup, and who that is others find out.
//
// Each hook is a collection of its own. One that the running kernel refuses costs
// what it would have seen, which [Probe.Coverage] says, and nothing else. Kernels
// from 5.15 on, with BTF (/sys/kernel/btf/vmlinux), amd64 and arm64.
//
// Events travel in one ring buffer a class, and nobody is woken for them: the
// caller polls. What was made, delivered, folded, filtered and lost is counted in
// the kernel, and the sums agree: see [Probe.Ledger].
package probe

//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type header -type exec -type fork -type exit -type comm -type traits -type pathname process ../../bpf/process.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type cgroup_event cgroup ../../bpf/cgroup.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type guard_event -type agent guard ../../bpf/guard.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type socket_event -type owner -type endpoints net ../../bpf/net.bpf.c -- -mcpu=v3 -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type unix_event netUnix ../../bpf/net_unix.bpf.c -- -mcpu=v3 -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type packet dns ../../bpf/dns.bpf.c -- -mcpu=v3 -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type verdict -type gate -type peer_key -type peer_value cut ../../bpf/cut.bpf.c -- -mcpu=v3 -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 cutUnix ../../bpf/cut_unix.bpf.c -- -mcpu=v3 -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type link_cut cutLink ../../bpf/cut_link.bpf.c -- -mcpu=v3 -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type traits -type pathname -type file_event -type name_event -type names_event -type budget -type budget_key file ../../bpf/file.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type call_event calls ../../bpf/calls.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type creds_event -type ns_event -type namespaces creds ../../bpf/creds.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type capability_event capability ../../bpf/capability.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type learnt -type syscall_event syscalls ../../bpf/syscalls.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type uring_event uring ../../bpf/uring.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type header -type traits -type pathname -type task tasks ../../bpf/tasks.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 enforceLSM ../../bpf/enforce_lsm.bpf.c -- -mcpu=v3 -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 enforceFmod ../../bpf/enforce_fmod.bpf.c -- -mcpu=v3 -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 -type enforced -type policy -type denied_file enforceSignal ../../bpf/enforce_signal.bpf.c -- -mcpu=v3 -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 enforceArm ../../bpf/enforce_arm.bpf.c -- -mcpu=v3 -Wall -Werror -Wno-unused-function -I../../bpf
//go:generate go tool -modfile=../../tools/go.mod bpf2go -go-package probe -target amd64,arm64 fileOpen ../../bpf/file_open.bpf.c -- -Wall -Werror -Wno-unused-function -I../../bpf
