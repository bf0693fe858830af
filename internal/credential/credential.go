// Package credential tells credentials that stand in plain text in
// configuration: keys and tokens by their form, passwords by the name that they
// stand under. It says of what kind a credential is and never repeats it, and
// it does not ask anybody whether the credential works. Package secret knows the
// kinds.
package credential

import "seawall.io/seawall/internal/secret"

// Find says what kind of credential a value holds that stands under a name: an
// environment variable and its value, or the key of a ConfigMap and its text.
// A text of several lines, or of JSON, is searched for names and values within.
// kind is made to follow "holds": "a private key", or "a password, under
// db.password"; it never has anything of the value in it.
func Find(key, value string) (kind string, ok bool) {
	hit, ok := secret.ScanNamed(key, value)
	if !ok {
		return "", false
	}
	if hit.Name == "" || hit.Name == key {
		return hit.Title, true
	}
	return hit.Title + ", under " + hit.Name, true
}
