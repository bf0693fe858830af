package check

import (
	"slices"
	"strings"
)

// maxSimilar is how many checks are suggested at most.
const maxSimilar = 5

// Similar ends an error about a name that no rule has with those that may have
// been meant: names that differ by a slip or two, else names with a word of it.
func Similar(rules []*Rule, name string) string {
	name = strings.ToLower(strings.Trim(name, "*"))
	var slips, words []string
	for _, r := range rules {
		switch {
		case distance(name, r.ID) <= min(3, 1+len(name)/6):
			slips = append(slips, r.ID)
		case name != "" && strings.Contains(r.ID, name), sharesWord(r.ID, name):
			words = append(words, r.ID)
		}
	}
	if len(slips) == 0 {
		slips = words
	}
	if len(slips) == 0 || len(slips) > maxSimilar {
		return ": `seawall check list` names them all"
	}
	return ": did you mean " + strings.Join(slips, ", ") + "?"
}

// sharesWord says whether an ID has one of the longer words of a name.
func sharesWord(id, name string) bool {
	for word := range strings.SplitSeq(name, "-") {
		if len(word) > 3 && slices.Contains(strings.Split(id, "-"), word) {
			return true
		}
	}
	return false
}

// distance counts the bytes to insert, delete or replace to make b of a
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j]+1, row[j+1]+1)
			if a[i] == b[j] {
				next = min(next, diagonal)
			} else {
				next = min(next, diagonal+1)
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
