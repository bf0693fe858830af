package secret

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// Kind is one kind of credential.
type Kind struct {
	// Slug names the kind in output and exceptions; it never changes.
	Slug string
	// Title follows "holds". Opens says what the credential is good for.
	Title string
	Opens string
	// Docs is the page of the vendor, or the standard, that describes it.
	Docs string

	// words are the keywords; none means the literal text that form begins with.
	words []string
	// form is a regular expression that matches from the keyword on, or from
	// before bytes ahead of it. Its group, if it has one, is the credential.
	form   string
	before int
	// loose forms may follow and be followed by letters and digits.
	loose bool
	// named says in which names, one of whose words it is, a value of the form is
	// of this kind: datadog, so that the name must promise a credential of it. The
	// form is then the whole value, and there is no keyword.
	named string
	// entropy is the least one of the credential, in bits a byte; 0 means 3, or
	// 2.5 for those of less than 20 bytes.
	entropy float64
	// check looks inside the credential. It may be nil.
	check func(secret []byte) proof
	// find takes the place of form where a regular expression cannot tell.
	find func(s *scan, k *Kind, at int)
	// generic kinds give way to others at the same place.
	generic bool

	once sync.Once
	expr *regexp.Regexp
}

// proof says what the inside of a credential tells.
type proof uint8

const (
	// refuted: the checksum does not hold. It has the form all the same, and
	// stands where somebody made it up, or changed it.
	refuted proof = iota
	// silent: there is nothing to check.
	silent
	// proven: a checksum or structure holds.
	proven
	// absent: it is no credential at all.
	absent
)

// keywords returns what a text must hold for the kind to be tried.
func (k *Kind) keywords() []string {
	if len(k.words) > 0 || k.form == "" || k.named != "" {
		return k.words
	}
	return []string{literalPrefix(k.form)}
}

// literalPrefix returns the text that a form begins with. Parts in brackets and
// counted signs end it.
func literalPrefix(form string) string {
	var b strings.Builder
	for i := 0; i < len(form); i++ {
		c := form[i]
		if c == '\\' && i+1 < len(form) && !isAlnum(form[i+1]) {
			i++
			b.WriteByte(form[i])
			continue
		}
		if strings.IndexByte(`\.+*?()|[]{}^$`, c) >= 0 {
			break
		}
		b.WriteByte(c)
	}
	return b.String()
}

// try looks for the kind where one of its keywords begins.
func (k *Kind) try(s *scan, at int, word string) {
	if string(s.body[at:at+len(word)]) != word { // the automaton is blind to case
		return
	}
	if k.find != nil {
		k.find(s, k, at)
		return
	}
	at -= k.before
	if at < 0 || !k.loose && !isFreeBefore(s.body, at) {
		return
	}
	k.once.Do(func() { k.expr = regexp.MustCompile(`^(?:` + k.form + `)`) })
	window := s.body[at:min(len(s.body), at+maxForm)]
	// A form is read, some times over, to the end of the run of signs.
	run := 0
	for run < len(window) && (isWord(window[run]) || strings.IndexByte("-.+/=%$!:~@?&", window[run]) >= 0) {
		run++
	}
	if !s.spend(4 * run) {
		return
	}
	loc := k.expr.FindSubmatchIndex(window)
	if loc == nil {
		return
	}
	if end := at + loc[1]; !k.loose && end < len(s.body) && isWord(s.body[end]) && isWord(s.body[end-1]) {
		return
	}
	from, to := loc[0], loc[1]
	if len(loc) >= 4 && loc[2] >= 0 {
		from, to = loc[2], loc[3]
	}
	secret := window[from:to]
	if !k.plausible(secret) {
		return
	}
	p := silent
	if k.check != nil {
		if p = k.check(secret); p == absent {
			return
		}
	}
	s.add(match{kind: k, start: at + from, end: at + to, proof: p})
}

// plausible tells the secret part from what a documentation shows in its place.
func (k *Kind) plausible(secret []byte) bool {
	least := k.entropy
	if least == 0 {
		least = 3
		if len(secret) < 20 {
			least = 2.5
		}
	}
	return entropy(secret) >= least && !isFiller(secret)
}

// isFreeBefore says that a form may begin at a place: no letter or digit stands
// before it, but that of an escape such as \n, %3D and \u003d.
func isFreeBefore(body []byte, at int) bool {
	if at == 0 || !isWord(body[at-1]) {
		return true
	}
	switch {
	case at >= 2 && body[at-2] == '\\':
		return bytes.IndexByte([]byte("nrt"), body[at-1]) >= 0
	case at >= 3 && body[at-3] == '%':
		return isHex(body[at-1]) && isHex(body[at-2])
	case at >= 6 && body[at-6] == '\\' && body[at-5] == 'u':
		return isHex(body[at-1]) && isHex(body[at-2])
	}
	return false
}

func isWord(c byte) bool { return c == '_' || isAlnum(c) }

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
