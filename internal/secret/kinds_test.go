package secret

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"flag"
	"fmt"
	"hash/crc32"
	"math/big"
	"math/rand/v2"
	"os"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/secrets.md anew")

const docsFile = "../../docs/secrets.md"

// TestDocs holds docs/secrets.md to the kinds; -update writes it anew.
func TestDocs(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Credentials that Seawall finds\n\nMade from the tables in internal/secret by `go test ./internal/secret -run TestDocs -update`.\n\n%d kinds.\n\n", len(Kinds()))
	b.WriteString("Proof says that a checksum or the structure inside tells a real one from one made up.\n\n| kind | holds | opens | proof | told by |\n|---|---|---|---|---|\n")
	for _, k := range Kinds() {
		by, proof := "its place in a file of known form", ""
		switch {
		case k.named != "":
			by = "a name with " + strings.Join(strings.Fields(k.named), " or ") + ", and the form of the value"
		case len(k.keywords()) > 0:
			by = "`" + strings.Join(k.keywords(), "`, `") + "`"
		case k.generic:
			by = "a name that promises one, and a value that looks made by a generator"
		case strings.HasSuffix(k.Slug, "private-key"):
			by = "`-----BEGIN `"
		case k.Slug == "kubernetes-service-account-token":
			by = "`eyJ`"
		}
		if proves[k.Slug] {
			proof = "yes"
		}
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s | %s | %s |\n", k.Slug, k.Docs, k.Title, k.Opens, proof, by)
	}
	if *update {
		if err := os.WriteFile(docsFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s is stale: run go test ./internal/secret -run TestDocs -update", docsFile)
	}
}

// proves names the kinds that are found as verified.
var proves = map[string]bool{
	"github-token": true, "github-oauth-token": true, "github-user-token": true, "github-app-token": true, "github-refresh-token": true,
	"gitlab-token": true, "gitlab-runner-token": true, "npm-token": true, "pypi-token": true, "grafana-service-token": true,
	"grafana-cloud-token": true, "grafana-key": true, "sentry-organization-token": true, "onepassword-service-token": true,
	"bitcoin-extended-key": true, "nostr-key": true, "age-private-key": true, "age-plugin-key": true, "json-web-token": true,
	"kubernetes-service-account-token": true, "private-key": true, "encrypted-private-key": true, "ssh-private-key": true,
	"pgp-private-key": true, "google-service-account-key": true, "kubeconfig-key": true,
}

func TestKindsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	signs := map[byte]bool{}
	slug := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, k := range Kinds() {
		if seen[k.Slug] || !slug.MatchString(k.Slug) {
			t.Errorf("%q: the slug is taken or malformed", k.Slug)
		}
		seen[k.Slug] = true
		if k.Title == "" || k.Opens == "" || !strings.HasPrefix(k.Docs, "https://") {
			t.Errorf("%s: got title %q, opens %q, docs %q", k.Slug, k.Title, k.Opens, k.Docs)
		}
		if !strings.HasPrefix(k.Title, "a ") && !strings.HasPrefix(k.Title, "an ") && !strings.HasPrefix(k.Title, "the ") && !strings.HasPrefix(k.Title, "credentials ") {
			t.Errorf("%s: %q does not follow \"holds\"", k.Slug, k.Title)
		}
		for _, word := range k.keywords() {
			if len(word) < 2 {
				t.Errorf("%s: the keyword %q is too short to be rare", k.Slug, word)
			}
			for i := range len(word) {
				signs[fold(word[i])] = true
			}
		}
		if k.form != "" {
			if _, err := regexp.Compile(k.form); err != nil {
				t.Errorf("%s: %v", k.Slug, err)
			}
		}
	}
	if len(seen) < 200 {
		t.Errorf("got %d kinds, want 200", len(seen))
	}
	if len(signs) >= 1<<rowBits {
		t.Errorf("keywords have %d signs, the automaton has room for %d", len(signs), 1<<rowBits-1)
	}
}

// generate writes a text of a form, with signs taken at random.
func generate(r *rand.Rand, form string) string {
	re, err := syntax.Parse(form, syntax.Perl)
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	var walk func(*syntax.Regexp)
	walk = func(re *syntax.Regexp) {
		switch re.Op {
		case syntax.OpLiteral:
			b.WriteString(string(re.Rune))
		case syntax.OpCharClass:
			n := 0
			for i := 0; i < len(re.Rune); i += 2 {
				n += int(re.Rune[i+1]-re.Rune[i]) + 1
			}
			n = r.IntN(n)
			for i := 0; i < len(re.Rune); i += 2 {
				if size := int(re.Rune[i+1]-re.Rune[i]) + 1; n < size {
					b.WriteRune(re.Rune[i] + rune(n))
					break
				} else {
					n -= size
				}
			}
		case syntax.OpRepeat, syntax.OpPlus, syntax.OpStar, syntax.OpQuest:
			least := map[syntax.Op]int{syntax.OpPlus: 1, syntax.OpRepeat: re.Min}[re.Op]
			for range least {
				walk(re.Sub[0])
			}
		case syntax.OpAlternate:
			walk(re.Sub[r.IntN(len(re.Sub))])
		default:
			for _, sub := range re.Sub {
				walk(sub)
			}
		}
	}
	walk(re)
	return b.String()
}

// whole makes texts of kinds that need more than their form. Each returns one
// that is right and, where the kind can tell, one that is wrong.
var whole = map[string]func(r *rand.Rand) (right, wrong string){
	"github-token":         crc62Of("ghp_"),
	"github-oauth-token":   crc62Of("gho_"),
	"github-user-token":    crc62Of("ghu_"),
	"github-app-token":     crc62Of("ghs_"),
	"github-refresh-token": crc62Of("ghr_"),
	"npm-token":            crc62Of("npm_"),
	"gitlab-token":         routable("glpat-"),
	"gitlab-runner-token":  routable("glrt-"),
	"pypi-token": func(r *rand.Rand) (string, string) {
		raw := append([]byte("\x02\x01\x08pypi.org\x02"), random(r, 80)...)
		return "pypi-" + base64.RawURLEncoding.EncodeToString(raw), ""
	},
	"grafana-service-token": func(r *rand.Rand) (string, string) {
		s := generate(r, `[A-Za-z0-9]{32}`)
		n := crc32.ChecksumIEEE([]byte(s))
		return "glsa_" + s + "_" + hex.EncodeToString([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}), ""
	},
	"grafana-cloud-token":       jsonToken("glc_", `{"o":"12","n":"%x","k":"%x"}`, ""),
	"grafana-key":               jsonToken("", `{"k":"%x","n":"%x","id":1}`, ""),
	"sentry-organization-token": jsonToken("sntrys_", `{"iat":1.5,"url":"%x","org":"%x"}`, "_"),
	"onepassword-service-token": func(r *rand.Rand) (string, string) {
		return "ops_" + base64.RawStdEncoding.EncodeToString(fmt.Appendf(nil, `{"secretKey":"%x","x":"%x"}`, random(r, 80), random(r, 80))), ""
	},
	"bitcoin-extended-key": func(r *rand.Rand) (string, string) {
		raw := append([]byte{0x04, 0x88, 0xad, 0xe4, 0}, random(r, 73)...)
		sum := sha256.Sum256(raw)
		sum = sha256.Sum256(sum[:])
		return base58Of(append(raw, sum[:4]...)), base58Of(append(raw, 1, 2, 3, 4))
	},
	"nostr-key":       bech32Of("nsec", 52, false),
	"age-private-key": bech32Of("age-secret-key-", 52, true),
	"age-plugin-key":  bech32Of("age-secret-key-pq-", 52, true),
	"json-web-token": func(r *rand.Rand) (string, string) {
		return jwtOf(r, `{"sub":"shop"}`), jwtOf(r, `{"sub":"1234567890","name":"John Doe"}`)
	},
	"kubernetes-service-account-token": func(r *rand.Rand) (string, string) {
		return jwtOf(r, `{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:a:b"}`), ""
	},
	"private-key": func(r *rand.Rand) (string, string) {
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(r)})), ""
	},
	"encrypted-private-key": func(r *rand.Rand) (string, string) {
		// A sequence of an algorithm (of one identifier) and an octet string.
		der := append([]byte{0x30, 86, 0x30, 2, 0x06, 0, 0x04, 80}, random(r, 80)...)
		return string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})), ""
	},
	"ssh-private-key": func(r *rand.Rand) (string, string) {
		raw := append([]byte("openssh-key-v1\x00\x00\x00\x00\x04none\x00\x00\x00\x04none"), random(r, 120)...)
		return string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: raw})), ""
	},
	"pgp-private-key": func(r *rand.Rand) (string, string) {
		raw := append([]byte{0x95, 0, 120}, random(r, 120)...)
		text := base64.StdEncoding.EncodeToString(raw)
		return "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: A\n\n" + text[:64] + "\n" + text[64:] + "\n-----END PGP PRIVATE KEY BLOCK-----\n", ""
	},
	"putty-private-key": func(r *rand.Rand) (string, string) {
		return "PuTTY-User-" + "Key-File-3: ssh-ed25519\nEncryption: none\nComment: a\nPublic-Lines: 1\nAAAA\nPrivate-Lines: 1\n" +
			base64.StdEncoding.EncodeToString(random(r, 36)) + "\n", ""
	},
	"google-service-account-key": func(r *rand.Rand) (string, string) {
		key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(r)}))
		return `{"type":"service_account","private_key":` + strconv.Quote(key) + `,"client_email":"a@b.iam.gserviceaccount.com"}`, ""
	},
	"kubeconfig-key": func(r *rand.Rand) (string, string) {
		key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1(r)})
		return "    client-key-data: " + base64.StdEncoding.EncodeToString(key), ""
	},
	"azure-storage-key":        withKey("AccountKey=", 64),
	"azure-service-bus-key":    withKey("SharedAccessKey=", 32),
	"wireguard-key":            withKey("PrivateKey = ", 32),
	"azure-storage-key-marked": marked("+ASt"),
	"azure-cosmos-key":         marked("ACDb"),
	"telegram-bot-token": func(r *rand.Rand) (string, string) {
		return "1" + generate(r, `[0-9]{9}`) + ":AA" + generate(r, `[A-Za-z0-9_-]{33}`), ""
	},
	"address-password": func(r *rand.Rand) (string, string) {
		return "postgres://shop:" + generate(r, `[a-z0-9]{12}`) + "@db:5432/shop", "postgres://shop:" + generate(r, `[a-z0-9]{12}`) + "@db.example.com/shop"
	},
	"basic-auth": func(r *rand.Rand) (string, string) {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("shop:"+generate(r, `[a-z0-9]{12}`))),
			"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("user:password"))
	},
	"registry-auth": func(r *rand.Rand) (string, string) {
		return `"auth": "` + base64.StdEncoding.EncodeToString([]byte("shop:"+generate(r, `[a-z0-9]{12}`))) + `"`, ""
	},
	"npmrc-basic-auth": func(r *rand.Rand) (string, string) {
		return "//registry/:_auth=" + base64.StdEncoding.EncodeToString([]byte("shop:"+generate(r, `[a-z0-9]{12}`))), ""
	},
	"bearer-token": func(r *rand.Rand) (string, string) {
		return "Authorization: Bearer " + generate(r, `[A-Za-z0-9]{32}`), ""
	},
	"aws-access-key-id":           awsID("AKIA"),
	"aws-temporary-access-key-id": awsID("ASIA"),
}

func awsID(prefix string) func(*rand.Rand) (string, string) {
	return func(r *rand.Rand) (string, string) {
		// The account is in the bits from the second on: a small one, and one that
		// no 12 decimal digits can say.
		return prefix + "QA" + generate(r, `[A-Z2-7]{14}`), prefix + "7777" + generate(r, `[A-Z2-7]{12}`)
	}
}

func random(r *rand.Rand, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

func crc62Of(prefix string) func(*rand.Rand) (string, string) {
	return func(r *rand.Rand) (string, string) {
		body := generate(r, `[A-Za-z0-9]{30}`)
		n, sum := big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), ""
		for n.Sign() > 0 {
			var d big.Int
			n.DivMod(n, big.NewInt(62), &d)
			sum = string(base62[d.Int64()]) + sum
		}
		sum = strings.Repeat("0", 6-len(sum)) + sum
		wrong := "a" + sum[1:]
		if sum[0] == 'a' {
			wrong = "b" + sum[1:]
		}
		return prefix + body + sum, prefix + body + wrong
	}
}

func routable(prefix string) func(*rand.Rand) (string, string) {
	return func(r *rand.Rand) (string, string) {
		text := prefix + generate(r, `[A-Za-z0-9_-]{27}`) + ".0r"
		sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(text))), 36)
		return text + strings.Repeat("0", 7-len(sum)) + sum, text + "zzzzzzz"
	}
}

func jsonToken(prefix, format, end string) func(*rand.Rand) (string, string) {
	return func(r *rand.Rand) (string, string) {
		text := prefix + base64.RawStdEncoding.EncodeToString(fmt.Appendf(nil, format, random(r, 24), random(r, 24)))
		if end != "" {
			end = "_" + generate(r, `[A-Za-z0-9+/]{43}`)
		}
		return text + end, ""
	}
}

func base58Of(raw []byte) string {
	n, out := new(big.Int).SetBytes(raw), ""
	for n.Sign() > 0 {
		var d big.Int
		n.DivMod(n, big.NewInt(58), &d)
		out = string(base58[d.Int64()]) + out
	}
	return out
}

// bech32Of makes texts with a checksum as BIP 173 says.
func bech32Of(prefix string, n int, upper bool) func(*rand.Rand) (string, string) {
	return func(r *rand.Rand) (string, string) {
		values := make([]int, n)
		var b strings.Builder
		for i := range values {
			values[i] = r.IntN(32)
			b.WriteByte(bech32Signs[values[i]])
		}
		var all []int
		for _, c := range prefix {
			all = append(all, int(c)>>5)
		}
		all = append(all, 0)
		for _, c := range prefix {
			all = append(all, int(c)&31)
		}
		all = append(append(all, values...), 0, 0, 0, 0, 0, 0)
		chk := 1
		for _, v := range all {
			top := chk >> 25
			chk = (chk&0x1ffffff)<<5 ^ v
			for i, g := range []int{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
				if top>>i&1 == 1 {
					chk ^= g
				}
			}
		}
		chk ^= 1
		var sums [6]byte
		for i := range sums {
			sums[i] = bech32Signs[chk>>(5*(5-i))&31]
		}
		sum := string(sums[:])
		right, wrong := prefix+"1"+b.String()+sum, prefix+"1"+b.String()+strings.Map(func(c rune) rune {
			if c == 'q' {
				return 'p'
			}
			return 'q'
		}, sum)
		if upper {
			return strings.ToUpper(right), strings.ToUpper(wrong)
		}
		return right, wrong
	}
}

func jwtOf(r *rand.Rand, claims string) string {
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + enc.EncodeToString([]byte(claims)) + "." + enc.EncodeToString(random(r, 64))
}

func pkcs8(r *rand.Rand) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(random(r, 32)))
	if err != nil {
		panic(err)
	}
	return der
}

func sec1(r *rand.Rand) []byte {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append([]byte{1}, random(r, 31)...))
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		panic(err)
	}
	return der
}

func withKey(before string, n int) func(*rand.Rand) (string, string) {
	return func(r *rand.Rand) (string, string) {
		return before + base64.StdEncoding.EncodeToString(random(r, n)), ""
	}
}

// marked is a key of 64 bytes in base64 with a mark of Azure in it.
func marked(mark string) func(*rand.Rand) (string, string) {
	return func(r *rand.Rand) (string, string) {
		text := []byte(base64.StdEncoding.EncodeToString(random(r, 64)))
		copy(text[76:], mark)
		return string(text), ""
	}
}

// byFile are kinds that the name of a file tells.
var byFile = map[string]struct{ path, text string }{
	"netrc-password":   {"root/.netrc", "machine a login b password h8sD93kf\n"},
	"pgpass-password":  {"root/.pgpass", "db:5432:shop:me:h8sD93kf\n"},
	"rails-master-key": {"app/config/master.key", "8f14e45fceea167a5a36dedd4bea2543"},
	"shadow-hash":      {"etc/shadow", "root:$6$abcdefgh$1234567890123456789012:19000:0:99999:7:::\nbin:*:1::::::\nme:!$6$a$b:1::::::\n"},
	"htpasswd-hash":    {"srv/.htpasswd", "me:$apr1$abcdefgh$1234567890123456789012\n"},
	"password-hash":    {"a.yaml", "admin.password: $2a$10$rRyBsGSHK6.uc8fntPwVIu\n"},
	"password":         {"a.yaml", "db.password: hunter2!\n"},
	"token":            {"a.yaml", "token: 8f14e45fceea167a5a36dedd4bea2543\n"},
	"secret":           {"a.yaml", "clientSecret: 9aF3kQ2mZ8xW1pLr\n"},
	"api-key":          {"a.yaml", "apiKey: 9aF3kQ2mZ8xW1pLr\n"},
}

// TestEveryKind finds one credential of each kind, made up here, in the middle
// of other text.
func TestEveryKind(t *testing.T) {
	for _, k := range Kinds() {
		t.Run(k.Slug, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(len(k.Slug)), uint64(k.Slug[0])))
			for range 20 {
				path := "etc/app.conf"
				var text, wrong string
				switch build, ok := whole[k.Slug]; {
				case ok:
					text, wrong = build(r)
				case byFile[k.Slug].path != "":
					path, text = byFile[k.Slug].path, byFile[k.Slug].text
				case k.named != "":
					name := strings.Fields(k.named)[0]
					if name != "token" {
						name += "_token"
					}
					text = name + " = \"" + generate(r, k.form) + "\"\n"
				default:
					text = generate(r, k.form)
				}
				before := "# a: b\n  x "
				if byFile[k.Slug].path != "" || k.named != "" {
					before = ""
				}
				hits, more := Scan(path, []byte(before+text+"\n"), Options{})
				if len(hits) != 1 || more {
					t.Fatalf("%q: got %+v %t, want one hit", text, hits, more)
				}
				h := hits[0]
				if h.Rule != k.Slug || h.Title != k.Title || h.Verified != proves[k.Slug] || h.Example {
					t.Fatalf("%q: got %+v, verified should be %t", text, h, proves[k.Slug])
				}
				if before != "" && h.Line < 2 {
					t.Fatalf("%q: got line %d", text, h.Line)
				}
				if wrong == "" {
					continue
				}
				hits, _ = Scan(path, []byte(before+wrong+"\n"), Options{})
				if len(hits) != 1 || hits[0].Verified || !hits[0].Example {
					t.Fatalf("%q is wrong inside: got %+v, want one example", wrong, hits)
				}
			}
		})
	}
}

// TestPlaceholders wants no hit where a form is filled with what stands for a
// credential.
func TestPlaceholders(t *testing.T) {
	for _, k := range Kinds() {
		if k.form == "" || k.named != "" {
			continue
		}
		t.Run(k.Slug, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			words := k.keywords()
			text := generate(r, k.form)
			i := strings.Index(text, words[0])
			for _, word := range words {
				i = max(i, strings.Index(text, word))
			}
			for _, c := range "x0a" {
				filled := []byte(text)
				for j := i + 8; j < len(filled); j++ {
					if isAlnum(filled[j]) {
						filled[j] = byte(c)
					}
				}
				for j := range min(max(i, 0), len(filled)) {
					if isAlnum(filled[j]) {
						filled[j] = byte(c)
					}
				}
				if hits, _ := Scan("etc/app.conf", bytes.TrimSpace(filled), Options{}); len(hits) > 0 && !hits[0].Example {
					t.Errorf("%q: got %+v, want no hit", filled, hits)
				}
			}
		})
	}
}
