// Package redact takes the values of Secrets out of Kubernetes objects, for
// everything that reads a cluster or writes what was read. What remains tells
// which keys a Secret has, how long each value is and, within one snapshot,
// which values are equal. It does not look for credentials anywhere else:
// values of ConfigMaps and of environment variables stay, because checks judge
// them.
package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strconv"

	"seawall.io/seawall/internal/document"
)

// Redactor replaces the values of Secrets by markers such as
//
//	seawall:redacted length=12 hmac=3f9ac01b2d4e5f60
//
// length is the number of bytes of the value, after base64 where the API uses
// it. The zero Redactor leaves the hmac out. Of some credentials the marker goes
// on with what they say about themselves that is no secret; see [Facts].
type Redactor struct {
	// Salt is the key of the HMAC-SHA256 of which a marker holds 8 bytes. It
	// must be random, at least 16 bytes, and be thrown away with the Redactor:
	// then equal values have equal markers, and nobody can try passwords
	// against a marker. Nil leaves the fingerprint out.
	Salt []byte
}

// Object returns an object without the values of Secrets, wherever in it a
// Secret stands: the object itself, an item of a List, a resource embedded in a
// template. Wherever they stand, metadata.managedFields and the annotations in
// which tools keep a copy of the object that they applied are taken away too.
// The tree itself is left alone; parts without anything to redact are shared
// with the result, and a tree without any is returned as it is.
func (r Redactor) Object(root *document.Node) *document.Node {
	return r.value(root, "", false)
}

// value redacts what stands at a key; secrets says that it is an item of a
// SecretList, whose items need not say what they are.
func (r Redactor) value(n *document.Node, key string, secrets bool) *document.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind() == document.List:
		return r.items(n, secrets)
	case n.Kind() != document.Map:
		return n
	}
	kind := n.Get("kind").Str()
	if secrets || (kind == "Secret" && isSecret(n)) {
		return r.secret(n)
	}
	return r.fields(n, key, kind == "SecretList")
}

func (r Redactor) fields(n *document.Node, key string, secrets bool) *document.Node {
	var changed []document.Field
	for i, f := range n.Map() {
		drop := (key == "annotations" && appliedCopies[f.Key]) || (key == "metadata" && f.Key == "managedFields")
		v := f.Value
		if !drop {
			v = r.value(f.Value, f.Key, secrets && f.Key == "items")
		}
		if changed == nil {
			if !drop && v == f.Value {
				continue
			}
			changed = append(make([]document.Field, 0, len(n.Map())), n.Map()[:i]...)
		}
		if !drop {
			changed = append(changed, document.Field{Key: f.Key, Pos: f.Pos, Value: v})
		}
	}
	if changed == nil {
		return n
	}
	return document.NewMap(n.Pos, changed)
}

func (r Redactor) items(n *document.Node, secrets bool) *document.Node {
	var changed []*document.Node
	for i, item := range n.List() {
		v := r.value(item, "", secrets)
		if changed == nil {
			if v == item {
				continue
			}
			changed = append(make([]*document.Node, 0, len(n.List())), n.List()[:i]...)
		}
		changed = append(changed, v)
	}
	if changed == nil {
		return n
	}
	return document.NewList(n.Pos, changed)
}

// IsMarker says whether text is the marker of a redacted value.
func IsMarker(text string) bool { return markerForm.MatchString(text) }

var markerForm = regexp.MustCompile(`^seawall:redacted length=\d{1,10}( hmac=[0-9a-f]{16})?` + factForm + `*$`)

// marker returns what stands for a value.
func (r Redactor) marker(value []byte) string {
	text := "seawall:redacted length=" + strconv.Itoa(len(value))
	if len(r.Salt) == 0 {
		return text
	}
	mac := hmac.New(sha256.New, r.Salt)
	mac.Write(value)
	return text + " hmac=" + hex.EncodeToString(mac.Sum(nil)[:8])
}

// decoded returns the bytes of a value of data, or its text where it is no
// base64.
func decoded(text string) []byte {
	if value, err := base64.StdEncoding.DecodeString(text); err == nil {
		return value
	}
	return []byte(text)
}
