// Package product tells, from what a port answers to a few harmless questions,
// whether a product that must not answer strangers does: a database, a queue, an
// administration page. It is for the probe of package kube, and opens no
// connection itself: its caller carries questions and answers.
//
// Questions only read and carry no credentials; nothing is ever tried that could
// count as a login. Results name the product and what it gave away in words of
// this package, never in those of the answer. A page that anybody may see is no
// finding: only what the tables of this package know is.
package product

import (
	"slices"
	"strings"
)

// Verdict is what came of asking one port.
type Verdict string

// The verdicts.
const (
	// Open is a known product that answered without authentication.
	Open Verdict = "open"
	// Closed asks who is there, or refuses.
	Closed Verdict = "closed"
	// Ordinary answers, and is none of the known products.
	Ordinary Verdict = "ordinary"
	// Unknown could not be told; Result.Reason says why.
	Unknown Verdict = "unknown"
)

// Gain is what an open product gives to whoever reaches it.
type Gain string

// The gains, the worst first.
const (
	// Control runs commands or workloads.
	Control Gain = "control"
	// Data is what the product keeps for others, to read or to change.
	Data Gain = "data"
	// Insight tells about the inside: configuration, names, addresses.
	Insight Gain = "insight"
)

// Result is what is known of one port after asking.
type Result struct {
	Verdict Verdict
	// Product and Path name what answered or refused, and where: a path of HTTP or
	// a command of another protocol. Either may be empty.
	Product, Path string
	// Gain and Evidence are set where the verdict is Open. Evidence says what the
	// product did, as the end of a sentence: "lists its databases".
	Gain     Gain
	Evidence string
	// Reason says why the verdict is Unknown, or what refused.
	Reason string
}

// Hint is what objects say about a port before it is asked.
type Hint struct {
	// Port is the number that the Service has, Target that of the pods: 0 where it
	// is a name.
	Port, Target int64
	// Service is the name of the Service, Names those of the port and of its
	// application protocol.
	Service string
	Names   []string
}

// suggests says whether a hint speaks for one that listens on these ports or has
// one of these words in its names.
func (h Hint) suggests(ports []int64, words []string) bool {
	return slices.Contains(ports, h.Port) || slices.Contains(ports, h.Target) ||
		named(h.Names, words) || named([]string{h.Service}, words)
}

// named says whether one of the words, which are in lower case, is in a name.
func named(names, words []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		name = strings.ToLower(name)
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(name, word) })
	})
}

func unknown(reason string) Result { return Result{Verdict: Unknown, Reason: reason} }
