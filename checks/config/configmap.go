package configchecks

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/credential"
	"seawall.io/seawall/internal/document"
)

// credentials reports the keys of ConfigMaps that hold credentials. The
// parameter allowed names keys that are left out.
func credentials(in *check.Input) {
	allowed := in.Strings("allowed")
	eachText(in.Snapshot, func(o *cluster.Object, key, text, path string) {
		if slices.Contains(allowed, key) {
			return
		}
		if kind, ok := credential.Find(key, text); ok {
			in.Report(check.Hit{Object: o, Path: path, Message: fmt.Sprintf("key %q holds %s", key, kind)})
		}
	})
}

// eachText calls do for each value of a ConfigMap, those of binaryData where
// they are text.
func eachText(s *cluster.Snapshot, do func(o *cluster.Object, key, text, path string)) {
	for _, o := range s.Kind("ConfigMap") {
		if o.Group() != "" {
			continue
		}
		for _, f := range o.Root.Get("data").Map() {
			do(o, f.Key, f.Value.Str(), document.Key("data", f.Key))
		}
		for _, f := range o.Root.Get("binaryData").Map() {
			raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(f.Value.Str()), ""))
			if err == nil && utf8.Valid(raw) {
				do(o, f.Key, string(raw), document.Key("binaryData", f.Key))
			}
		}
	}
}

// personal is a kind of personal data.
type personal struct {
	kind  string
	expr  *regexp.Regexp
	valid func(string) bool
}

//nolint:gochecknoglobals // compiled once, never changed
var personals = []personal{
	{"an e-mail address", regexp.MustCompile(`\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b`), isPersonsAddress},
	{"a bank account (IBAN)", regexp.MustCompile(`\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b`), isIBAN},
	{"a phone number", regexp.MustCompile(`(?:^|[^0-9A-Za-z+])\+[1-9][0-9]{0,2}[ -]?(?:\(0?[0-9]{1,4}\)[ -]?)?[0-9]{2,4}(?:[ -]?[0-9]{2,4}){1,4}\b`), nil},
	{"the hash of a password", regexp.MustCompile(`\$(?:2[aby]|5|6|y|argon2i?d?|apr1)\$[./A-Za-z0-9$=,+]{20,}`), nil},
}

// personalData reports the keys of ConfigMaps that hold personal data, once for
// each kind.
func personalData(in *check.Input) {
	eachText(in.Snapshot, func(o *cluster.Object, key, text, path string) {
		for i := range personals {
			p := &personals[i]
			found := slices.ContainsFunc(p.expr.FindAllString(text, 100), func(m string) bool { return p.valid == nil || p.valid(m) })
			if found {
				in.Report(check.Hit{Object: o, Path: path, Cause: p.kind, Message: fmt.Sprintf("key %q holds %s", key, p.kind)})
			}
		}
	})
}

// isPersonsAddress leaves out the addresses of examples and of machines.
func isPersonsAddress(address string) bool {
	user, domain, _ := strings.Cut(strings.ToLower(address), "@")
	switch user {
	case "user", "noreply", "no-reply", "git", "root", "admin", "postmaster":
		return false
	}
	return !strings.Contains(domain, "example") && !strings.HasSuffix(domain, ".local") && !strings.HasSuffix(domain, ".svc") &&
		!strings.HasSuffix(domain, ".test") && !strings.HasSuffix(domain, ".invalid")
}

// isIBAN checks the digits of ISO 13616: moved to the end and with letters as
// numbers, the whole is 1 modulo 97.
func isIBAN(text string) bool {
	text = strings.ReplaceAll(text, " ", "")
	if len(text) < 15 || len(text) > 34 {
		return false
	}
	var digits strings.Builder
	for _, r := range text[4:] + text[:4] {
		if r >= 'A' {
			fmt.Fprintf(&digits, "%d", r-'A'+10)
		} else {
			digits.WriteRune(r)
		}
	}
	n, ok := new(big.Int).SetString(digits.String(), 10)
	return ok && new(big.Int).Mod(n, big.NewInt(97)).Int64() == 1
}
