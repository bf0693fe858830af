package secret

import (
	"math"
	"regexp"
	"strings"
)

// isPlaceholder says that a value stands where a credential will be put, or is
// the name of one, or says that there is none.
func isPlaceholder(value string) bool {
	v := strings.ToLower(strings.Trim(value, `"'`+"`"))
	switch v {
	case "", "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "undefined", "unset", "empty", "n/a", "na",
		"enabled", "disabled", "required", "optional", "auto", "automatic", "generated", "random", "default",
		"redacted", "hidden", "masked", "secret", "sensitive", "todo", "tbd", "fixme":
		return true
	}
	if isReference(value) || isFiller(value) {
		return true
	}
	for _, part := range [...]string{
		"changeme", "change-me", "change_me", "change me", "replaceme", "replace-", "replace_", "replace me", "placeholder",
		"your-", "your_", "yourpassword", "yoursecret", "yourtoken", "my-secret-", "insert-", "insert_", "fill-in", "fillme",
		"dummy", "redacted", "not-a-real", "notreal", "to-be-", "tobe", "example", "<", "...", "…", "goes-here", "goes_here",
	} {
		if strings.Contains(v, part) {
			return true
		}
	}
	return false
}

// reference tells values that say where the credential is to be found: shell,
// template and Kubernetes variables, calls, and the addresses of secret stores.
//
//nolint:gochecknoglobals // compiled once, never changed
var reference = regexp.MustCompile(`^(?:\$[A-Za-z_({]|\$$|@\w+@|%[({]?[A-Za-z_]|#\{|\{\{|\{%|\[\[|<[^>]*>|__\w+__)|\$\{|\$\(|\{\{|` +
	`^(?i:vault:|ref\+|secretref|secret:|secrets?[./]|valuefrom|arn:|aws:|op://|env[:.(]|process\.env|os\.|file:|file://|projects/|keyvault|@microsoft\.keyvault|kms:|sops|enc[\[(]|cipher|ssm:|sm://|gcp:|azure:|akv:|doppler|bao:|!)` +
	`|^\.{0,2}/`)

func isReference(value string) bool {
	return reference.MatchString(value) || strings.HasSuffix(value, ")")
}

// isFiller says that a value is made of one or two signs, such as xxxxx and
// *****, or of those of a documentation's example.
func isFiller[T string | []byte](value T) bool {
	v := strings.ToLower(string(value))
	if strings.Contains(v, "example") || strings.Contains(v, "xxxx") || strings.Contains(v, "your_") || strings.Contains(v, "your-") {
		return true
	}
	if strings.Trim(v, "*x.-_#?") == "" || isSequence(string(value)) {
		return true
	}
	seen := map[rune]bool{}
	for _, r := range v {
		seen[r] = true
	}
	return len(v) > 3 && len(seen) <= 2
}

// isSequence says that more than half of a value counts up: 0123456789abcdef.
func isSequence(v string) bool {
	steps := 0
	for i := 1; i < len(v); i++ {
		if v[i] == v[i-1]+1 || v[i-1] == '9' && (v[i] == '0' || v[i] == 'a') {
			steps++
		}
	}
	return len(v) >= 10 && steps*2 > len(v)
}

// looksRandom tells what a generator made from names and words: it has letters
// and digits, is not made of words with a number behind, and repeats little.
func looksRandom(value string) bool {
	if len(value) < 8 || strings.Contains(value, "://") {
		return false
	}
	letters, digits := false, false
	for _, r := range value {
		letters = letters || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		digits = digits || r >= '0' && r <= '9'
	}
	if !letters || !digits || nameLike.MatchString(value) {
		return false
	}
	return entropy([]byte(value)) >= 2.7
}

// nameLike are words, with versions and small numbers between or behind them:
// my-app-secret-v2, oauth2-proxy, x509.
//
//nolint:gochecknoglobals // compiled once, never changed
var nameLike = regexp.MustCompile(`^(?:[A-Za-z]+[0-9]{0,3}|[vV]?[0-9]{1,4})(?:[-_./:](?:[A-Za-z]+[0-9]{0,3}|[vV]?[0-9]{1,4}))*$`)

// entropy is Shannon's, in bits a byte.
func entropy(text []byte) float64 {
	var counts [256]int
	for _, c := range text {
		counts[c]++
	}
	sum := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(len(text))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}
