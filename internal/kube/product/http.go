package product

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// Answer is what came back to a GET, without redirects followed.
type Answer struct {
	Status int
	Header http.Header
	// Body may be cut off at the end.
	Body []byte
}

// MaxQuestions is how many paths of a port are asked for at most.
const MaxQuestions = 6

// HTTP asks a port that speaks HTTP, first for / and then for the paths of the
// products that it may be, at most [MaxQuestions] in all. ask returns an error
// where no answer came; when that is the first, it is HTTP's error too, and says
// nothing about the port.
func HTTP(hint Hint, ask func(path string) (*Answer, error)) (Result, error) {
	root, err := ask("/")
	if err != nil {
		return Result{}, err
	}
	s := session{ask: ask, answers: map[string]*Answer{"/": root}}
	refused := Result{}
	if reason := refusal(root); reason != "" {
		refused = Result{Verdict: Closed, Path: "/", Reason: reason}
	}
	undecided := ""
	for _, p := range candidates(hint, root) {
		r := s.decide(p)
		if r.Verdict == Open {
			return r, nil
		}
		if r.Verdict == Closed && (refused.Verdict == "" || refused.Product == "" && p.shows(root)) {
			refused = r
		}
		if r.Verdict == Unknown && p.shows(root) {
			undecided = p.name
		}
	}
	switch {
	case refused.Verdict == Closed:
		return refused, nil
	case undecided != "":
		r := unknown("it is " + undecided + ", and neither serves nor refuses what was asked for")
		r.Product = undecided
		return r, nil
	}
	return Result{Verdict: Ordinary, Path: "/"}, nil
}

// candidates are the products that a port may be: those that the answer to /
// shows come first, those that its number or a name suggests follow.
func candidates(hint Hint, root *Answer) []*product {
	var shown, named, numbered []*product
	for i := range products {
		p := &products[i]
		switch {
		case p.shows(root):
			shown = append(shown, p)
		case p.weak:
		case hint.suggests(nil, p.names):
			named = append(named, p)
		case hint.suggests(p.ports, nil):
			numbered = append(numbered, p)
		}
	}
	return append(append(shown, named...), numbered...)
}

// session is the asking of one port.
type session struct {
	ask     func(path string) (*Answer, error)
	answers map[string]*Answer
}

// get returns the answer to a path, nil where there is none or the questions
// are used up.
func (s *session) get(path string) *Answer {
	if a, asked := s.answers[path]; asked {
		return a
	}
	if len(s.answers) >= MaxQuestions {
		return nil
	}
	a, err := s.ask(path)
	if err != nil {
		a = nil
	}
	s.answers[path] = a
	return a
}

// decide asks for the paths of one product.
func (s *session) decide(p *product) Result {
	out := Result{Verdict: Unknown, Product: p.name}
	for _, q := range p.questions {
		a := s.get(q.path)
		if a == nil {
			continue
		}
		if a.Status == http.StatusOK && q.open.matches(a) {
			return Result{Verdict: Open, Product: p.name, Path: q.path, Gain: p.gain, Evidence: q.evidence}
		}
		if reason := refusal(a); reason != "" && out.Verdict == Unknown {
			out = Result{Verdict: Closed, Product: p.name, Path: q.path, Reason: reason}
		}
	}
	return out
}

// refusal says in what way an answer asks who is there; empty where it does not.
func refusal(a *Answer) string {
	switch {
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden || a.Status == http.StatusProxyAuthRequired:
		return fmt.Sprintf("answers %d %s", a.Status, http.StatusText(a.Status))
	case a.Status >= 300 && a.Status < 400 && leadsToLogin(a.Header.Get("Location")):
		return "leads to a login"
	case a.Status == http.StatusOK && isHTML(a) && asksForPassword(a.Body):
		return "shows a login"
	}
	return ""
}

func leadsToLogin(location string) bool {
	location = strings.ToLower(location)
	for _, word := range [...]string{"login", "signin", "sign_in", "sign-in", "logon", "oauth", "openid", "saml", "sso", "/auth"} {
		if strings.Contains(location, word) {
			return true
		}
	}
	return false
}

func isHTML(a *Answer) bool { return strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") }

func asksForPassword(body []byte) bool {
	body = bytes.ToLower(body)
	for _, input := range [...]string{`type="password"`, `type='password'`, `type=password`} {
		if bytes.Contains(body, []byte(input)) {
			return true
		}
	}
	return false
}

// sign is something that an answer has: all of what is set.
type sign struct {
	// header is one that must be there, with value in it in whatever case.
	header, value string
	// media begins the content type.
	media string
	// words are all in the body; begins is what the body begins with after white
	// space; whole is the body but for white space around it.
	words  []string
	begins string
	whole  string
}

const jsonMedia = "application/json"

func (g *sign) matches(a *Answer) bool {
	if g.header != "" {
		values := a.Header.Values(g.header)
		if len(values) == 0 || !strings.Contains(strings.ToLower(values[0]), strings.ToLower(g.value)) {
			return false
		}
	}
	if !strings.HasPrefix(a.Header.Get("Content-Type"), g.media) {
		return false
	}
	body := bytes.TrimSpace(a.Body)
	if !bytes.HasPrefix(body, []byte(g.begins)) || g.whole != "" && string(body) != g.whole {
		return false
	}
	for _, w := range g.words {
		if !bytes.Contains(body, []byte(w)) {
			return false
		}
	}
	return true
}

// product is one that must not answer strangers.
type product struct {
	name string
	// ports and names are those that it goes by; names are parts of names, in
	// lower case.
	ports []int64
	names []string
	// root are signs in the answer to /, of whatever status: any is enough.
	root      []sign
	questions []question
	gain      Gain
	// weak says that other programs may answer the questions alike: they are asked
	// only where / shows the product.
	weak bool
}

// question is a path to ask for and what shows that it was served.
type question struct {
	path     string
	open     sign
	evidence string
}

func (p *product) shows(root *Answer) bool {
	for i := range p.root {
		if p.root[i].matches(root) {
			return true
		}
	}
	return false
}
