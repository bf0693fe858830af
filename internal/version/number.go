package version

import "strings"

// isDigit and its kin speak of ASCII alone, as every version grammar does.
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isAlpha(c byte) bool { return isLower(c | 0x20) }
func isAlnum(c byte) bool { return isDigit(c) || isAlpha(c) }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// allDigits is true of the empty string too.
func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// span counts the bytes at the start of s of which is says yes.
func span(s string, is func(byte) bool) int {
	for i := range len(s) {
		if !is(s[i]) {
			return i
		}
	}
	return len(s)
}

// cutDigits cuts s behind the digits that it begins with.
func cutDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// trimZeros takes leading zeros away: nothing is left of zero.
func trimZeros(digits string) string {
	i := 0
	for i < len(digits) && digits[i] == '0' {
		i++
	}
	return digits[i:]
}

// compareNumbers compares two runs of digits of any length by their value. No
// digits are zero.
func compareNumbers(a, b string) int {
	a, b = trimZeros(a), trimZeros(b)
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// compareFold compares text in which capitals count as small letters.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

// cutFold cuts a word in small letters off the start of s, whatever its case.
func cutFold(s, word string) (rest string, ok bool) {
	if len(s) < len(word) || compareFold(s[:len(word)], word) != 0 {
		return s, false
	}
	return s[len(word):], true
}

// compareParsed parses two versions and compares them if both are well formed.
func compareParsed[T any](o Order, a, b string, parse func(string) (T, string), compare func(T, T) int) (int, error) {
	x, reason := parse(a)
	if reason != "" {
		return 0, &malformed{o, a, reason}
	}
	y, reason := parse(b)
	if reason != "" {
		return 0, &malformed{o, b, reason}
	}
	return compare(x, y), nil
}
