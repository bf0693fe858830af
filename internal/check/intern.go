package check

import (
	"sync"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// A scan of many workloads finds the same thing at the same path many thousand
// times. The paths and fixes of those findings are equal, so they are made once
// and shared; nobody changes them.

// maxInterned bounds how much one rule or set keeps: beyond it paths are made
// anew each time.
const maxInterned = 4096

// paths joins paths.
type paths struct {
	mu    sync.RWMutex
	known map[[2]string]string
}

func (p *paths) join(base, rest string) string {
	if rest == "" || base == "" {
		return join(base, rest)
	}
	key := [2]string{base, rest}
	p.mu.RLock()
	out, ok := p.known[key]
	p.mu.RUnlock()
	if ok {
		return out
	}
	out = join(base, rest)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[[2]string]string{}
	}
	if len(p.known) < maxInterned {
		p.known[key] = out
	}
	return out
}

// fixKey is what the operations that set a rule's constant depend on: where, and
// how much of the way is there.
type fixKey struct {
	patch int
	path  string
	depth int
	kind  document.Kind // of the deepest value there is
}

type fixCache struct {
	mu    sync.RWMutex
	known map[fixKey][]seawall.PatchOp
}

// set returns the operations that put patch i's constant at path.
func (c *fixCache) set(root *document.Node, i int, path string, value any) []seawall.PatchOp {
	depth, last, found := root.Depth(path)
	if found || last.Kind() == document.List {
		// What stands there, or how long the list is, matters too.
		return patch.Set(root, path, value)
	}
	key := fixKey{i, path, depth, last.Kind()}
	c.mu.RLock()
	ops, ok := c.known[key]
	c.mu.RUnlock()
	if ok {
		return ops
	}
	ops = patch.Set(root, path, value)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[fixKey][]seawall.PatchOp{}
	}
	if len(c.known) < maxInterned {
		c.known[key] = ops
	}
	return ops
}
