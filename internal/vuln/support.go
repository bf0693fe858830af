package vuln

import "time"

// Phase is where a release stands in its life.
type Phase string

// The phases, from the best to the worst. Limited is free support by others
// than the vendor's own team, mostly of fewer packages; Paid is support for
// subscribers alone.
const (
	Supported Phase = "supported"
	Limited   Phase = "limited"
	Paid      Phase = "paid"
	Ended     Phase = "ended"
	Unknown   Phase = "unknown"
)

// Support is the support of a release on a day.
type Support struct {
	Phase Phase
	// Until is the last day of the phase; of an ended one it is the last day that
	// had any support.
	Until string
	// Days counts from the day asked for to Until; it is negative once that is past.
	Days int
}

// EndOfLife tells the phase that a release is in on a day, YYYY-MM-DD. Its last
// day is supported still. Without a known end, or with a day that is none, the
// phase is Unknown: that a release is not in the table does not make it
// supported.
func EndOfLife(r Release, today string) Support {
	day, err := time.Parse(time.DateOnly, today)
	if err != nil {
		return Support{Phase: Unknown}
	}
	last := Support{Phase: Unknown}
	for _, step := range []struct {
		phase Phase
		until string
	}{{Supported, r.EOL}, {Limited, r.LTS}, {Paid, r.ExtendedEOL}} {
		until, err := time.Parse(time.DateOnly, step.until)
		if err != nil {
			continue
		}
		days := int(until.Sub(day) / (24 * time.Hour))
		if days >= 0 {
			return Support{Phase: step.phase, Until: step.until, Days: days}
		}
		if last.Until < step.until {
			last = Support{Phase: Ended, Until: step.until, Days: days}
		}
	}
	return last
}
