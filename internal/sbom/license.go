package sbom

import (
	"slices"
	"strings"
)

// known are identifiers of the SPDX licence list that packages use most. What
// is not here, and is no expression made of these, is written as a name: a
// document with a made-up identifier is not valid.
//
//nolint:gochecknoglobals // constant table, sorted
var known = []string{
	"0BSD", "AFL-2.1", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-1.1", "Apache-2.0", "Artistic-1.0-Perl", "Artistic-2.0",
	"BSD-2-Clause", "BSD-3-Clause", "BSD-4-Clause", "BSL-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC0-1.0", "CDDL-1.0", "CDDL-1.1",
	"EPL-1.0", "EPL-2.0", "FTL", "GFDL-1.3-only", "GFDL-1.3-or-later", "GPL-1.0-only", "GPL-1.0-or-later",
	"GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "ICU", "ISC",
	"LGPL-2.0-only", "LGPL-2.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later",
	"MIT", "MIT-0", "MPL-1.1", "MPL-2.0", "MS-PL", "OFL-1.1", "OpenSSL", "PSF-2.0", "PostgreSQL", "Python-2.0", "Ruby",
	"Unicode-3.0", "Unicode-DFS-2016", "Unlicense", "Vim", "WTFPL", "X11", "Zlib", "bzip2-1.0.6", "curl",
}

func isID(s string) bool {
	_, ok := slices.BinarySearch(known, s)
	return ok
}

// isExpression tells whether s joins identifiers by AND and OR, without
// parentheses.
func isExpression(s string) bool {
	for i, word := range strings.Split(s, " ") {
		if i%2 == 0 && !isID(word) || i%2 == 1 && word != "AND" && word != "OR" {
			return false
		}
	}
	return strings.Count(s, " ")%2 == 0
}
