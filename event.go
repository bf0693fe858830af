package seawall

import (
	"fmt"
	"net/netip"
	"time"
)

// Event is one thing that happened on a node: what a process did, or what the
// sensor has to say of itself. Which of the parts are set depends on Kind.
// Who has an event must not change it: many events share their processes,
// containers and pods.
type Event struct {
	Kind EventKind `json:"kind"`
	// Time is the node's clock when the event was read; Boot the nanoseconds since
	// boot when it happened, which never jump.
	Time time.Time `json:"time,omitzero"`
	Boot uint64    `json:"boot,omitempty"`
	Node string    `json:"node,omitempty"`
	// Seq counts the events of one ring and CPU, from 1.
	Seq uint64 `json:"seq,omitempty"`
	// Count is how many equal events this one stands for, where the kernel folded
	// them; 0 is one.
	Count uint64 `json:"count,omitempty"`
	// Process did it. It is nil for events of the node or the sensor.
	Process   *Process   `json:"process,omitempty"`
	Container *Container `json:"container,omitempty"`
	Pod       *Pod       `json:"pod,omitempty"`
	// Identity says how sure Container and Pod are.
	Identity Identity `json:"identity,omitempty"`

	File       *File       `json:"file,omitempty"`   // file events, and the program of exec
	Exec       *Exec       `json:"exec,omitempty"`   // exec
	Exit       *Exit       `json:"exit,omitempty"`   // exit
	Socket     *Socket     `json:"socket,omitempty"` // connect, listen, accept, bind, send, close, socket
	DNS        *DNS        `json:"dns,omitempty"`
	TLS        *TLS        `json:"tls,omitempty"`
	Call       *Call       `json:"call,omitempty"`
	Capability string      `json:"capability,omitempty"` // CAP_SYS_ADMIN
	Syscalls   []string    `json:"syscalls,omitempty"`   // new in the container
	Creds      *CredChange `json:"creds,omitempty"`
	// Namespaces names those in which the process is not at home: mnt, pid, net, user,
	// cgroup. Set for namespace.
	Namespaces []string `json:"namespaces,omitempty"`
	Verdict    *Verdict `json:"verdict,omitempty"`
	Loss       *Loss    `json:"loss,omitempty"`
	// Cgroup is the one that was made or removed: container.
	Cgroup *Cgroup `json:"cgroup,omitempty"`
	// Profile says how the event stands to what the workload was seen to do.
	Profile *ProfileMatch `json:"profile,omitempty"`
}

// EventKind says what happened.
type EventKind uint8

// The kinds of events. Those of one process, those of files, those of sockets,
// what needs privilege, and those of containers and the sensor itself.
const (
	EventNone EventKind = iota
	EventExec
	EventFork
	EventExit
	EventComm // a process renamed itself

	EventOpen  // for reading
	EventWrite // opened for writing, made or truncated
	EventRename
	EventUnlink
	EventChmod
	EventChown
	EventLink
	EventSymlink
	EventMknod
	EventXattr
	EventMap // mapped or made executable
	EventMount

	EventConnect
	EventListen
	EventAccept
	EventBind
	EventSend  // first packet to a peer without a connection, or first data of one that Payload names
	EventSock  // a raw, packet or otherwise rare socket was made
	EventClose // the bytes of a connection that ended
	EventDNS
	EventTLS

	EventCall       // a rare system call
	EventCapability // a capability was used for the first time in a container
	EventCreds      // user, group or capabilities changed without exec
	EventNamespace  // a task is no longer in the namespaces of its container
	EventSyscall    // a system call was first seen in a container
	EventDenied     // a system call was denied by seccomp

	EventContainer // a container started or is gone
	EventSession   // a process was put into a running container: exec, attach
	EventVerdict   // Seawall prevented something
	EventLoss      // events were lost
	EventThrottle  // a container's events were folded for a time
	// EventHeartbeat is an act of the agent's own, that the kernel reported like any other: so much works.
	EventHeartbeat
	// EventTamper says that somebody interferes with the sensor or its agent. Process did
	// it, where that is known; Call.Target is the agent, and Call.Name what was done:
	// signal, freeze, ptrace, prlimit64 and other system calls on it, memory (/proc/PID/mem
	// opened for writing), unpin, mount, detach (of programs), bpf (a map was changed).
	// The agent itself notices pause (it was not let run), silence (the kernel no
	// longer reports what it does) and death (of the agent before it). Op says more,
	// and Args[0] of the last three is a time in nanoseconds.
	EventTamper
	eventKinds
)

var eventKindNames = [eventKinds]string{
	"none", "exec", "fork", "exit", "comm",
	"open", "write", "rename", "unlink", "chmod", "chown", "link", "symlink", "mknod", "xattr", "map", "mount",
	"connect", "listen", "accept", "bind", "send", "socket", "close", "dns", "tls",
	"call", "capability", "creds", "namespace", "syscall", "denied",
	"container", "session", "verdict", "loss", "throttle", "heartbeat", "tamper",
}

// EventKinds returns every kind, in the order of their numbers.
func EventKinds() []EventKind {
	out := make([]EventKind, 0, eventKinds-1)
	for k := EventExec; k < eventKinds; k++ {
		out = append(out, k)
	}
	return out
}

// String returns the kind as JSON and checks have it.
func (k EventKind) String() string {
	if k < eventKinds {
		return eventKindNames[k]
	}
	return fmt.Sprintf("kind-%d", uint8(k))
}

// MarshalText implements encoding.TextMarshaler.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A kind that this version
// does not know is an error.
func (k *EventKind) UnmarshalText(text []byte) error {
	for i, name := range eventKindNames {
		if name == string(text) && i > 0 {
			*k = EventKind(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no kind of event", text)
}

// Identity says how an event came to its container.
type Identity string

// The identities.
const (
	// Resolved events belong to the container they name.
	Resolved Identity = "resolved"
	// Pending events are of a container that the runtime did not describe in time:
	// a correction follows once it does.
	Pending Identity = "pending"
	// OnHost events belong to no container.
	OnHost Identity = "host"
	// Unidentified events are of a cgroup that looks like a container's, of which
	// nobody could say more.
	Unidentified Identity = "unidentified"
)

// Process is a process as of its last exec, or of its fork where it had none. PID
// and Start together name it for as long as the node is up: a PID is used again, a
// PID with the time of its start is not.
type Process struct {
	PID   uint32 `json:"pid"`
	TID   uint32 `json:"tid,omitempty"`   // the thread that acted, where it is not the first
	Start uint64 `json:"start,omitempty"` // nanoseconds since boot
	// NSPID is the PID that the process has in its own namespace.
	NSPID uint32 `json:"nspid,omitempty"`
	Comm  string `json:"comm,omitempty"`
	// Exe is the program's path in the process's own root.
	Exe  string   `json:"exe,omitempty"`
	Args []string `json:"args,omitempty"`
	// ArgsBytes is the true length of the arguments, where Args holds only the
	// beginning of them.
	ArgsBytes uint64      `json:"argsBytes,omitempty"`
	Cwd       string      `json:"cwd,omitempty"`
	UID       uint32      `json:"uid"`
	EUID      uint32      `json:"euid"`
	GID       uint32      `json:"gid"`
	Caps      Caps        `json:"caps,omitempty"` // effective
	TTY       bool        `json:"tty,omitempty"`
	Program   FileTraits  `json:"program,omitzero"` // what is known of the program's file
	NS        *Namespaces `json:"namespaces,omitempty"`
	Cgroup    uint64      `json:"cgroup,omitempty"`
	// Stdio says what standard input, output and error were at exec.
	Stdio [3]Stdio `json:"stdio,omitzero"`
	// Entry is set for what the runtime started: "init" for the container's own
	// process, "exec" for one that was put into it later, "node" elsewhere. The process
	// keeps it whatever it executes, and a forked copy has it until it executes
	// something; what the two run has none, but has them among its ancestors.
	Entry string `json:"entry,omitempty"`
	// Parent is the process that made this one; nil where it is not known.
	Parent *Process `json:"parent,omitempty"`
}

// Stdio is what a standard stream is connected to.
type Stdio uint8

// What standard streams are connected to.
const (
	StdioUnknown Stdio = iota
	StdioNone
	StdioFile
	StdioNull
	StdioTTY
	StdioPipe
	StdioSocket
)

var stdioNames = [...]string{"", "none", "file", "null", "tty", "pipe", "socket"}

// String returns the word for it, empty where unknown.
func (s Stdio) String() string {
	if int(s) < len(stdioNames) {
		return stdioNames[s]
	}
	return ""
}

// MarshalText implements encoding.TextMarshaler.
func (s Stdio) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Stdio) UnmarshalText(text []byte) error {
	for i, name := range stdioNames {
		if name == string(text) {
			*s = Stdio(i)
			return nil
		}
	}
	return fmt.Errorf("%q is nothing that a stream is connected to", text)
}

// Namespaces are the inode numbers of a task's namespaces.
type Namespaces struct {
	Mnt    uint32 `json:"mnt"`
	Net    uint32 `json:"net"`
	PID    uint32 `json:"pid"`
	User   uint32 `json:"user"`
	UTS    uint32 `json:"uts"`
	IPC    uint32 `json:"ipc"`
	Cgroup uint32 `json:"cgroup"`
}

// FileTraits are what the kernel knows of a file beyond its path.
type FileTraits struct {
	Inode uint64 `json:"inode,omitempty"`
	Dev   uint32 `json:"dev,omitempty"`
	// FS is the type of its file system: overlay, tmpfs, ext4, proc.
	FS   string `json:"fs,omitempty"`
	Mode uint32 `json:"mode,omitempty"` // type and permissions, as stat has them
	UID  uint32 `json:"uid,omitempty"`
	// Upper files lie in a container's writable layer: they are not of its image.
	// Where Modified is set as well the image has a file of that name.
	Upper    bool `json:"upper,omitempty"`
	Modified bool `json:"modified,omitempty"`
	// Memfd files exist in memory only; Deleted ones have no name any more.
	Memfd   bool `json:"memfd,omitempty"`
	Deleted bool `json:"deleted,omitempty"`
	SetUID  bool `json:"setuid,omitempty"`
	SetGID  bool `json:"setgid,omitempty"`
	// Volume files lie on a mount of the container that is not its root: an
	// emptyDir, a hostPath, a claim.
	Volume bool `json:"volume,omitempty"`
}

// File is a file that was acted on.
type File struct {
	// Path is in the root of the acting process, links resolved where the act
	// resolved them.
	Path string `json:"path"`
	// To is the other path of rename, link and symlink: the new name; the target of
	// a symlink as written.
	To     string `json:"to,omitempty"`
	Traits        // of the file at Path
	// Flags of open(2); NewMode of chmod and mknod.
	Flags     uint32 `json:"flags,omitempty"`
	NewMode   uint32 `json:"newMode,omitempty"`
	Truncated bool   `json:"truncated,omitempty"` // the path is longer than what Path holds
	// Type and Source of a mount; the attribute's name of xattr.
	Type   string `json:"type,omitempty"`
	Source string `json:"source,omitempty"`
	// Created says that the file did not exist before.
	Created bool  `json:"created,omitempty"`
	Result  int64 `json:"result,omitempty"` // negative errno where it failed
}

// Traits is FileTraits inside a File.
type Traits = FileTraits

// Exec is what else is known of an exec.
type Exec struct {
	// Script is the file with the #! line, where the program was its interpreter.
	Script string `json:"script,omitempty"`
	// Env holds names of variables that change how programs are loaded or reach the
	// network; Values only of those that were asked for.
	Env    []string          `json:"env,omitempty"`
	Values map[string]string `json:"values,omitempty"`
}

// Exit is how a process ended.
type Exit struct {
	Code   int `json:"code"`
	Signal int `json:"signal,omitempty"`
}

// Socket is one end of a conversation.
type Socket struct {
	// Protocol is tcp, udp, sctp, icmp, raw, packet, netlink, vsock or unix.
	Protocol string         `json:"protocol"`
	Local    netip.AddrPort `json:"local,omitzero"`
	Remote   netip.AddrPort `json:"remote,omitzero"`
	// Path is that of a unix socket; abstract ones begin with @.
	Path   string `json:"path,omitempty"`
	Cookie uint64 `json:"cookie,omitempty"`
	// Result is a negative errno: why a connection came to its end, in its close. What
	// was refused or never answered has a close with a result and no bytes;
	// -ECANCELED is for a process that gave up first.
	Result int64 `json:"result,omitempty"`
	// Name is what DNS said of the remote address, where the container asked.
	Name          string `json:"name,omitempty"`
	BytesSent     uint64 `json:"bytesSent,omitempty"`
	BytesReceived uint64 `json:"bytesReceived,omitempty"`
	// Payload says what a client began a TCP connection with, where its first bytes
	// tell: stratum, json, ssh, http, socks. It comes in a send of its own.
	Payload string `json:"payload,omitempty"`
}

// DNS is a question, or the answer to one.
type DNS struct {
	Name     string         `json:"name"`
	Type     string         `json:"type"`
	Response bool           `json:"response,omitempty"`
	RCode    string         `json:"rcode,omitempty"`
	Answers  []string       `json:"answers,omitempty"`
	Server   netip.AddrPort `json:"server,omitzero"`
	// Foreign says that the server is none of those that the container was given.
	Foreign bool `json:"foreign,omitempty"`
}

// TLS is what a client says before a connection is encrypted.
type TLS struct {
	ServerName string         `json:"serverName"`
	Remote     netip.AddrPort `json:"remote,omitzero"`
	ALPN       []string       `json:"alpn,omitempty"`
}

// Call is a rare system call.
type Call struct {
	Name   string    `json:"name"` // ptrace, finit_module
	Args   [4]uint64 `json:"args,omitzero"`
	Result int64     `json:"result,omitempty"`
	// Op says in words what the arguments ask for: PTRACE_ATTACH, CLONE_NEWUSER.
	Op string `json:"op,omitempty"`
	// Target is the process acted on, where there is one.
	Target *Process `json:"target,omitempty"`
	// Denied is set where seccomp refused it before it began.
	Denied bool `json:"denied,omitempty"`
}

// CredChange is what a process was and what it became.
type CredChange struct {
	OldUID  uint32 `json:"oldUid"`
	OldEUID uint32 `json:"oldEuid"`
	NewUID  uint32 `json:"newUid"`
	NewEUID uint32 `json:"newEuid"`
	OldCaps Caps   `json:"oldCaps,omitempty"`
	NewCaps Caps   `json:"newCaps,omitempty"`
}

// Verdict is what Seawall prevented.
type Verdict struct {
	Rule   string `json:"rule"`
	Tier   string `json:"tier"`   // lsm, fmod_ret, signal, fanotify, cgroup
	Action string `json:"action"` // denied, killed, audited
	Target string `json:"target,omitempty"`
	// Nanoseconds from the act to the verdict, where the verdict came after it.
	Delay uint64 `json:"delay,omitempty"`
}

// Cgroup is a directory of the default cgroup hierarchy.
type Cgroup struct {
	ID      uint64 `json:"id"`   // its inode number
	Path    string `json:"path"` // below the hierarchy's root
	Removed bool   `json:"removed,omitempty"`
}

// Loss says how many events of a class were not delivered.
type Loss struct {
	Class  string `json:"class"`
	Count  uint64 `json:"count"`
	Reason string `json:"reason"`
}

// ProfileMatch is how an event stands to what its workload was seen to do.
type ProfileMatch struct {
	// Ready profiles have seen enough that something new is news.
	Ready bool `json:"ready"`
	// Known says that the workload was seen to do this before.
	Known bool `json:"known"`
}

// Container is a running container.
type Container struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Image string `json:"image,omitempty"`
	// Digest is that of the image's manifest or, where the runtime has none, its
	// configuration.
	Digest     string    `json:"digest,omitempty"`
	Started    time.Time `json:"started,omitzero"`
	Privileged bool      `json:"privileged,omitempty"`
	PID        uint32    `json:"pid,omitempty"` // of its first process
	// Sandbox marks the container that holds a pod's namespaces.
	Sandbox bool `json:"sandbox,omitempty"`
	// Caps are those that its first process may have at most.
	Caps Caps `json:"caps,omitempty"`
	// Mounts are the places where paths of the node or volumes appear.
	Mounts []ContainerMount `json:"mounts,omitempty"`
	// Resolvers are the DNS servers that the container was given.
	Resolvers []netip.Addr `json:"resolvers,omitempty"`
	NS        *Namespaces  `json:"namespaces,omitempty"`
}

// ContainerMount is a path of the node inside a container.
type ContainerMount struct {
	Path     string `json:"path"`
	Host     string `json:"host"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// Pod is the pod of a container.
type Pod struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	UID       string            `json:"uid,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Workload is what made the pod, as far up as is known: Deployment/web.
	Workload       Workload `json:"workload,omitzero"`
	ServiceAccount string   `json:"serviceAccount,omitempty"`
	HostNetwork    bool     `json:"hostNetwork,omitempty"`
	HostPID        bool     `json:"hostPID,omitempty"`
	IP             []string `json:"ip,omitempty"`
	// Mode is what Seawall may do in the pod's namespace: observe, alert, prevent or
	// contain.
	Mode string `json:"mode,omitempty"`
}

// Workload names a controller.
type Workload struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// String returns kind/name.
func (w Workload) String() string {
	if w.Kind == "" {
		return ""
	}
	return w.Kind + "/" + w.Name
}
