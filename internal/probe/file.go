package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"seawall.io/seawall"
)

// act says how a system call acts on files: the arguments that name them, by their
// place from 1. Argument 7 is always zero: a path there is empty, so that what the
// directory's descriptor stands for is meant itself.
type act struct {
	kind                               seawall.EventKind
	form                               actForm
	dir, path, dir2, path2, file, text uint8
}

type actForm uint8

// The forms, as in bpf/file.bpf.c.
const (
	formOpen actForm = iota + 1
	formOpenHow
	formCreate
	formName
	formNames
	formFile
	formMmap
	formMmapOld
	formMprotect
	formFsconfig
	formOpenFailed
	formOpenHowFailed
	formCreateFailed
)

func (f actForm) onlyFailed() actForm {
	switch f {
	case formOpen:
		return formOpenFailed
	case formOpenHow:
		return formOpenHowFailed
	case formCreate:
		return formCreateFailed
	default:
		return f
	}
}

// word packs an act as the programs read it.
func (a act) word() uint64 {
	w := uint64(0)
	for i, b := range [...]uint8{uint8(a.kind), uint8(a.form), a.dir, a.path, a.dir2, a.path2, a.file, a.text} {
		w |= uint64(b) << (8 * i)
	}
	return w
}

// acts are the calls that the file hook looks at. The kind of an open depends on how
// the file was opened; where one is given here the call has no path to report when
// it fails.
func acts() map[string]act {
	return map[string]act{
		"open":              {form: formOpen, path: 1},
		"openat":            {form: formOpen, dir: 1, path: 2},
		"openat2":           {form: formOpenHow, dir: 1, path: 2},
		"creat":             {form: formCreate, path: 1},
		"open_by_handle_at": {form: formOpen, path: 2, kind: seawall.EventOpen},

		"rename":    {kind: seawall.EventRename, form: formNames, path: 1, path2: 2},
		"renameat":  {kind: seawall.EventRename, form: formNames, dir: 1, path: 2, dir2: 3, path2: 4},
		"renameat2": {kind: seawall.EventRename, form: formNames, dir: 1, path: 2, dir2: 3, path2: 4},

		"unlink":   {kind: seawall.EventUnlink, form: formName, path: 1},
		"unlinkat": {kind: seawall.EventUnlink, form: formName, dir: 1, path: 2},
		"rmdir":    {kind: seawall.EventUnlink, form: formName, path: 1},

		"chmod":     {kind: seawall.EventChmod, form: formName, path: 1},
		"fchmodat":  {kind: seawall.EventChmod, form: formName, dir: 1, path: 2},
		"fchmodat2": {kind: seawall.EventChmod, form: formName, dir: 1, path: 2},
		"fchmod":    {kind: seawall.EventChmod, form: formFile, file: 1},

		"chown":    {kind: seawall.EventChown, form: formName, path: 1},
		"lchown":   {kind: seawall.EventChown, form: formName, path: 1},
		"fchownat": {kind: seawall.EventChown, form: formName, dir: 1, path: 2},
		"fchown":   {kind: seawall.EventChown, form: formFile, file: 1},
		"chown32":  {kind: seawall.EventChown, form: formName, path: 1},
		"lchown32": {kind: seawall.EventChown, form: formName, path: 1},
		"fchown32": {kind: seawall.EventChown, form: formFile, file: 1},

		"link":      {kind: seawall.EventLink, form: formNames, path: 1, path2: 2},
		"linkat":    {kind: seawall.EventLink, form: formNames, dir: 1, path: 2, dir2: 3, path2: 4},
		"symlink":   {kind: seawall.EventSymlink, form: formNames, path: 2, path2: 1},
		"symlinkat": {kind: seawall.EventSymlink, form: formNames, dir: 2, path: 3, path2: 1},
		"mknod":     {kind: seawall.EventMknod, form: formName, path: 1},
		"mknodat":   {kind: seawall.EventMknod, form: formName, dir: 1, path: 2},

		"truncate":   {kind: seawall.EventWrite, form: formName, path: 1},
		"truncate64": {kind: seawall.EventWrite, form: formName, path: 1},

		"setxattr":   {kind: seawall.EventXattr, form: formNames, path: 1, text: 2},
		"lsetxattr":  {kind: seawall.EventXattr, form: formNames, path: 1, text: 2},
		"fsetxattr":  {kind: seawall.EventXattr, form: formNames, dir: 1, path: 7, text: 2},
		"setxattrat": {kind: seawall.EventXattr, form: formNames, dir: 1, path: 2, text: 4},

		"mmap":          {kind: seawall.EventMap, form: formMmap},
		"mmap2":         {kind: seawall.EventMap, form: formMmap},
		"mprotect":      {kind: seawall.EventMap, form: formMprotect},
		"pkey_mprotect": {kind: seawall.EventMap, form: formMprotect},

		"mount":          {kind: seawall.EventMount, form: formNames, path: 2, path2: 1, text: 3},
		"umount":         {kind: seawall.EventMount, form: formName, path: 1},
		"umount2":        {kind: seawall.EventMount, form: formName, path: 1},
		"move_mount":     {kind: seawall.EventMount, form: formNames, dir: 3, path: 4, dir2: 1, path2: 2},
		"open_tree":      {kind: seawall.EventMount, form: formName, dir: 1, path: 2},
		"open_tree_attr": {kind: seawall.EventMount, form: formName, dir: 1, path: 2},
		"mount_setattr":  {kind: seawall.EventMount, form: formName, dir: 1, path: 2},
		"fsopen":         {kind: seawall.EventMount, form: formNames, text: 1},
		"fsconfig":       {kind: seawall.EventMount, form: formFsconfig, path2: 4, text: 3},
		"pivot_root":     {kind: seawall.EventMount, form: formNames, path: 1, path2: 2},
		"chroot":         {kind: seawall.EventMount, form: formName, path: 1},
	}
}

// actTable is what the programs look calls up in. Without opens it has those only
// that failed: another hook tells of the others.
func actTable(opens bool) [callPlaces]uint64 {
	var out [callPlaces]uint64
	for name, a := range acts() {
		if !opens {
			a.form = a.form.onlyFailed()
		}
		for _, place := range syscalls().places[name] {
			// i386 has a call of this name that takes its arguments from memory.
			if name == "mmap" && place >= compatCalls {
				a.form = formMmapOld
			}
			out[place] = a.word()
		}
	}
	return out
}

// WatchedFiles returns the names of files whose opening is reported of each process,
// even where another has just opened them, and with a budget and a ring of their own
// that no storm of files touches: credentials and keys,
// what holds other processes' secrets and the kernel's, and what is read by whoever
// starts a program. An entry is a name, or a directory's name and a name in it.
func WatchedFiles() []string {
	return []string{
		// Accounts, what is loaded into every program, and jobs.
		"shadow", "shadow-", "gshadow", "gshadow-", "opasswd", "passwd", "group", "sudoers", "sudoers.d", "ld.so.preload", "ld.so.conf",
		"pam.d", "crontab", "cron.d", "request-key.conf", "request-key",
		// Keys and tokens.
		"authorized_keys", "known_hosts", "id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk",
		"ssh_host_rsa_key", "ssh_host_ecdsa_key", "ssh_host_ed25519_key", "dropbear_rsa_host_key", "dropbear_ecdsa_host_key", "dropbear_ed25519_host_key",
		"tls.key", "server.key", "peer.key", "privkey.pem", "key.pem", "token",
		// The cluster's own.
		"node-token", "kubeconfig", ".kube/config", "k3s.yaml", "rke2.yaml", "admin.conf", "super-admin.conf",
		"kubelet.conf", "controller-manager.conf", "scheduler.conf", "ca.key", "sa.key", "apiserver.key", "apiserver-kubelet-client.key",
		"apiserver-etcd-client.key", "front-proxy-ca.key", "front-proxy-client.key", "healthcheck-client.key", "server-ca.key", "client-ca.key", "client-admin.key",
		"kubelet-client-current.pem", "kubelet-server-current.pem", "kubelet.key", "snap/db",
		// Credentials of clouds and of tools.
		".aws/credentials", ".aws/config", "application_default_credentials.json", "credentials.db", "access_tokens.db", "adc.json",
		"accessTokens.json", "msal_token_cache.json", "msal_token_cache.bin", "service_principal_entries.json", "service_principal_entries.bin",
		".oci/config", ".aliyun/config.json", "doctl/config.yaml", "hcloud/cli.toml", "credentials.tfrc.json",
		".git-credentials", ".netrc", ".pgpass", ".my.cnf", ".mylogin.cnf", ".htpasswd", ".dockercfg",
		".docker/config.json", ".dockerconfigjson", ".npmrc", ".pypirc", ".vault-token", ".env", "wp-config.php", ".m2/settings.xml", ".m2/settings-security.xml",
		".bash_history", ".zsh_history", ".ash_history", ".mysql_history", ".psql_history", ".python_history", ".rediscli_history",
		// Memory and secrets of processes and of the kernel, and its levers.
		"environ", "mem", "maps", "kcore", "kmem", "port", "oldmem", "kallsyms", "sched_debug", "timer_list", "iomem", "slabinfo",
		"core_pattern", "modprobe", "uevent_helper", "release_agent", "notify_on_release", "binfmt_misc", "sysrq-trigger", "tun",
		// Who starts containers.
		"docker.sock", "containerd.sock", "crio.sock", "dockershim.sock", "cri-dockerd.sock", "podman.sock", "buildkitd.sock",
		"runc", "crun", "containerd-shim-runc-v2",
	}
}

// hashFile is the hash of bpf/file.bpf.c over a name, and over that of its directory
// where there is one.
func hashFile(name string) uint64 {
	dir, base, ok := strings.Cut(name, "/")
	if !ok {
		return hashName(0, name)
	}
	return hashName(hashName(0, base), dir)
}

func hashName(h uint64, name string) uint64 {
	var b [48]byte
	copy(b[:47], name)
	for i := 0; i < len(b); i += 8 {
		h = (h ^ binary.LittleEndian.Uint64(b[i:])) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h
}

// watchFiles fills the map of watched names.
func watchFiles(m *ebpf.Map, names []string) error {
	for _, name := range names {
		if i := strings.IndexByte(name, '/'); name == "" || len(name)-i > 48 || i > 47 || strings.Count(name, "/") > 1 {
			return fmt.Errorf("%q cannot be watched: it takes a name, or a directory and a name, of at most 47 bytes each", name)
		}
		if err := m.Put(hashFile(name), uint32(1)); err != nil {
			return fmt.Errorf("watching files named %s: %w", name, err)
		}
	}
	return nil
}

// WatchFiles adds to what [WatchedFiles] returns; at most 1,024 names in all.
func (p *Probe) WatchFiles(names ...string) error {
	h := p.hook("file")
	if h == nil {
		return errors.New("files are not watched: see Coverage")
	}
	return watchFiles(h.coll.Maps["watched"], names)
}

// budgetKey names a cgroup and what a budget is for: see [budgetClass].
type budgetKey = fileBudgetKey

// budgetClass names what a budget is for: a ring, or the files that are watched.
func budgetClass(n uint32) string {
	if n >= uint32(ringCount) {
		return "watched"
	}
	return Ring(n).String()
}

// sweepEvery is how often cgroups that were throttled are looked for, in nanoseconds.
const sweepEvery = 1_000_000_000

// sweep reports the cgroups whose events were throttled since it last did.
func (p *Probe) sweep(now uint64) error {
	m := p.maps["budgets"]
	if m == nil {
		return nil
	}
	var key budgetKey
	var b fileBudget
	var out []*seawall.Event
	it := m.Iterate()
	for it.Next(&key, &b) {
		if b.Throttled == p.throttled[key] {
			continue
		}
		// An entry that was forgotten in between counts from zero again.
		n := b.Throttled
		if n > p.throttled[key] {
			n -= p.throttled[key]
		}
		p.throttled[key] = b.Throttled
		out = append(out, &seawall.Event{
			Kind: seawall.EventThrottle, Boot: now, Count: n, Process: &seawall.Process{Cgroup: key.Cgroup},
			Loss: &seawall.Loss{Class: budgetClass(key.Ring), Count: n, Reason: "more events in a second than a cgroup may have"},
		})
	}
	slices.SortFunc(out, func(a, b *seawall.Event) int {
		if a.Process.Cgroup != b.Process.Cgroup {
			return int(int64(a.Process.Cgroup) - int64(b.Process.Cgroup)) //nolint:gosec // inode numbers stay below 2^63
		}
		return strings.Compare(a.Loss.Class, b.Loss.Class)
	})
	for _, ev := range out {
		p.say(ev)
	}
	if err := it.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return fmt.Errorf("reading the budgets: %w", err)
	}
	return nil
}
