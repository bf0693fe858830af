// Package secret finds credentials in the bytes of files: keys and tokens by
// their form, by checksums where the form has one, and by name and entropy
// where it has not. It never repeats what it found: a hit carries the kind, the
// place and a fingerprint. It asks nobody whether a credential works.
//
// The kinds are data, in kinds_*.go: what a text must hold for a kind to be
// tried, the form that follows, what it opens, and the page of the vendor that
// describes it. One pass over the text finds the keywords of all kinds; the
// forms are tried at those places only. docs/secrets.md lists the kinds.
package secret

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
)

// Hit is one credential in one file. It holds nothing of the credential but a
// fingerprint.
type Hit struct {
	// Rule is the slug of the kind: aws-access-key-id. Title is made to follow
	// "holds": an AWS access key.
	Rule  string `json:"rule"`
	Title string `json:"title"`
	// Line and Column count from 1 and are of the first byte.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Fingerprint is the first 16 hexadecimal digits of the SHA-256 of the
	// credential: the same credential at two places has the same.
	Fingerprint string `json:"fingerprint"`
	// Verified says that a checksum or structure inside the credential holds, so
	// that it is no chance match.
	Verified bool `json:"verified,omitempty"`
	// Name is the variable or key that the credential stands under, if any.
	Name string `json:"name,omitempty"`
	// Example says that the hit is likely made for a test or a documentation: by
	// the folder that the file is in, or because a checksum of it does not hold.
	// Whoever reports it should do so with less weight, and not leave it out.
	Example bool `json:"example,omitempty"`
	// Object is the git object that holds the credential, in hexadecimal, where it
	// was found in what a repository keeps of the past. File is then a path that
	// the object had in the repository, and Commit one that has it there, as far as
	// they are known. Line and Column are of the object.
	Object string `json:"object,omitempty"`
	File   string `json:"file,omitempty"`
	Commit string `json:"commit,omitempty"`
}

// Options say how far a scan goes. The zero value is good.
type Options struct {
	// MaxHits bounds the hits of one file, 0 means 100.
	MaxHits int
}

const (
	maxHits = 100
	// maxForm is how many bytes from its keyword on a form may take.
	maxForm = 2048
	// maxName and maxValue bound the two sides of an assignment, in bytes.
	maxName  = 64
	maxValue = 512
	// binaryHead is how many bytes are searched for a NUL, which no text has.
	binaryHead = 8000
	// Trying forms may cost this many bytes read for each byte of the text, and
	// spareWork more. Texts of this world need less than one; only one that is
	// made to be slow needs more.
	maxWork   = 16
	spareWork = 1 << 20
)

// Scan returns the credentials in the body of a file, sorted by place. The path
// tells what files of some names hold, and which folders hold examples.
//
// In binary files, told by a NUL byte in the first 8000, only credentials that a
// checksum or structure proves are hits. UTF-16 with a byte order mark is text.
//
// More says that the scan ended early, since the file has more hits than
// o.MaxHits, or is made to be slow: what is there beyond is not known. Time and
// memory are bounded by the size of the body, whatever it holds.
func Scan(path string, body []byte, o Options) (hits []Hit, more bool) {
	if text, ok := fromUTF16(body); ok {
		hits, more = Scan(path, text, o)
		for i := range hits {
			// Two bytes each, behind the byte order mark in the first line.
			hits[i].Column = 2*hits[i].Column - 1
			if hits[i].Line == 1 {
				hits[i].Column += 2
			}
		}
		return hits, more
	}
	s := scan{f: engine(), path: path, body: body, limit: o.MaxHits, work: maxWork*len(body) + spareWork}
	if s.limit <= 0 {
		s.limit = maxHits
	}
	s.binary = bytes.IndexByte(body[:min(len(body), binaryHead)], 0) >= 0
	s.kind = kindOf(path)
	s.f.run(&s)
	if !s.binary && !s.more {
		s.wholeFile()
	}
	return s.hits(), s.more
}

// match is a credential at a place of the body.
type match struct {
	kind       *Kind
	start, end int
	// value is fingerprinted in place of the bytes of the body, if it is set.
	value []byte
	name  string
	proof proof
}

// scan is one file on its way.
type scan struct {
	f       *finder
	path    string
	body    []byte
	binary  bool
	kind    fileKind
	limit   int
	work    int
	more    bool
	matches []match
	// formsOnly leaves names and what stands under them out.
	formsOnly bool
	// seen is the end of the last name that was looked at, so that a name with
	// two keywords in it is judged once.
	seen int
}

// spend counts bytes read by a form. False means that the scan must end.
func (s *scan) spend(n int) bool {
	s.work -= n + 16
	if s.work < 0 {
		s.more = true
	}
	return !s.more
}

// add takes a match unless one of its kind covers the place.
func (s *scan) add(m match) {
	if s.binary && m.proof != proven {
		return
	}
	for i := len(s.matches) - 1; i >= 0 && i >= len(s.matches)-16; i-- {
		old := &s.matches[i]
		if m.start >= old.end || m.end <= old.start {
			continue
		}
		// Two say the same place: the one that knows more, then the earlier, wins.
		if rank(m) > rank(*old) {
			if m.name == "" {
				m.name = old.name
			}
			*old = m
		} else if old.name == "" && m.kind.generic {
			old.name = m.name
		}
		return
	}
	if len(s.matches) == s.limit {
		s.more = true
		return
	}
	s.matches = append(s.matches, m)
}

// rank orders matches of the same place by how much they tell.
func rank(m match) int {
	r := 2 * int(m.proof)
	if !m.kind.generic {
		r += 8
	}
	return r
}

// hits turns the matches into what callers see.
func (s *scan) hits() []Hit {
	if len(s.matches) == 0 {
		return nil
	}
	slices.SortStableFunc(s.matches, func(a, b match) int { return a.start - b.start })
	inExamples := isExamplePath(s.path)
	out := make([]Hit, 0, len(s.matches))
	line, last, at := 1, -1, 0 // the line of at, and the newline before it
	for _, m := range s.matches {
		for i := at; i < m.start; i++ {
			if s.body[i] == '\n' {
				line++
				last = i
			}
		}
		at = m.start
		value := m.value
		if value == nil {
			value = s.body[m.start:m.end]
		}
		out = append(out, Hit{
			Rule: m.kind.Slug, Title: m.kind.Title, Line: line, Column: m.start - last,
			Fingerprint: fingerprint(value), Verified: m.proof == proven, Name: m.name,
			Example: inExamples || m.proof == refuted,
		})
	}
	return out
}

func fingerprint(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:8])
}

// finder holds the kinds by the keywords that lead to them.
type finder struct {
	kinds []*Kind
	slugs map[string]*Kind
	// vendors holds the kinds that a word of a name tells.
	vendors map[string][]*Kind
	words   *automaton
	// keys holds what to do at each keyword.
	keys []lead
}

// lead is a keyword and the kind whose form begins with it.
type lead struct {
	word string
	kind *Kind
}

// engine returns the one finder. It is built when first needed.
//
//nolint:gochecknoglobals // built once from constant tables, never changed
var engine = sync.OnceValue(func() *finder {
	f := &finder{kinds: allKinds(), slugs: map[string]*Kind{}, vendors: map[string][]*Kind{}}
	for _, k := range f.kinds {
		f.slugs[k.Slug] = k
		for word := range strings.FieldsSeq(k.named) {
			f.vendors[word] = append(f.vendors[word], k)
		}
		for _, word := range k.keywords() {
			f.keys = append(f.keys, lead{word, k})
		}
	}
	for _, word := range nameWords {
		f.keys = append(f.keys, lead{word: word})
	}
	words := make([]string, len(f.keys))
	for i, k := range f.keys {
		words[i] = k.word
	}
	f.words = newAutomaton(words)
	return f
})

func (f *finder) run(s *scan) {
	f.words.find(s.body, func(keyword, end int) bool {
		l := &f.keys[keyword]
		if l.kind == nil {
			if end > s.seen && !s.binary && !s.formsOnly {
				s.assignment(end-len(l.word), end)
			}
			return !s.more
		}
		l.kind.try(s, end-len(l.word), l.word)
		return !s.more
	})
}

// fromUTF16 returns the ASCII of a text in UTF-16 with a byte order mark. All
// else becomes one byte too, that no form has.
func fromUTF16(body []byte) ([]byte, bool) {
	if len(body) < 4 || len(body)%2 != 0 {
		return nil, false
	}
	high := 1
	switch {
	case body[0] == 0xff && body[1] == 0xfe:
	case body[0] == 0xfe && body[1] == 0xff:
		high = 0
	default:
		return nil, false
	}
	out := make([]byte, 0, len(body)/2-1)
	for i := 2; i+1 < len(body); i += 2 {
		if body[i+high] != 0 || body[i+1-high] >= 0x80 || body[i+1-high] == 0 {
			out = append(out, 0x80)
			continue
		}
		out = append(out, body[i+1-high])
	}
	return out, true
}
