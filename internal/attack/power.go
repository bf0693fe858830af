package attack

import "fmt"

// What may be done is a vertex of its own, so that a hundred subjects who may read
// the Secrets of a namespace with a thousand of them are a thousand and a hundred
// edges and not their product. A power over all namespaces leads to that over
// each.

// secretsOf is reading all Secrets of a namespace, or of all.
func (b *builder) secretsOf(ns string) int32 {
	return b.spread("read-secrets", ns, func(v int32, ns string) {
		for _, o := range b.snap.Kind("Secret") {
			if or(o.Namespace, "default") == ns {
				b.always(all, v, b.vertex(Secret, ns, o.Name))
			}
		}
	})
}

// podMaker is making pods of one's choice in a namespace, or in all: with any of
// its service accounts and any of its Secrets.
func (b *builder) podMaker(ns string) int32 {
	return b.spread("create-pods", ns, func(v int32, ns string) {
		for _, o := range b.accountsIn(ns) {
			b.always(createPod, v, o)
		}
		b.always(mounted, v, b.secretsOf(ns))
	})
}

// spread makes a power in a namespace, with what it leads to; in no namespace it
// is that in each. What it leads to is asked for once.
func (b *builder) spread(name, ns string, leads func(v int32, ns string)) int32 {
	if v := b.have(Power, ns, name); v >= 0 {
		return v
	}
	v := b.power(name, ns)
	if ns != "" {
		leads(v, ns)
		return v
	}
	for _, one := range b.namespaces() {
		b.always(all, v, b.spread(name, one, leads))
	}
	return v
}

// powerName is how people call a power.
func powerName(k Key) string {
	text, ok := powerNames[k.Name]
	if !ok {
		text = k.Name
	}
	if k.Namespace == "" {
		return text + " in all namespaces"
	}
	return text + " in " + k.Namespace
}

var powerNames = map[string]string{
	"admin":        "everything",
	"read-secrets": "reading Secrets",
	"create-pods":  "making pods",
}

// guard is what may keep pods that give their node from being made. Who can put
// one out of the way has the others against him still.
type guard uint8

const (
	levelGuard  guard = 1 << iota // the Pod Security level of the namespace
	policyGuard                   // admission policies and webhooks
	sccGuard                      // the security context constraints of OpenShift
)

// podPower is making pods of one's choice in a namespace that give their node
// (P04), with some guards out of the way.
func (b *builder) podPower(ns string, without guard) int32 {
	name := "own-node-by-pod"
	if without != 0 {
		name += fmt.Sprintf("-%d", without)
	}
	return b.power(name, ns)
}
