package detect_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/detect"
)

// generator makes events at random, out of words that the rules look for and out
// of what nobody expects.
type generator struct {
	*rand.Rand
	words []string
}

var quoted = regexp.MustCompile(`"([^"\\]*)"|'([^'\\]*)'|[\w./-]{3,}`)

// newGenerator takes words from the rules, so that conditions are met at times.
func newGenerator(seed uint64, rules ...*check.Rule) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), words: []string{
		"", "/", "a", "sh", "/bin/sh", "-sh", "busybox", "/bin/busybox", "mnt", "user", "/tmp/x", ".", "..", "\xff\xfe", "line\nbreak", "\x1b[31m", "ünïcödé \u202e", strings.Repeat("a", 300), "::1", "0",
	}}
	for _, r := range rules {
		texts := []string{r.Deny, r.When, r.Distinct}
		for _, s := range r.After {
			texts = append(texts, s.When, s.Deny)
		}
		params, _ := json.Marshal(r.Params)
		for _, text := range append(texts, string(params)) {
			for _, m := range quoted.FindAllString(text, -1) {
				g.words = append(g.words, strings.Trim(m, `"'`))
			}
		}
	}
	return g
}

func (g *generator) word() string {
	w := g.words[g.IntN(len(g.words))]
	switch g.IntN(8) {
	case 0:
		return w + g.words[g.IntN(len(g.words))]
	case 1:
		return "/usr/bin/" + w
	}
	return w
}

func (g *generator) number() uint64 {
	small := []uint64{0, 0, 1, 2, 3, 4, 53, 80, 443, 0o755, 0o4755, 512, 1001, 1 << 31, 1<<63 - 1, 1 << 63, ^uint64(0)}
	if g.IntN(3) > 0 {
		return small[g.IntN(len(small))]
	}
	return g.Uint64() >> g.IntN(64)
}

// set gives a value, and what it holds, random contents; depth bounds parents.
func (g *generator) set(v reflect.Value, depth int) {
	switch p := v.Addr().Interface().(type) {
	case *seawall.EventKind:
		kinds := seawall.EventKinds()
		*p = kinds[g.IntN(len(kinds))]
		return
	case *seawall.Caps:
		*p = seawall.Caps(g.Uint64() & g.Uint64() & (1<<41 - 1))
		return
	case *seawall.Stdio:
		*p = seawall.Stdio(g.IntN(7))
		return
	case *netip.AddrPort:
		*p = netip.AddrPortFrom(g.address(), uint16(g.number()))
		return
	case *netip.Addr:
		*p = g.address()
		return
	case *time.Time:
		*p = time.Unix(1_800_000_000+int64(g.IntN(1000)), 0).UTC()
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(g.word())
	case reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(g.number()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(g.number() & (1<<v.Type().Bits() - 1))
	case reflect.Pointer:
		v.SetZero()
		if depth > 0 && g.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			g.set(v.Elem(), depth-1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), g.IntN(4), 4))
		for i := range v.Len() {
			g.set(v.Index(i), depth)
		}
	case reflect.Array:
		for i := range v.Len() {
			g.set(v.Index(i), depth)
		}
	case reflect.Map:
		v.SetZero()
		if g.IntN(2) == 0 {
			v.Set(reflect.ValueOf(map[string]string{g.word(): g.word()}))
		}
	case reflect.Struct:
		for _, part := range v.Fields() {
			g.set(part, depth)
		}
	default:
		panic("no way to make a " + v.Type().String())
	}
}

func (g *generator) address() netip.Addr {
	texts := []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "::ffff:10.0.0.1", "8.8.8.8", "0.0.0.0", "fe80::1%eth0", "100.100.100.200"}
	for _, w := range g.words {
		if _, err := netip.ParseAddr(w); err == nil {
			texts = append(texts, w)
		}
	}
	if g.IntN(10) == 0 {
		return netip.Addr{}
	}
	return netip.MustParseAddr(texts[g.IntN(len(texts))])
}

// event makes an event at random.
func (g *generator) event() *seawall.Event {
	ev := new(seawall.Event)
	g.set(reflect.ValueOf(ev).Elem(), 4)
	return ev
}

// damage returns a copy of an event of which a few values have changed.
func (g *generator) damage(t *testing.T, ev *seawall.Event) *seawall.Event {
	t.Helper()
	text, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	out := new(seawall.Event)
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	for range 1 + g.IntN(3) {
		leaf := g.leaf(reflect.ValueOf(out).Elem())
		if leaf.Addr().Type() != reflect.TypeFor[*seawall.EventKind]() {
			g.set(leaf, 2)
		}
	}
	return out
}

// leaf picks a value somewhere inside another.
func (g *generator) leaf(v reflect.Value) reflect.Value {
	for {
		switch v.Kind() {
		case reflect.Struct:
			if v.Type().PkgPath() != reflect.TypeFor[seawall.Event]().PkgPath() {
				return v
			}
			v = v.Field(g.IntN(v.NumField()))
		case reflect.Pointer:
			if v.IsNil() || g.IntN(6) == 0 {
				return v
			}
			v = v.Elem()
		default:
			return v
		}
	}
}

// stream makes a stream: the examples of a rule, damaged, mixed with events of its
// kinds at random, in the order of time.
func (g *generator) stream(t *testing.T, r *check.Rule, n int) []*seawall.Event {
	t.Helper()
	var examples []*seawall.Event
	for _, e := range r.Examples {
		for line := range strings.Lines(string(e.Text)) {
			if !strings.HasPrefix(line, "{") {
				continue
			}
			ev, err := detect.ParseEvent([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			examples = append(examples, ev)
		}
	}
	matches := slices.Clone(r.Match)
	for _, s := range r.After {
		matches = append(matches, s.Match...)
	}
	kinds, err := check.Kinds(slices.Compact(slices.Sorted(slices.Values(matches))))
	if err != nil {
		t.Fatal(err)
	}
	boot := uint64(0)
	out := make([]*seawall.Event, 0, n)
	for len(out) < n {
		var ev *seawall.Event
		switch g.IntN(4) {
		case 0:
			ev = g.event()
			ev.Kind = kinds[g.IntN(len(kinds))]
		default:
			i := g.IntN(len(examples))
			ev = g.damage(t, examples[i])
			if g.IntN(2) == 0 { // the next of the example, as it is
				ev = g.damage(t, examples[min(i+1, len(examples)-1)])
			}
		}
		boot += uint64(g.IntN(50)) * 1e6
		ev.Boot = boot
		ev.Count = uint64(g.IntN(3))
		out = append(out, ev)
	}
	return out
}

// addrPort is a peer of one address with a port.
func addrPort(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("10.0.0.9"), uint16(port))
}
