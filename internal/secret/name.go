package secret

import (
	"strings"
	"unicode"
)

// nameKind says what a name promises, by the slug of the kind: a password, which may be any text, or a
// token or secret, which is random. It is empty for names that promise neither,
// and for those that only speak of one: passwordFile, secretName, tokenTTL.
func nameKind(key string) string {
	w := words(key)
	if len(w) == 0 || describes[w[len(w)-1]] {
		return ""
	}
	last := w[len(w)-1]
	for i, word := range w {
		next := ""
		if i+1 < len(w) {
			next = w[i+1]
		}
		switch {
		case word == "passwd", word == "passphrase", word == "passcode", word == "pwd" && len(w) > 1,
			strings.HasSuffix(word, "password") && word != "nopassword":
			if last == "key" || last == "keys" {
				return "" // where in a Secret the password stands
			}
			return "password"
		case word == "pass" && len(w) > 1 && i == len(w)-1:
			return "password"
		}
		switch {
		case word == "token" || word == "jwt", word == "secret", word == "credential" || word == "credentials",
			word == "apikey", word == "accesskey", word == "secretkey", word == "privatekey",
			next == "key" && (word == "api" || word == "access" || word == "private" || word == "encryption" || word == "signing"):
			kind := "secret"
			if word == "token" || word == "jwt" {
				kind = "token"
			}
			if word == "apikey" || next == "key" && word == "api" {
				kind = "api-key"
			}
			// A later word may still say password.
			if rest := nameKind(strings.Join(w[i+1:], "_")); rest == "password" {
				return rest
			}
			return kind
		}
	}
	return ""
}

// describes holds last words of names that speak of a credential, and whose
// values are none.
//
//nolint:gochecknoglobals // a table
var describes = func() map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(`
		file files path paths dir directory folder mount name names ref reference id ids arn kind type types mode
		url uri urls host hosts port endpoint server address domain realm issuer audience scope scopes
		namespace provider store backend class engine driver method algorithm alg format encoding encoder hasher hash
		ttl expiry expiration expires lifetime duration age interval timeout period days hours minutes seconds
		length len size min max minimum maximum count limit number rotation refresh renewal version
		enabled enable disabled disable required require optional allowed allow policy policies rule rules strength
		field fields header headers cookie claim claims param parameter attribute label labels key_name property
		template pattern regex prefix suffix separator env variable var placeholder hint prompt message text title
		reset change changed update updates creation generator generation command cmd script exec
		encryption attr attrs magic chars alphabet charset constant
		exists existing create auto default defaults check validation verify
		keyfile certfile bucket table column index position user username usr account email owner login
		link page route callback redirect review reviewer manager controller operator service
	`) {
		out[w] = true
	}
	return out
}()

// words takes a name apart: DB_PASSWORD, dbPassword and db.password are db and
// password.
func words(name string) []string {
	var out []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out = append(out, strings.ToLower(string(word)))
			word = word[:0]
		}
	}
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			continue
		}
		if unicode.IsUpper(r) && i > 0 {
			before, after := runes[i-1], rune(0)
			if i+1 < len(runes) {
				after = runes[i+1]
			}
			if unicode.IsLower(before) || unicode.IsDigit(before) || unicode.IsUpper(before) && unicode.IsLower(after) {
				flush()
			}
		}
		word = append(word, r)
	}
	flush()
	return out
}
