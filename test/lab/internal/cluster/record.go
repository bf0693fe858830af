package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
)

// Record is what the lab notes down about a cluster that it started.
type Record struct {
	Name     string `json:"name"`
	Index    int    `json:"index"`
	Nodes    int    `json:"nodes"`
	Programs string `json:"programs"` // directory of the built programs
	Server   string `json:"server"`   // URL of the API server
	Host     string `json:"host"`     // this machine's address, as pods see it
}

// ErrNotUp is returned for a cluster that is not there.
var ErrNotUp = errors.New("is not up: start it with `up`")

// Record reads what is known of the cluster. The error wraps ErrNotUp if there
// is none.
func (l Layout) Record() (Record, error) {
	record, err := readRecord(l.record())
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, fmt.Errorf("cluster %s %w", l.Name, ErrNotUp)
	}
	return record, err
}

func readRecord(name string) (Record, error) {
	var record Record
	text, err := os.ReadFile(name)
	if err != nil {
		return Record{}, fmt.Errorf("reading the record of a cluster: %w", err)
	}
	if err := json.Unmarshal(text, &record); err != nil {
		return Record{}, fmt.Errorf("reading %s: %w; remove the cluster with `down`", name, err)
	}
	return record, nil
}

func (l Layout) writeRecord(record Record) error {
	text, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the record of %s: %w", l.Name, err)
	}
	return writeFile(l.record(), append(text, '\n'))
}

// writeFile writes a file that only root may read, as many hold keys.
func writeFile(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("creating the directory of %s: %w", name, err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		return fmt.Errorf("writing a file: %w", err)
	}
	return nil
}

// AnyIndex lets the lab choose the first index that is free.
const AnyIndex = -1

// chooseIndex returns wanted, or the first free one for AnyIndex. An index is
// taken if another cluster has it, or if the machine has an address of its own
// in the ranges that come with it.
func chooseIndex(wanted int, taken map[int]string, local []netip.Prefix) (int, error) {
	reason := func(i int) string {
		if other, ok := taken[i]; ok {
			return "cluster " + other + " has it"
		}
		for _, address := range local {
			if (Plan{i}).overlaps(address) {
				return "this machine has the address " + address.String()
			}
		}
		return ""
	}
	if wanted != AnyIndex {
		if wanted < 0 || wanted > MaxIndex {
			return 0, fmt.Errorf("cluster index %d: use 0 to %d", wanted, MaxIndex)
		}
		if why := reason(wanted); why != "" {
			return 0, fmt.Errorf("cluster index %d is not free, as %s: choose another, or leave it out", wanted, why)
		}
		return wanted, nil
	}
	for i := range MaxIndex + 1 {
		if reason(i) == "" {
			return i, nil
		}
	}
	return 0, fmt.Errorf("all %d cluster indexes are taken: end a cluster with `down`", MaxIndex+1)
}

// takenIndexes returns the indexes of the other clusters, with their names.
func (l Layout) takenIndexes() (map[int]string, error) {
	files, err := filepath.Glob(filepath.Join(clusters(l.Cache), "*", "cluster.json"))
	if err != nil {
		return nil, fmt.Errorf("looking for other clusters: %w", err)
	}
	taken := make(map[int]string)
	for _, file := range files {
		if file == l.record() {
			continue
		}
		record, err := readRecord(file)
		if err != nil {
			return nil, err
		}
		taken[record.Index] = record.Name
	}
	return taken, nil
}

func localPrefixes() ([]netip.Prefix, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing the machine's addresses: %w", err)
	}
	var prefixes []netip.Prefix
	for _, address := range addresses {
		if p, err := netip.ParsePrefix(address.String()); err == nil && p.Addr().Is4() {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes, nil
}
