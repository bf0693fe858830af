// Package cvss tells the base score of a CVSS vector of any version in use:
// 2.0, 3.0, 3.1 and 4.0. Threat and environmental metrics that a vector carries
// must be valid, and change nothing: they speak of a moment or of one place, and
// feeds that give them disagree on both.
package cvss

import (
	"fmt"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"
)

// maxVector is above the length in bytes of a vector with every metric of its
// version: those of 4.0 come to 237.
const maxVector = 512

// Score is the base score, 0 to 10 with one decimal, as the specification of the
// vector's version computes it (https://www.first.org/cvss). An error says that
// the vector is malformed.
func Score(vector string) (float64, error) {
	if len(vector) > maxVector {
		return 0, fmt.Errorf("CVSS vector of %d bytes: none is longer than %d", len(vector), maxVector)
	}
	score, err := score(vector)
	if err != nil {
		return 0, fmt.Errorf("CVSS vector %q: %w", vector, err)
	}
	return score, nil
}

func score(vector string) (float64, error) {
	switch Version(vector) {
	case "4.0":
		if _, err := gocvss40.ParseVector(vector); err != nil {
			return 0, err
		}
		c, err := gocvss40.ParseVector(base40(vector))
		if err != nil {
			return 0, err
		}
		return c.Score(), nil
	case "3.1":
		c, err := gocvss31.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return c.BaseScore(), nil
	case "3.0":
		c, err := gocvss30.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return c.BaseScore(), nil
	case "2.0":
		c, err := gocvss20.ParseVector(bare(vector))
		if err != nil {
			return 0, err
		}
		return c.BaseScore(), nil
	}
	return 0, fmt.Errorf("unknown version: 2.0, 3.0, 3.1 and 4.0 are known")
}

// Version tells the version by the vector's first metric: 2.0, 3.0, 3.1 or 4.0,
// and empty for others.
func Version(vector string) string {
	first, _, _ := strings.Cut(bare(vector), "/")
	name, value, _ := strings.Cut(first, ":")
	switch {
	case name == "AV":
		return "2.0"
	case name == "CVSS" && (value == "3.0" || value == "3.1" || value == "4.0"):
		return value
	}
	return ""
}

// Metric is the value that a vector gives a metric (N of AV:N), and empty where
// it gives none.
func Metric(vector, name string) string {
	for part := range strings.SplitSeq(bare(vector), "/") {
		if n, value, ok := strings.Cut(part, ":"); ok && n == name {
			return value
		}
	}
	return ""
}

// bare takes away the brackets that some feeds put around vectors of 2.0.
func bare(vector string) string {
	return strings.TrimSuffix(strings.TrimPrefix(vector, "("), ")")
}

// base40 leaves the base metrics of a vector of 4.0, whose score would take the
// others into account.
func base40(vector string) string {
	var b strings.Builder
	b.WriteString("CVSS:4.0")
	for part := range strings.SplitSeq(vector, "/") {
		switch name, _, _ := strings.Cut(part, ":"); name {
		case "AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA":
			b.WriteByte('/')
			b.WriteString(part)
		}
	}
	return b.String()
}
