// Package credential tells credentials that stand in plain text in
// configuration: keys and tokens by their form, passwords by the name that they
// stand under. It says of what kind a credential is and never repeats it, and
// it does not ask anybody whether the credential works.
package credential

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// maxText is how much of a value is looked at, and maxLines how many lines.
const (
	maxText  = 1 << 20
	maxLines = 20000
)

// Find says what kind of credential a value holds that stands under a name: an
// environment variable and its value, or the key of a ConfigMap and its text.
// A text of several lines, or of JSON, is searched for names and values within.
// kind is made to follow "holds": "a private key", or "a password, under
// db.password"; it never has anything of the value in it.
func Find(key, value string) (kind string, ok bool) {
	if len(value) > maxText {
		value = value[:maxText]
	}
	trimmed := strings.TrimSpace(value)
	if trimmed == "" || strings.HasPrefix(trimmed, "seawall:redacted") {
		return "", false
	}
	if kind := byForm(value); kind != "" {
		return kind, true
	}
	if isDocument(trimmed) {
		return within(trimmed)
	}
	if kind := byName(key, trimmed); kind != "" {
		return kind, true
	}
	return within(trimmed)
}

// form is how a credential looks, wherever it stands. Where the expression has
// a group, that is the secret part, which must not be a placeholder.
type form struct {
	kind string
	// parts: one of them must occur for the expression to be tried.
	parts []string
	expr  *regexp.Regexp
}

// forms returns the forms in the order in which they are tried. Most runs never
// ask: they are compiled when first needed.
//
//nolint:gochecknoglobals // compiled once, never changed
var forms = sync.OnceValue(func() []form {
	return []form{
		{"a private key", []string{"PRIVATE KEY"}, regexp.MustCompile(`-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\r|\\n|[A-Za-z-]+: [^\n]*\n)*([A-Za-z0-9+/=\\\s]{40,})`)},
		{"a private key", []string{"PuTTY-User-Key-File"}, regexp.MustCompile(`PuTTY-User-Key-File-\d: [\s\S]*Private-Lines: (\d+)`)},
		{"an age private key", []string{"AGE-SECRET-KEY-"}, regexp.MustCompile(`\b(AGE-SECRET-KEY-1[0-9A-Z]{58})`)},
		{"an AWS access key", []string{"AKIA", "ASIA"}, regexp.MustCompile(`\b((?:AKIA|ASIA)[A-Z2-7]{16})\b`)},
		{"a GitHub token", []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"}, regexp.MustCompile(`\bgh[pousr]_([A-Za-z0-9]{36,})`)},
		{"a GitHub token", []string{"github_pat_"}, regexp.MustCompile(`\bgithub_pat_([A-Za-z0-9_]{22,})`)},
		{"a GitLab token", []string{"glpat-", "glrt-", "gldt-", "glptt-", "glft-", "glsoat-", "glcbt-", "glagent-"}, regexp.MustCompile(`\bgl(?:pat|rt|dt|ptt|ft|soat|cbt|agent)-([A-Za-z0-9_-]{20,})`)},
		{"a Slack token", []string{"xox"}, regexp.MustCompile(`\bxox[abeoprs]-([A-Za-z0-9-]{10,})`)},
		{"a Slack token", []string{"xapp-"}, regexp.MustCompile(`\bxapp-\d-([A-Za-z0-9-]{20,})`)},
		{"a Slack webhook address", []string{"hooks.slack.com"}, regexp.MustCompile(`hooks\.slack\.com/(?:services|workflows)/T[A-Z0-9]{6,}/[A-Z0-9]{6,}/([A-Za-z0-9/]{16,})`)},
		{"a Stripe key", []string{"k_live_"}, regexp.MustCompile(`\b[sr]k_live_([A-Za-z0-9]{16,})`)},
		{"a Google API key", []string{"AIza"}, regexp.MustCompile(`\bAIza([0-9A-Za-z_-]{35})(?:[^0-9A-Za-z_-]|$)`)},
		{"a Google client secret", []string{"GOCSPX-"}, regexp.MustCompile(`\bGOCSPX-([A-Za-z0-9_-]{28})`)},
		{"a Google access token", []string{"ya29."}, regexp.MustCompile(`\bya29\.([A-Za-z0-9_-]{30,})`)},
		{"an Azure storage key", []string{"AccountKey="}, regexp.MustCompile(`\bAccountKey=([A-Za-z0-9+/]{86}==)`)},
		{"an npm token", []string{"npm_"}, regexp.MustCompile(`\bnpm_([A-Za-z0-9]{36})\b`)},
		{"a PyPI token", []string{"pypi-"}, regexp.MustCompile(`\bpypi-AgE([A-Za-z0-9_-]{50,})`)},
		{"a SendGrid key", []string{"SG."}, regexp.MustCompile(`\bSG\.([A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})`)},
		{"a DigitalOcean token", []string{"doo_v1_", "dop_v1_", "dor_v1_"}, regexp.MustCompile(`\bdo[opr]_v1_([a-f0-9]{64})\b`)},
		{"a Hugging Face token", []string{"hf_"}, regexp.MustCompile(`\bhf_([A-Za-z0-9]{34,})\b`)},
		{"a Vault token", []string{"hvs.", "hvb.", "hvr."}, regexp.MustCompile(`\bhv[sbr]\.([A-Za-z0-9_-]{24,})`)},
		{"an API key", []string{"sk-"}, regexp.MustCompile(`\bsk-(?:[a-z0-9]+-)*([A-Za-z0-9_]{32,})`)},
		{"a JSON web token", []string{"eyJ"}, regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.([A-Za-z0-9_-]{16,})`)},
		{"credentials of a registry", []string{`"auth"`}, regexp.MustCompile(`"auth"\s*:\s*"([A-Za-z0-9+/]{8,}={0,2})"`)},
	}
})

// connection is an address with a user and a password in it.
//
//nolint:gochecknoglobals // compiled once, never changed
var connection = regexp.MustCompile(`\b[A-Za-z][A-Za-z0-9+.-]*://([^\s:/@"'<>?#]*):([^\s@/"'<>]+)@[A-Za-z0-9\[$({%_-]`)

// byForm returns the kind of a credential that can be told by its form.
func byForm(text string) string {
	list := forms()
	for i := range list {
		f := &list[i]
		if !slices.ContainsFunc(f.parts, func(part string) bool { return strings.Contains(text, part) }) {
			continue
		}
		for _, m := range f.expr.FindAllStringSubmatch(text, -1) {
			if !isFiller(m[1]) {
				return f.kind
			}
		}
	}
	if strings.Contains(text, "://") && strings.Contains(text, "@") {
		for _, m := range connection.FindAllStringSubmatch(text, -1) {
			if !isPlaceholder(m[2]) && !isTypeWord(m[2]) && !isUserWord(m[1], m[2]) {
				return "an address with a password in it"
			}
		}
	}
	return ""
}

// isUserWord tells the addresses of documentation: user:password@host.
func isUserWord(user, password string) bool {
	user, password = strings.ToLower(user), strings.ToLower(password)
	return (user == "user" || user == "username") && (password == "password" || password == "pass" || password == "pw")
}

// byName returns the kind of a credential that only the name tells.
func byName(key, value string) string {
	switch {
	case isPlaceholder(value), isReference(value):
		return ""
	case strings.ContainsAny(value, " \t"):
		return ""
	}
	switch kind := nameKind(key); kind {
	case "a password":
		if isHash(value) {
			return "the hash of a password"
		}
		if len(value) >= 3 {
			return kind
		}
	case "":
	default:
		if looksRandom(value) {
			return kind
		}
	}
	return ""
}

// isHash tells the hash of a password in crypt's form.
func isHash(value string) bool {
	for _, p := range [...]string{"$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$", "$apr1$", "$argon2"} {
		if strings.HasPrefix(value, p) {
			return true
		}
	}
	return false
}
