package advisory

import (
	"slices"

	"seawall.io/seawall/internal/vuln/cvss"
)

// Weaknesses whose exploitation is the running of code that the attacker wrote:
// injection of commands and code, deserialisation, templates, uploads that are
// run.
//
//nolint:gochecknoglobals // constant table
var injections = []string{
	"CWE-77", "CWE-78", "CWE-88", "CWE-94", "CWE-95", "CWE-96", "CWE-98", "CWE-434", "CWE-502", "CWE-913", "CWE-917", "CWE-1321", "CWE-1336",
}

// Weaknesses of memory, whose exploitation may run code and often only crashes.
//
//nolint:gochecknoglobals // constant table
var corruptions = []string{
	"CWE-119", "CWE-120", "CWE-121", "CWE-122", "CWE-123", "CWE-415", "CWE-416", "CWE-787", "CWE-824", "CWE-843",
}

// runsCode tells whether exploitation of a flaw runs code of the attacker's
// choice from the network. The rule, with any one of the vectors:
//
//   - the vector is of the network (AV:N), and confidentiality, integrity and
//     availability of the component itself are all lost (High; Complete in 2.0);
//   - a CWE is an injection; or it is a corruption of memory and the attack needs
//     no privileges, no user and no luck (AC:L, AT:N): of memory flaws with all of
//     that, those who score them mean the running of code.
//
// Prototype pollution (CWE-1321) counts as injection only by its vector, as all
// do: scored as a total loss it is a way to run code.
func runsCode(vectors, cwes []string) bool {
	injection := slices.ContainsFunc(cwes, func(c string) bool { return slices.Contains(injections, c) })
	corruption := slices.ContainsFunc(cwes, func(c string) bool { return slices.Contains(corruptions, c) })
	return (injection || corruption) && slices.ContainsFunc(vectors, func(v string) bool {
		return takesOver(v) && (injection || unaided(v))
	})
}

func takesOver(vector string) bool {
	confidentiality, integrity, availability, all := "C", "I", "A", "H"
	switch cvss.Version(vector) {
	case "4.0":
		confidentiality, integrity, availability = "VC", "VI", "VA"
	case "2.0":
		all = "C"
	}
	return cvss.Metric(vector, "AV") == "N" && cvss.Metric(vector, confidentiality) == all &&
		cvss.Metric(vector, integrity) == all && cvss.Metric(vector, availability) == all
}

func unaided(vector string) bool {
	if cvss.Metric(vector, "AC") != "L" {
		return false
	}
	switch cvss.Version(vector) {
	case "4.0":
		return cvss.Metric(vector, "PR") == "N" && cvss.Metric(vector, "UI") == "N" && cvss.Metric(vector, "AT") == "N"
	case "2.0":
		return cvss.Metric(vector, "Au") == "N"
	}
	return cvss.Metric(vector, "PR") == "N" && cvss.Metric(vector, "UI") == "N"
}
