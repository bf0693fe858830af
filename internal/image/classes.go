package image

import (
	"path"
	"strings"
)

// classes tells what kind of tool a program is, by its name. A name stands here
// when its only purpose is that of the class.
//
//nolint:gochecknoglobals // a constant table
var classes = map[string]string{
	"sh": "shell", "ash": "shell", "bash": "shell", "dash": "shell", "zsh": "shell", "ksh": "shell", "mksh": "shell",
	"fish": "shell", "csh": "shell", "tcsh": "shell", "busybox": "shell", "toybox": "shell", "pwsh": "shell",

	"apt": "package manager", "apt-get": "package manager", "aptitude": "package manager", "dpkg": "package manager",
	"apk": "package manager", "yum": "package manager", "dnf": "package manager", "dnf5": "package manager",
	"microdnf": "package manager", "tdnf": "package manager", "rpm": "package manager", "zypper": "package manager",
	"pacman": "package manager", "opkg": "package manager", "brew": "package manager", "pip": "package manager",
	"pip3": "package manager", "npm": "package manager", "npx": "package manager", "yarn": "package manager",
	"pnpm": "package manager", "gem": "package manager", "composer": "package manager", "conda": "package manager",
	"corepack": "package manager", "uv": "package manager", "poetry": "package manager",

	"gcc": "compiler", "g++": "compiler", "cc": "compiler", "c++": "compiler", "clang": "compiler", "clang++": "compiler",
	"tcc": "compiler", "ld": "compiler", "as": "compiler", "make": "compiler", "cmake": "compiler", "ninja": "compiler",
	"go": "compiler", "rustc": "compiler", "cargo": "compiler", "javac": "compiler", "gfortran": "compiler", "nasm": "compiler",

	"gdb": "debugger", "gdbserver": "debugger", "lldb": "debugger", "strace": "debugger", "ltrace": "debugger",
	"dlv": "debugger", "valgrind": "debugger", "perf": "debugger", "bpftrace": "debugger", "jdb": "debugger",

	"nc": "network tool", "ncat": "network tool", "netcat": "network tool", "nc.traditional": "network tool",
	"nc.openbsd": "network tool", "socat": "network tool", "nmap": "network tool", "masscan": "network tool",
	"tcpdump": "network tool", "tshark": "network tool", "telnet": "network tool", "ftp": "network tool",
	"tftp": "network tool", "curl": "network tool", "wget": "network tool", "ssh": "network tool", "scp": "network tool",
	"sshd": "network tool", "rsync": "network tool", "dig": "network tool", "nslookup": "network tool", "proxychains": "network tool",
	"iptables": "network tool", "nft": "network tool", "ip": "network tool", "hping3": "network tool",

	"sudo": "privilege tool", "su": "privilege tool", "doas": "privilege tool", "pkexec": "privilege tool",
	"nsenter": "privilege tool", "unshare": "privilege tool", "setpriv": "privilege tool", "capsh": "privilege tool",
	"chroot": "privilege tool", "docker": "privilege tool", "ctr": "privilege tool", "crictl": "privilege tool",
	"kubectl": "privilege tool", "runc": "privilege tool", "nerdctl": "privilege tool", "podman": "privilege tool",
}

// programDirs are where programs stand that are found by name.
//
//nolint:gochecknoglobals // a constant table
var programDirs = map[string]bool{
	"bin": true, "sbin": true, "usr/bin": true, "usr/sbin": true, "usr/local/bin": true, "usr/local/sbin": true,
	"usr/local/go/bin": true, "opt/bin": true, "busybox": true, "root/.local/bin": true,
}

// toolClass returns the class of a program, "" for none.
func toolClass(name string) string {
	dir, base := path.Split(name)
	if !programDirs[strings.TrimSuffix(dir, "/")] {
		return ""
	}
	if class := classes[base]; class != "" {
		return class
	}
	// gcc-12, g++-12, python3-pip2 and the like: a version after a dash.
	if i := strings.LastIndexByte(base, '-'); i > 0 && strings.Trim(base[i+1:], "0123456789.") == "" {
		base = base[:i]
		if j := strings.LastIndexByte(base, '-'); j > 0 { // x86_64-linux-gnu-gcc-12
			base = base[j+1:]
		}
		return classes[base]
	}
	return ""
}

// left is a folder that package managers and builds leave behind.
type left struct{ prefix, what string }

//nolint:gochecknoglobals // a constant table
var leftovers = []left{
	{"var/lib/apt/lists", "package lists of apt"},
	{"var/cache/apt", "packages that apt fetched"},
	{"var/cache/apk", "packages that apk fetched"},
	{"var/cache/yum", "what yum fetched"},
	{"var/cache/dnf", "what dnf fetched"},
	{"var/lib/dnf", "what dnf remembers"},
	{"var/cache/zypp", "what zypper fetched"},
	{"root/.cache", "caches of programs that root ran"},
	{"root/.npm", "packages that npm fetched"},
	{"root/.m2", "packages that Maven fetched"},
	{"root/.gradle", "packages that Gradle fetched"},
	{"root/.cargo/registry", "crates that Cargo fetched"},
	{"root/go/pkg", "modules that Go fetched"},
	{"go/pkg", "modules that Go fetched"},
	{"usr/share/doc", "documentation"},
	{"usr/share/man", "manual pages"},
	{"usr/share/info", "manuals"},
	{"usr/share/locale", "translations"},
	{"usr/lib/debug", "debugging symbols"},
	{"var/log", "logs of the build"},
	{"tmp", "temporary files of the build"},
	{"var/tmp", "temporary files of the build"},
}

func cacheOf(name string) *left {
	for i := range leftovers {
		p := leftovers[i].prefix
		if len(name) > len(p) && name[len(p)] == '/' && name[:len(p)] == p {
			return &leftovers[i]
		}
	}
	return nil
}

// hiddenPlace says why a program should not stand where it stands.
func hiddenPlace(name string) string {
	for _, dir := range []string{"tmp/", "var/tmp/", "dev/", "proc/", "sys/", "run/", "var/run/", "var/spool/"} {
		if strings.HasPrefix(name, dir) {
			return "a program in /" + strings.TrimSuffix(dir, "/") + ", which is no place for programs"
		}
	}
	if base := path.Base(name); strings.HasPrefix(base, ".") && len(base) > 1 {
		return "a program whose name begins with a dot"
	}
	for part := range strings.SplitSeq(path.Dir(name), "/") {
		if part == "..." || part == ".. " || strings.TrimSpace(part) == "" && part != "" {
			return "a program in a folder whose name is made to be overlooked"
		}
	}
	return ""
}

// withPackage says that a compiled file belongs to a language's package, which
// has a record of its own: native modules of npm, wheels and gems.
func withPackage(name string) bool {
	for _, part := range []string{"node_modules/", "site-packages/", "dist-packages/", "/gems/", "lib/jvm/", "/jre/", "lib/ruby/", "lib/python", "lib/perl", "lib/php/", "/opt/java"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// ToolClass returns the class of a program by its path: shell, package manager,
// compiler, debugger, network tool, privilege tool; "" for every other file.
func ToolClass(name string) string { return toolClass(name) }

// Leftover says whether a file lies in a folder that package managers and builds
// leave behind, which folder that is and what it holds.
func Leftover(name string) (folder, what string, ok bool) {
	if l := cacheOf(name); l != nil {
		return l.prefix, l.what, true
	}
	return "", "", false
}

// usualDevices are those that a runtime puts into every container anyway
// (runtime-spec, config-linux.md: default devices), as debootstrap leaves them.
//
//nolint:gochecknoglobals // a constant table
var usualDevices = map[string]bool{
	"dev/null": true, "dev/zero": true, "dev/full": true, "dev/random": true, "dev/urandom": true,
	"dev/tty": true, "dev/console": true, "dev/ptmx": true, "dev/pts/ptmx": true,
}
