package secret

import (
	"bytes"
	"encoding/asn1"
	"encoding/json"
	"strconv"
	"strings"
)

const (
	maxPEM = 32 << 10 // a key of 16384 bits of RSA takes 13 KB
	minPEM = 40       // signs of base64 that no documentation shows
)

// findPEM finds private keys between BEGIN and END, as they are and as strings
// of JSON, YAML and programs hold them.
func findPEM(s *scan, _ *Kind, at int) {
	label, ok := cutAt(s.body[at+len("-----BEGIN "):], "-----", 48)
	if !ok || !bytes.HasSuffix(bytes.TrimSuffix(label, []byte(" BLOCK")), []byte("PRIVATE KEY")) {
		return
	}
	begin := at + len("-----BEGIN ") + len(label) + len("-----")
	text, headers, end := armoured(s.body[begin:min(len(s.body), begin+maxPEM)])
	if !s.spend(4 * end) {
		return
	}
	if len(text) < minPEM || entropy(text) < 3 || isFiller(text) {
		return
	}
	rest := s.body[begin+end:]
	if bytes.HasPrefix(rest, []byte("...")) || bytes.HasPrefix(rest, []byte("…")) || bytes.HasPrefix(rest, []byte("<")) {
		return // a documentation shows the beginning only
	}
	m := match{kind: s.f.slugs["private-key"], start: at, end: begin + end, value: text, proof: silent}
	raw, decodes := decode64(text)
	switch {
	case bytes.HasPrefix(label, []byte("PGP ")):
		m.kind = s.f.slugs["pgp-private-key"]
		if armourSum(text) || decodes && len(raw) > 0 && (raw[0]&0xfc == 0x94 || raw[0] == 0xc5) { // tag 5, a secret key
			m.proof = proven
		}
	case bytes.Contains(headers, []byte("ENCRYPTED")), bytes.HasPrefix(label, []byte("ENCRYPTED ")):
		m.kind = s.f.slugs["encrypted-private-key"]
		if decodes {
			m.proof = keyProof(raw)
		}
		if len(headers) > 0 && decodes {
			m.proof = silent // the DER itself is encrypted
		}
	case bytes.HasPrefix(label, []byte("OPENSSH ")):
		m.kind = s.f.slugs["ssh-private-key"]
		cipher, ok := opensshCipher(raw)
		if ok {
			m.proof = proven
		}
		if ok && cipher != "none" {
			m.kind = s.f.slugs["encrypted-private-key"]
		}
	case decodes:
		m.proof = keyProof(raw)
	}
	s.add(m)
}

// cutAt returns what is before a mark that begins within the first n bytes.
func cutAt(text []byte, mark string, n int) ([]byte, bool) {
	i := bytes.Index(text[:min(len(text), n+len(mark))], []byte(mark))
	if i < 0 {
		return nil, false
	}
	return text[:i], true
}

// armoured reads base64 until something else comes: over newlines, also those
// that are escaped, indents, and the quotes and plus signs with which programs
// join lines. It returns the base64, the headers before it, and where it ended.
func armoured(body []byte) (text, headers []byte, end int) {
	text = make([]byte, 0, min(len(body), 256))
	quoteGap, lineStart := false, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\n' || c == '\r':
			lineStart = true
		case c == ' ' || c == '\t':
		case c == '\\' && i+1 < len(body) && bytes.IndexByte([]byte("nrt\\\n\"'/"), body[i+1]) >= 0:
			if body[i+1] != '\\' && body[i+1] != '/' {
				i++
			}
			lineStart = true
		case c == '\\':
			return text, headers, i
		case c == '"' || c == '\'':
			quoteGap = !quoteGap
		case quoteGap && (c == '+' || c == ',' || c == '.' || c == '(' || c == ')'):
		case lineStart && len(text) == 0 && headerEnd(body[i:]) > 0:
			n := headerEnd(body[i:])
			headers = append(headers, body[i:i+n]...)
			i += n - 1
		case isAlnum(c) || c == '+' || c == '/' || c == '=':
			text = append(text, c)
			quoteGap, lineStart = false, false
		default:
			return text, headers, i
		}
	}
	return text, headers, len(body)
}

// headerEnd returns the length of a header such as Proc-Type: 4,ENCRYPTED at the
// beginning of text, 0 if there is none.
func headerEnd(text []byte) int {
	i := 0
	for i < len(text) && i < 24 && (isAlnum(text[i]) || text[i] == '-') {
		i++
	}
	if i == 0 || i+1 >= len(text) || text[i] != ':' || text[i+1] != ' ' {
		return 0
	}
	for i < len(text) && i < 256 && text[i] != '\n' && text[i] != '\r' && text[i] != '\\' && text[i] != '"' {
		i++
	}
	return i
}

// keyProof proves the DER of a private key, encrypted or not: a sequence that
// fills the bytes, and begins with the number of a version (PKCS 1, SEC 1,
// PKCS 8) or an algorithm before an octet string.
func keyProof(der []byte) proof {
	var outer, first, second asn1.RawValue
	rest, err := asn1.Unmarshal(der, &outer)
	if err != nil || len(rest) != 0 || outer.Tag != asn1.TagSequence || !outer.IsCompound {
		return silent
	}
	rest, err = asn1.Unmarshal(outer.Bytes, &first)
	if err != nil || len(rest) == 0 {
		return silent
	}
	if _, err := asn1.Unmarshal(rest, &second); err != nil {
		return silent
	}
	switch {
	case first.Tag == asn1.TagInteger && len(first.Bytes) == 1 && first.Bytes[0] <= 2,
		first.Tag == asn1.TagSequence && second.Tag == asn1.TagOctetString:
		return proven
	}
	return silent
}

// opensshCipher returns the cipher of a key in OpenSSH's own form.
func opensshCipher(raw []byte) (string, bool) {
	const magic = "openssh-key-v1\x00"
	if !bytes.HasPrefix(raw, []byte(magic)) || len(raw) < len(magic)+4 {
		return "", false
	}
	raw = raw[len(magic):]
	n := int(raw[2])<<8 | int(raw[3])
	if raw[0] != 0 || raw[1] != 0 || n > len(raw)-4 {
		return "", false
	}
	return string(raw[4 : 4+n]), true
}

// armourSum checks the CRC-24 that ends OpenPGP's armour (RFC 9580, 6.1). Not
// all have one.
func armourSum(text []byte) bool {
	if len(text) < 5 || text[len(text)-5] != '=' {
		return false
	}
	raw, ok := decode64(text[:len(text)-5])
	want, ok2 := decode64(text[len(text)-4:])
	if !ok || !ok2 || len(want) != 3 {
		return false
	}
	sum := uint32(0xb704ce)
	for _, b := range raw {
		sum ^= uint32(b) << 16
		for range 8 {
			sum <<= 1
			if sum&0x1000000 != 0 {
				sum ^= 0x1864cfb
			}
		}
	}
	return sum&0xffffff == uint32(want[0])<<16|uint32(want[1])<<8|uint32(want[2])
}

// findPuTTY finds keys of PuTTY; those with Encryption: none are open.
func findPuTTY(s *scan, k *Kind, at int) {
	window := s.body[at:min(len(s.body), at+16<<10)]
	if !s.spend(len(window)) {
		return
	}
	head, rest, ok := bytes.Cut(window, []byte("Private-Lines: "))
	if !ok {
		return
	}
	if !bytes.Contains(head, []byte("Encryption: none")) {
		k = s.f.slugs["encrypted-private-key"]
	}
	count, rest, _ := bytes.Cut(rest, []byte("\n"))
	if text, _, _ := armoured(rest); len(text) < minPEM {
		return
	}
	lines, err := strconv.Atoi(string(bytes.TrimSpace(count)))
	end := len(window) - len(rest)
	for ; err == nil && lines > 0 && end < len(window); lines-- {
		if i := bytes.IndexByte(window[end:], '\n'); i >= 0 {
			end += i + 1
		} else {
			end = len(window)
		}
	}
	s.add(match{kind: k, start: at, end: at + end, proof: silent})
}

// findJWT finds JSON web tokens: two parts that are JSON in base64, the first
// with an algorithm, and a signature. Those of Kubernetes' service accounts are
// a kind of their own.
func findJWT(s *scan, k *Kind, at int) {
	if !isFreeBefore(s.body, at) {
		return
	}
	window := s.body[at:min(len(s.body), at+16<<10)]
	end, dots := 0, [2]int{}
	found := 0
	for ; end < len(window); end++ {
		c := window[end]
		if c == '.' {
			if found == 2 {
				break
			}
			dots[found] = end
			found++
			continue
		}
		if !isWord(c) && c != '-' || found == 0 && end > 1024 {
			break
		}
	}
	if !s.spend(end) || found < 2 || end-dots[1] < 17 {
		return
	}
	var header struct {
		Alg string `json:"alg"`
		Enc string `json:"enc"`
	}
	var claims struct {
		Iss, Sub string
		Name     string
		K8s      json.RawMessage `json:"kubernetes.io"`
	}
	raw, ok := decode64(window[:dots[0]])
	if !ok || json.Unmarshal(raw, &header) != nil || header.Alg == "" || strings.EqualFold(header.Alg, "none") || header.Enc != "" {
		return
	}
	if raw, ok = decode64(window[dots[0]+1 : dots[1]]); !ok || !json.Valid(raw) || raw[0] != '{' {
		return
	}
	m := match{kind: k, start: at, end: at + end, proof: proven}
	// Claims of other types than usual leave the fields empty.
	if err := json.Unmarshal(raw, &claims); err == nil {
		switch {
		case claims.Iss == "kubernetes/serviceaccount" || len(claims.K8s) > 0:
			m.kind = s.f.slugs["kubernetes-service-account-token"]
		case claims.Sub == "1234567890" && claims.Name != "":
			m.proof = refuted // the one of every documentation
		}
	}
	s.add(m)
}

// findAddress finds passwords in addresses: scheme://user:password@host.
func findAddress(s *scan, k *Kind, at int) {
	if at == 0 || !isAlnum(s.body[at-1]) {
		return
	}
	rest := s.body[at+3 : min(len(s.body), at+3+384)]
	colon, end := -1, -1
	for i, c := range rest {
		if c <= ' ' || bytes.IndexByte([]byte("\"'<>`/"), c) >= 0 || colon < 0 && (c == '?' || c == '#') || i > 96 && colon < 0 {
			break
		}
		if c == ':' && colon < 0 {
			colon = i
		}
		if c == '@' {
			end = i
			break
		}
	}
	if colon < 0 || end-colon-1 < 3 || end+1 >= len(rest) {
		return // shorter ones stand in texts about addresses
	}
	if c := rest[end+1]; !isWord(c) && bytes.IndexByte([]byte("[$({%-"), c) < 0 {
		return
	}
	host := rest[end+1:]
	if i := bytes.IndexAny(host, ":/ \n\r\t\"'?<>`,"); i >= 0 {
		host = host[:i]
	}
	user, password := string(rest[:colon]), string(rest[colon+1:end])
	if strings.ContainsAny(password, "[]{}") || isPlaceholder(password) || isTypeWord(password) || isUserWord(user, password) {
		return
	}
	m := match{kind: k, start: at + 3 + colon + 1, end: at + 3 + end, proof: silent}
	if isExampleHost(string(host)) || s.kind == codeFile && isComment(string(lineStart(s.body, at))) {
		m.proof = refuted
	}
	s.add(m)
}

// isExampleHost tells hosts that stand for others (RFC 2606) or for none.
func isExampleHost(host string) bool {
	host = strings.ToLower(host)
	switch host {
	case "host", "hostname", "server", "foo", "bar", "test", "a.com", "foo.com", "bar.com", "domain.com", "google.com":
		return true
	}
	for _, end := range [...]string{"example.com", "example.org", "example.net", "example", ".test", ".invalid"} {
		if strings.HasSuffix(host, end) {
			return true
		}
	}
	return false
}

// findServiceAccount finds keys of Google's service accounts: the JSON has the
// private key beside the account's address.
func findServiceAccount(s *scan, k *Kind, at int) {
	around := s.body[max(0, at-2048):min(len(s.body), at+8<<10)]
	if !s.spend(len(around)) || !bytes.Contains(around, []byte(`"client_email"`)) {
		return
	}
	begin := bytes.Index(s.body[at:min(len(s.body), at+64)], []byte("-----BEGIN "))
	if begin < 0 {
		return
	}
	// The key itself is judged as any other, and then called by the better name.
	n := len(s.matches)
	findPEM(s, nil, at+begin)
	if len(s.matches) > n {
		s.matches[n].kind = k
	}
}

// findTelegram finds tokens of bots: the bot's number, a colon, 35 signs.
func findTelegram(s *scan, k *Kind, at int) {
	from := at
	for from > 0 && at-from < 11 && s.body[from-1] >= '0' && s.body[from-1] <= '9' {
		from--
	}
	end := at + 1
	for end < len(s.body) && end-at < 40 && (isWord(s.body[end]) || s.body[end] == '-') {
		end++
	}
	if at-from < 8 || at-from > 10 || end-at != 36 || from > 0 && isAlnum(s.body[from-1]) && string(s.body[max(0, from-3):from]) != "bot" {
		return
	}
	if k.plausible(s.body[at:end]) {
		s.add(match{kind: k, start: from, end: end, proof: silent})
	}
}
