package vuln

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/version"
)

// affects says whether an advisory holds for a version, as OSV defines it: the
// version is listed, or lies in one of the ranges. An error says that a bound
// could not be compared; the answer stands where another range or the list
// gives one.
func affects(o version.Order, a *Advisory, v string) (bool, error) {
	if slices.Contains(a.Versions, v) {
		return true, nil
	}
	var malformed error
	for i := range a.Ranges {
		in, err := a.Ranges[i].contains(o, v)
		if in {
			return true, nil
		}
		if err != nil {
			malformed = err
		}
	}
	return false, malformed
}

func (r *Range) contains(o version.Order, v string) (bool, error) {
	if r.Introduced != "" && r.Introduced != "0" {
		if c, err := o.Compare(v, r.Introduced); err != nil || c < 0 {
			return false, err
		}
	}
	if r.Fixed != "" {
		if c, err := o.Compare(v, r.Fixed); err != nil || c >= 0 {
			return false, err
		}
	}
	if r.LastAffected != "" {
		if c, err := o.Compare(v, r.LastAffected); err != nil || c > 0 {
			return false, err
		}
	}
	return true, nil
}

// open says that the range has no end.
func (r *Range) open() bool { return r.Fixed == "" && r.LastAffected == "" }

// fixedIn finds the lowest version above the installed one that none of the
// claims holds for; a claim that knows of no fix is not asked. It is empty where
// there is none.
func fixedIn(o version.Order, installed string, claims []*claim) string {
	best := ""
	for _, c := range claims {
		for i := range c.Ranges {
			v := c.Ranges[i].Fixed
			if v == "" || v == best {
				continue
			}
			if above, err := o.Compare(v, installed); err != nil || above <= 0 {
				continue
			}
			if best != "" {
				if lower, err := o.Compare(v, best); err != nil || lower >= 0 {
					continue
				}
			}
			if !slices.ContainsFunc(claims, func(c *claim) bool { return stillAffects(o, c, v) }) {
				best = v
			}
		}
	}
	return best
}

func stillAffects(o version.Order, c *claim, v string) bool {
	if slices.Contains(c.Versions, v) {
		return true
	}
	for i := range c.Ranges {
		if in, _ := c.Ranges[i].contains(o, v); in && !c.Ranges[i].open() {
			return true
		}
	}
	return false
}

// sameModule tells whether an advisory may speak of a package as far as module
// streams go. rpm distributions ship several streams of one package side by
// side (nodejs:18, nodejs:20), each with versions and fixes of its own; a build
// of a module is never mended by one outside of it, nor by another stream.
//
// Feeds that do not name the stream (AlmaLinux's OSV) still mark the build
// (.module_el8). Streams are then told by the version where the package shows
// that its stream is called by it: nodejs:18 at 18.17.1 has nothing to do with a
// fix in 20.8.1.
func sameModule(p *inventory.Package, a *Advisory) bool {
	if p.Type != inventory.RPM {
		return true
	}
	fixed := ""
	for i := range a.Ranges {
		if a.Ranges[i].Fixed != "" {
			fixed = a.Ranges[i].Fixed
			break
		}
	}
	installed := p.Module != "" || modular(p.Version)
	switch {
	case a.Module == "" && fixed == "":
		// A statement without a fix has no build to tell by. Whoever makes such
		// statements on modules (Red Hat) names the stream.
		return !installed
	case installed != (a.Module != "" || modular(fixed)):
		return false
	case !installed || p.Module == "":
		return true
	}
	name, rest, _ := strings.Cut(p.Module, ":")
	stream, _, _ := strings.Cut(rest, ":")
	if a.Module != "" {
		return a.Module == name+":"+stream
	}
	return !inStream(p.Version, stream) || inStream(fixed, stream)
}

// modular tells a build of a module by the mark in its release.
func modular(v string) bool {
	return strings.Contains(v, ".module_") || strings.Contains(v, ".module+")
}

// inStream tells whether a version begins with the number of its stream.
func inStream(v, stream string) bool {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	return stream != "" && strings.HasPrefix(v, stream) && len(v) > len(stream) && (v[len(stream)] == '.' || v[len(stream)] == '-')
}
