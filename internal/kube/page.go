package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/redact"
)

// page is one answer to a list.
type page struct {
	objects []*cluster.Object
	broken  []string // items that could not be read, and why
	next    string   // the token of the next page; empty at the end
}

// reader turns the answers of one cluster into objects.
type reader struct {
	cluster  string
	redactor redact.Redactor
	// shared keeps what objects have in common; values of Secrets never come there.
	shared *document.Shared
}

// page reads a list as it arrives: only one item at a time is in memory as
// text, and what the resource's cut leaves out never gets further.
func (red reader) page(body io.Reader, r resource) (page, error) {
	var p page
	dec := json.NewDecoder(body)
	if err := expect(dec, '{'); err != nil {
		return p, err
	}
	items, kind := false, ""
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return p, malformed(err)
		}
		switch key {
		case "items":
			items = true
			err = red.items(dec, r, &p)
		case "metadata":
			var meta struct{ Continue string }
			err = dec.Decode(&meta)
			p.next = meta.Continue
		case "kind":
			err = dec.Decode(&kind)
		default:
			var other json.RawMessage
			err = dec.Decode(&other)
		}
		if err != nil {
			return p, malformed(err)
		}
	}
	if err := expect(dec, '}'); err != nil {
		return p, err
	}
	if !items {
		return p, malformed(fmt.Errorf("the answer is a %q without items", kind))
	}
	return p, nil
}

// items reads the value of items: a list or null.
func (red reader) items(dec *json.Decoder, r resource, p *page) error {
	switch first, err := dec.Token(); {
	case err != nil:
		return err
	case first == nil:
		return nil
	case first != json.Delim('['):
		return errors.New("items is no list")
	}
	c := cutFor(r)
	var raw json.RawMessage
	var scratch []byte
	in := red.shared.Reader()
	for dec.More() {
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		scratch = c.apply(scratch[:0], raw)
		o, err := red.object(in, scratch, r)
		if err != nil {
			p.broken = append(p.broken, err.Error())
			continue
		}
		p.objects = append(p.objects, o)
	}
	_, err := dec.Token() // the end of the list
	return err
}

// object makes an object of an item. text is copied.
func (red reader) object(in *document.SharedReader, text []byte, r resource) (*cluster.Object, error) {
	var root *document.Node
	var err error
	if strings.HasPrefix(r.kind, "Secret") || bytes.Contains(text, []byte(`"Secret`)) {
		root, err = document.ParseJSON(bytes.Clone(text), document.Limits{})
	} else {
		root, err = in.ParseJSON(text, document.Limits{})
	}
	if err != nil {
		return nil, err
	}
	if root.Kind() != document.Map {
		return nil, errors.New("an item is no object")
	}
	root = withType(root, r)
	if clean := red.redactor.Object(root); clean != root {
		// The tree keeps its text in memory, and with it what was redacted.
		if root, err = in.ParseJSON(clean.AppendJSON(nil), document.Limits{}); err != nil {
			return nil, err
		}
	}
	o, _ := cluster.New(root)
	o.Cluster = red.cluster
	return o, nil
}

// withType gives an item the apiVersion and kind that it has by being in the
// list; the server leaves them out there.
func withType(root *document.Node, r resource) *document.Node {
	fields := make([]document.Field, 0, len(root.Map())+2)
	if root.Get("apiVersion").Str() == "" {
		fields = append(fields, textField("apiVersion", r.apiVersion()))
	}
	if root.Get("kind").Str() == "" {
		fields = append(fields, textField("kind", r.kind))
	}
	if len(fields) == 0 {
		return root
	}
	for _, f := range root.Map() {
		if (f.Key != "apiVersion" && f.Key != "kind") || f.Value.Str() != "" {
			fields = append(fields, f)
		}
	}
	return document.NewMap(root.Pos, fields)
}

func textField(key, text string) document.Field {
	return document.Field{Key: key, Value: document.NewString(document.Pos{}, text)}
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err != nil {
		return malformed(err)
	}
	if got != want {
		return malformed(fmt.Errorf("%v where %v should stand", got, want))
	}
	return nil
}
