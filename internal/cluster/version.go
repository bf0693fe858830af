package cluster

import (
	"strconv"
	"strings"
)

// Minor returns the minor version of a Kubernetes version such as v1.36.3,
// 1.36 or v1.33.1-gke.100, and 0 for anything else.
func Minor(version string) int {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(version, "v"), "1.")
	if !ok {
		return 0
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	if end < len(rest) && !strings.ContainsRune(".-+", rune(rest[end])) {
		return 0
	}
	minor, err := strconv.Atoi(rest[:end])
	if err != nil {
		return 0
	}
	return minor
}
