package reach

// Answer says whether a connection is possible.
type Answer uint8

// The answers. Depends leaves the decision to the network plugin, or to chance
// where the API does. Partly is only told of peers that are several, such as the
// internet: some of them are reached otherwise than others.
const (
	Denied Answer = iota
	Allowed
	Depends
	Unknown
	Partly
)

// String returns the answer as output has it.
func (a Answer) String() string {
	return [...]string{"denied", "allowed", "depends", "unknown", "partly"}[a]
}

// MarshalText returns the answer as output has it.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// and holds where both do: Denied and Allowed decide as false and true, of the
// others the more doubtful one stands.
func (a Answer) and(b Answer) Answer {
	switch {
	case a == Denied || b == Denied:
		return Denied
	case a == Allowed:
		return b
	case b == Allowed:
		return a
	}
	return max(a, b)
}

// or holds where one does.
func (a Answer) or(b Answer) Answer {
	switch {
	case a == Allowed || b == Allowed:
		return Allowed
	case a == Denied:
		return b
	case b == Denied:
		return a
	}
	return max(a, b)
}

// either is yes where a holds, otherwise no. Where a is in doubt, so is the
// result, unless both agree.
func (a Answer) either(yes, no Answer) Answer {
	switch {
	case a == Allowed || yes == no:
		return yes
	case a == Denied:
		return no
	}
	return max(a, yes, no)
}

// among is one of two answers, nobody can tell which, if what they are the
// answers to holds as far as match says.
func among(a, b, match Answer) Answer {
	if a == b {
		return a
	}
	return max(a, b, match, Depends)
}
