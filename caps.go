package seawall

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
)

// Caps is a set of Linux capabilities, one bit each (capabilities(7)).
type Caps uint64

// capabilityNames are in the order of their numbers, as of Linux 6.18.
var capabilityNames = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

// CapabilityName returns the name of a capability by its number, without CAP_, as
// Kubernetes writes it. Numbers newer than the table are CAP_n.
func CapabilityName(n int) string {
	if n >= 0 && n < len(capabilityNames) {
		return capabilityNames[n]
	}
	return fmt.Sprintf("CAP_%d", n)
}

// CapabilityNumber returns the number of a capability by its name, with or without
// CAP_, in any case; -1 where there is none.
func CapabilityNumber(name string) int {
	name = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
	for i, n := range capabilityNames {
		if n == name {
			return i
		}
	}
	return -1
}

// Has says whether a set holds the capability of a name.
func (c Caps) Has(name string) bool {
	n := CapabilityNumber(name)
	return n >= 0 && c&(1<<n) != 0
}

// Names returns the names in the order of their numbers.
func (c Caps) Names() []string {
	out := make([]string, 0, bits.OnesCount64(uint64(c)))
	for rest := uint64(c); rest != 0; rest &= rest - 1 {
		out = append(out, CapabilityName(bits.TrailingZeros64(rest)))
	}
	return out
}

// MarshalJSON writes the names as a list.
func (c Caps) MarshalJSON() ([]byte, error) { return json.Marshal(c.Names()) }

// UnmarshalJSON reads a list of names.
func (c *Caps) UnmarshalJSON(text []byte) error {
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return err
	}
	*c = 0
	for _, name := range names {
		n := CapabilityNumber(name)
		if n < 0 {
			if _, err := fmt.Sscanf(name, "CAP_%d", &n); err != nil || n < 0 || n > 63 {
				return fmt.Errorf("%q is no capability", name)
			}
		}
		*c |= 1 << n
	}
	return nil
}
