package redact

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"seawall.io/seawall/internal/document"
)

// Facts are what a credential says about itself and what is no secret: what kind
// it is, where it is good, and as whom. Markers keep them, so that a snapshot
// tells where a Secret leads.
type Facts struct {
	// Kind is kubeconfig, argocd, token, google or registry.
	Kind string
	// Server is the API server that it is for: scheme, host and port.
	Server string
	// CA is the fingerprint of the authority that the server is known by.
	CA string
	// Auth is how a kubeconfig signs in: certificate, token, basic, exec, role.
	Auth string
	// Name is the common name of a certificate, the subject of a token of a
	// service account, the e-mail address of a Google service account, or the ARN
	// of a role.
	Name string
	// Groups are the organizations of a certificate, sorted.
	Groups []string
	// Issuer is that of a token.
	Issuer string
	// Hosts are the registries that it is for, sorted.
	Hosts []string
}

// FactsOf reads the facts of a value of a Secret: of the value itself, as it
// stands in data or stringData, or of the marker that replaced it.
func FactsOf(text string, inData bool) (Facts, bool) {
	if IsMarker(text) {
		return unmarked(text)
	}
	value := []byte(text)
	if inData {
		value = decoded(text)
	}
	return read(value)
}

// factForm is one fact of a marker.
const factForm = `( (is|server|ca|auth|name|issuer|group|host)=[A-Za-z0-9%._~+-]+)`

// maxFact is how many bytes a fact may have in a marker, and maxFacts how many of
// one name there may be.
const (
	maxFact  = 512
	maxFacts = 16
)

// fields are the facts by the names that markers have for them.
func (f *Facts) fields() []struct {
	name  string
	value *string
} {
	return []struct {
		name  string
		value *string
	}{
		{"is", &f.Kind}, {"server", &f.Server}, {"ca", &f.CA}, {"auth", &f.Auth}, {"name", &f.Name}, {"issuer", &f.Issuer},
	}
}

// marked appends the facts to a marker. One that is too long is left out.
func (f Facts) marked(marker string) string {
	add := func(name, value string) {
		if value = url.QueryEscape(value); value != "" && len(value) <= maxFact {
			marker += " " + name + "=" + value
		}
	}
	for _, field := range f.fields() {
		add(field.name, *field.value)
	}
	for _, g := range f.Groups[:min(len(f.Groups), maxFacts)] {
		add("group", g)
	}
	for _, h := range f.Hosts[:min(len(f.Hosts), maxFacts)] {
		add("host", h)
	}
	return marker
}

func unmarked(text string) (Facts, bool) {
	var f Facts
	fields := f.fields()
	for word := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(word, "=")
		value, err := url.QueryUnescape(value)
		if err != nil {
			continue
		}
		switch name {
		case "group":
			f.Groups = append(f.Groups, value)
		case "host":
			f.Hosts = append(f.Hosts, value)
		default:
			for _, field := range fields {
				if field.name == name {
					*field.value = value
				}
			}
		}
	}
	return f, f.Kind != ""
}

// maxRead is how many bytes of a value are looked at: credentials are small.
const maxRead = 256 << 10

// read finds out what a value is.
func read(value []byte) (Facts, bool) {
	value = bytes.TrimSpace(value)
	switch {
	case len(value) == 0 || len(value) > maxRead:
		return Facts{}, false
	case bytes.Contains(value, []byte("clusters")) && bytes.Contains(value, []byte("Config")):
		return kubeconfig(value)
	case bytes.Contains(value, []byte(`"service_account"`)) && bytes.Contains(value, []byte(`"client_email"`)):
		return google(value)
	case bytes.HasPrefix(value, []byte("{")) && (bytes.Contains(value, []byte(`"auths"`)) || bytes.Contains(value, []byte(`"auth"`))):
		return registries(value)
	case bytes.HasPrefix(value, []byte("eyJ")):
		return token(value)
	}
	return Facts{}, false
}

// limits bound what reading one value may cost.
var limits = document.Limits{Bytes: maxRead, Depth: 32, Nodes: 20_000}

// kubeconfig reads the current context of a kubeconfig, or its first.
func kubeconfig(value []byte) (Facts, bool) {
	docs := document.Parse(value, limits)
	if len(docs) == 0 || docs[0].Err != nil {
		return Facts{}, false
	}
	root := docs[0].Root
	if root.Get("kind").Str() != "Config" || root.Get("clusters").Len() == 0 {
		return Facts{}, false
	}
	context := named(root.Get("contexts"), root.Get("current-context").Str()).Get("context")
	cluster := named(root.Get("clusters"), context.Get("cluster").Str()).Get("cluster")
	user := named(root.Get("users"), context.Get("user").Str()).Get("user")
	f := Facts{Kind: "kubeconfig", Server: origin(cluster.Get("server").Str())}
	if data, err := base64.StdEncoding.DecodeString(cluster.Get("certificate-authority-data").Str()); err == nil {
		f.CA = Authority(data)
	}
	f.identity(user.Get("client-certificate-data").Str(), user.Get("token").Str())
	switch {
	case f.Auth != "":
	case user.Get("exec") != nil, user.Get("auth-provider") != nil:
		f.Auth = "exec"
	case user.Get("username") != nil:
		f.Auth = "basic"
	case user.Get("tokenFile") != nil:
		f.Auth = "token"
	case user.Get("client-certificate") != nil:
		f.Auth = "certificate"
	}
	return f, f.Server != ""
}

// named finds an entry of one of a kubeconfig's lists, the first without a name.
func named(list *document.Node, name string) *document.Node {
	for _, n := range list.List() {
		if name == "" || n.Get("name").Str() == name {
			return n
		}
	}
	return nil
}

// identity reads as whom a certificate, in base64, or else a token signs in.
func (f *Facts) identity(certificate, bearer string) {
	if data, err := base64.StdEncoding.DecodeString(certificate); err == nil && len(data) > 0 {
		f.Auth = "certificate"
		if c := firstCertificate(data); c != nil {
			f.Name, f.Groups = c.Subject.CommonName, slices.Sorted(slices.Values(c.Subject.Organization))
		}
		return
	}
	if bearer != "" {
		f.Auth = "token"
		if t, ok := token([]byte(bearer)); ok {
			f.Name, f.Issuer = t.Name, t.Issuer
		}
	}
}

func firstCertificate(data []byte) *x509.Certificate {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil
		}
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil
			}
			return c
		}
		data = rest
	}
}

// Authority returns the fingerprint of the first certificate of a PEM text: half
// of its SHA-256 in hexadecimal digits, empty where there is none. Certificates of
// authorities are public.
func Authority(text []byte) string {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return ""
		}
		if block.Type == "CERTIFICATE" {
			sum := sha256.Sum256(block.Bytes)
			return hex.EncodeToString(sum[:16])
		}
		text = rest
	}
}

// origin is the scheme, host and port of an address: what else it may hold can be
// secret.
func origin(address string) string {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

var jwtForm = regexp.MustCompile(`^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

// token reads who issued a token and, of a service account's, whose it is. Other
// subjects may be people.
func token(value []byte) (Facts, bool) {
	if !jwtForm.Match(value) {
		return Facts{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(value), ".")[1])
	if err != nil {
		return Facts{}, false
	}
	var claims struct{ Iss, Sub string }
	if json.Unmarshal(payload, &claims) != nil {
		return Facts{}, false
	}
	f := Facts{Kind: "token", Issuer: claims.Iss}
	if strings.Contains(claims.Iss, "://") {
		f.Issuer = issuer(claims.Iss)
	}
	if strings.HasPrefix(claims.Sub, "system:serviceaccount:") {
		f.Name = claims.Sub
	}
	return f, true
}

// issuer is the address of an issuer without what may be secret in an address. Its
// path tells clusters apart.
func issuer(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

func google(value []byte) (Facts, bool) {
	var key struct {
		Email string `json:"client_email"`
	}
	if json.Unmarshal(value, &key) != nil || key.Email == "" {
		return Facts{}, false
	}
	return Facts{Kind: "google", Name: key.Email}, true
}

// registries reads the hosts of a .dockerconfigjson or .dockercfg.
func registries(value []byte) (Facts, bool) {
	root, err := document.ParseJSON(value, limits)
	if err != nil {
		return Facts{}, false
	}
	auths := root.Get("auths")
	if auths == nil {
		auths = root
	}
	f := Facts{Kind: "registry"}
	for _, entry := range auths.Map() {
		if entry.Value.Kind() != document.Map {
			return Facts{}, false
		}
		host := strings.TrimPrefix(strings.TrimPrefix(entry.Key, "https://"), "http://")
		host, _, _ = strings.Cut(host, "/")
		if _, after, ok := strings.Cut(host, "@"); ok {
			host = after
		}
		if host == "index.docker.io" || host == "registry-1.docker.io" {
			host = "docker.io"
		}
		f.Hosts = append(f.Hosts, strings.ToLower(host))
	}
	slices.Sort(f.Hosts)
	f.Hosts = slices.Compact(f.Hosts)
	return f, len(f.Hosts) > 0
}

// argoCluster is the label of the Secrets in which Argo CD keeps clusters.
const argoCluster = "argocd.argoproj.io/secret-type"

// IsArgoCluster says that a Secret is one in which Argo CD keeps a cluster.
func IsArgoCluster(secret *document.Node) bool {
	return secret.At("metadata", "labels", argoCluster).Str() == "cluster"
}

// ArgoFacts reads one value of such a Secret: its server, or its config.
func ArgoFacts(key, text string, inData bool) (Facts, bool) {
	if IsMarker(text) {
		return unmarked(text)
	}
	value := []byte(text)
	if inData {
		value = decoded(text)
	}
	return argo(key, value)
}

func argo(key string, value []byte) (Facts, bool) {
	switch key {
	case "server":
		server := origin(string(value))
		return Facts{Kind: "argocd", Server: server}, server != ""
	case "config":
	default:
		return Facts{}, false
	}
	root, err := document.ParseJSON(value, limits)
	if err != nil {
		return Facts{}, false
	}
	f := Facts{Kind: "argocd"}
	tls := root.Get("tlsClientConfig")
	if data, err := base64.StdEncoding.DecodeString(tls.Get("caData").Str()); err == nil {
		f.CA = Authority(data)
	}
	f.identity(tls.Get("certData").Str(), root.Get("bearerToken").Str())
	switch role := root.At("awsAuthConfig", "roleARN").Str(); {
	case f.Auth != "":
	case role != "":
		f.Auth, f.Name = "role", role
	case root.Get("awsAuthConfig") != nil, root.Get("execProviderConfig") != nil:
		f.Auth = "exec"
	case root.Get("username") != nil:
		f.Auth = "basic"
	}
	return f, true
}
