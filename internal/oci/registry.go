package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	dockerHub = "docker.io"
	userAgent = "seawall"
	// attempts is how often a request is sent that the registry or the way to it
	// answers badly; resumes how often a blob is continued without a byte more.
	attempts = 4
	resumes  = 4
	// stall is how long a registry may send nothing.
	stall = time.Minute
	// patience bounds what a registry may ask a client to wait.
	patience = 30 * time.Second
)

// ErrDenied is wrapped where a registry wants other credentials. Registries often
// say so of repositories that do not exist.
var ErrDenied = errors.New("access denied")

// Registry says how registries are asked.
type Registry struct {
	// Keychain knows credentials; without one all is asked for without.
	Keychain Keychain
	// Mirrors are asked before a registry, in order: docker.io to mirror.gcr.io or
	// to harbor.example.com/proxy. What a mirror serves is verified by its digest,
	// but for tags a mirror's word is taken.
	Mirrors map[string][]string
	// Insecure lists the registries, host or host:port, that may be spoken to
	// without TLS or with certificates that nobody vouches for. Registries on this
	// machine's loopback addresses always may.
	Insecure []string
	// RootCAs vouch for registries, the system's if nil.
	RootCAs *x509.CertPool

	// wait is slept before the second attempt, and doubled for each one more.
	wait time.Duration
}

// hub spells docker's own registry as users do.
func hub(registry string) string {
	if registry == name.DefaultRegistry {
		return dockerHub
	}
	return registry
}

// repository is one repository at a registry, and at its mirrors.
type repository struct {
	options Registry
	places  []*place // mirrors first
	limits  Limits
	idle    func()
}

// place is a repository at one address. The way to it is found when it is first
// needed.
type place struct {
	repo  name.Repository
	full  string // docker.io/library/nginx, for the keychain
	base  http.RoundTripper
	chain Keychain

	once   sync.Once
	client *http.Client
	err    error
}

func openRegistry(ctx context.Context, src Source, want *Platform, o Options) (*Image, error) {
	ref, err := name.ParseReference(src.Name)
	if err != nil {
		return nil, fmt.Errorf("the reference is not one: %w", err)
	}
	repo, err := newRepository(ref.Context(), o)
	if err != nil {
		return nil, err
	}
	raw, d, err := repo.manifest(ctx, ref.Identifier())
	if err != nil {
		repo.idle()
		return nil, err
	}
	r := resolver{content: repo, platform: want, limits: o.Limits}
	img, err := r.fromDocument(ctx, d, raw)
	if err != nil {
		repo.idle()
		return nil, err
	}
	img.Name = fullName(ref, src.Name)
	img.close = func() error { repo.idle(); return nil }
	return img, nil
}

// fullName is the repository with the tag, also where a digest decides.
func fullName(ref name.Reference, given string) string {
	full := hub(ref.Context().RegistryStr()) + "/" + ref.Context().RepositoryStr()
	if tag, ok := ref.(name.Tag); ok {
		return full + ":" + tag.TagStr()
	}
	given, _, _ = strings.Cut(given, "@")
	if i := strings.LastIndexByte(given, ':'); i > strings.LastIndexByte(given, '/') {
		return full + given[i:]
	}
	return full
}

func newRepository(repo name.Repository, o Options) (*repository, error) {
	r := &repository{options: o.Registry, limits: o.Limits}
	if r.options.wait == 0 {
		r.options.wait = 500 * time.Millisecond
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: stall,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   8,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{RootCAs: o.Registry.RootCAs, MinVersion: tls.VersionTLS12},
		// Blobs are compressed already, and their digests are of what is stored.
		DisableCompression: true,
	}
	lax := t.Clone()
	lax.TLSClientConfig.InsecureSkipVerify = true
	r.idle = func() { t.CloseIdleConnections(); lax.CloseIdleConnections() }
	g := &guard{strict: t, lax: lax, insecure: o.Registry.Insecure}
	registry := hub(repo.RegistryStr())
	for _, mirror := range append(slices.Clone(o.Registry.Mirrors[registry]), registry) {
		at := strings.TrimSuffix(mirror, "/") + "/" + repo.RepositoryStr()
		if _, rest, found := strings.Cut(at, "://"); found {
			at = rest
		}
		var options []name.Option
		if host := hostOf(at); g.mayBeInsecure(host) {
			options = append(options, name.Insecure)
		}
		there, err := name.NewRepository(at, options...)
		if err != nil {
			return nil, fmt.Errorf("mirror %q of %s: %w", mirror, registry, err)
		}
		full := hub(there.RegistryStr()) + "/" + there.RepositoryStr()
		r.places = append(r.places, &place{repo: there, full: full, base: g, chain: o.Registry.Keychain})
	}
	return r, nil
}

// guard keeps requests, and what registries redirect them to, from going
// unprotected over a network, or to the metadata services of clouds, which listen
// on link-local addresses.
type guard struct {
	strict, lax http.RoundTripper
	insecure    []string
}

func (g *guard) mayBeInsecure(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || err == nil && ip.IsLoopback() || slices.Contains(g.insecure, host) || slices.Contains(g.insecure, name)
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if ip, err := netip.ParseAddr(req.URL.Hostname()); err == nil && ip.Unmap().IsLinkLocalUnicast() {
		return nil, fmt.Errorf("%s is a link-local address, where no registry is", req.URL.Host)
	}
	if g.mayBeInsecure(req.URL.Host) {
		return g.lax.RoundTrip(req) //nolint:wrapcheck // http.Client wraps
	}
	if req.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s wants to be asked without TLS, which has to be allowed for it by name", req.URL.Host)
	}
	return g.strict.RoundTrip(req) //nolint:wrapcheck // http.Client wraps
}

// connect finds out how the registry wants to be spoken to.
func (p *place) connect(ctx context.Context) error {
	p.once.Do(func() {
		var cred Credential
		if p.chain != nil {
			if cred, p.err = p.chain.Credential(ctx, p.full); p.err != nil {
				return
			}
		}
		auth := authn.Anonymous
		if cred != (Credential{}) {
			auth = authn.FromConfig(authn.AuthConfig{
				Username: cred.Username, Password: cred.Password, IdentityToken: cred.IdentityToken, RegistryToken: cred.RegistryToken,
			})
		}
		var rt http.RoundTripper
		rt, p.err = transport.NewWithContext(ctx, p.repo.Registry, auth, transport.NewUserAgent(p.base, userAgent), []string{p.repo.Scope(transport.PullScope)})
		p.err = refused(p.err)
		p.client = &http.Client{Transport: rt, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) >= 5 {
				return errors.New("the registry redirects more than five times")
			}
			return nil
		}}
	})
	return p.err
}

// refused gives errors of the handshake the kind that callers ask for.
func refused(err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return err
}

// each asks the places in turn until one answers well.
func (r *repository) each(ctx context.Context, ask func(*place) error) error {
	var errs []error
	for _, p := range r.places {
		err := p.connect(ctx)
		if err == nil {
			err = ask(p)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err() //nolint:wrapcheck // the caller's own
		}
		errs = append(errs, fmt.Errorf("%s: %w", p.full, err))
	}
	// The registry itself comes last, and what it says counts: a mirror that has
	// nothing does not make an image missing.
	if len(errs) == 1 {
		return errs[0]
	}
	return fmt.Errorf("%w (before that: %w)", errs[len(errs)-1], withoutKind{errors.Join(errs[:len(errs)-1]...)})
}

// withoutKind is an error to be read and not to be asked for its kind.
type withoutKind struct{ err error }

func (w withoutKind) Error() string { return strings.ReplaceAll(w.err.Error(), "\n", "; ") }

// get sends a request until it is answered well, and returns the answer.
func (r *repository) get(ctx context.Context, p *place, path string, header http.Header) (*http.Response, error) {
	wait := r.options.wait
	for attempt := 1; ; attempt++ {
		resp, err := p.get(ctx, path, header)
		if err == nil && resp.StatusCode < 300 {
			return resp, nil
		}
		again := ctx.Err() == nil && attempt < attempts
		if err == nil {
			var retry time.Duration
			retry, err = answered(resp)
			again = again && retry >= 0
			wait = max(wait, retry)
		} else if p := new(*tls.CertificateVerificationError); errors.As(err, p) {
			again = false
		}
		if !again {
			return nil, err
		}
		if serr := sleep(ctx, wait); serr != nil {
			return nil, serr
		}
		wait = min(2*wait, patience)
	}
}

func (p *place) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	scheme := "https"
	if p.repo.Scheme() == "http" {
		scheme = "http" // the transport makes it https where the registry speaks that
	}
	address := scheme + "://" + p.repo.RegistryStr() + "/v2/" + p.repo.RepositoryStr() + "/" + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what is wrong
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	resp, err := p.client.Do(req)
	return resp, refused(err)
}

// answered turns an answer that is no success into an error, and says how long
// to wait before asking again: never, if negative.
func answered(resp *http.Response) (time.Duration, error) {
	defer resp.Body.Close() //nolint:errcheck // it was only read
	again := time.Duration(-1)
	var kind error
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound:
		kind = ErrNotFound
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		kind = ErrDenied
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		again = 0
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
			if again = time.Duration(s) * time.Second; again > patience {
				again = -1
			}
		}
	}
	// The transport reads the answer's body, up to a limit.
	err := transport.CheckError(resp, http.StatusOK)
	if err == nil {
		err = fmt.Errorf("the registry answers %s", resp.Status)
	}
	if kind != nil {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	return again, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
}

// manifest returns the manifest or index that a tag or digest names, verified
// where a digest does.
func (r *repository) manifest(ctx context.Context, identifier string) (raw []byte, d Descriptor, err error) {
	err = r.each(ctx, func(p *place) error {
		raw, d, err = r.manifestAt(ctx, p, identifier)
		return err
	})
	return raw, d, err
}

func (r *repository) manifestAt(ctx context.Context, p *place, identifier string) ([]byte, Descriptor, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	resp, err := r.get(ctx, p, "manifests/"+identifier, http.Header{"Accept": {
		typeIndex, typeManifest, typeDockerList, typeDockerManifest, "*/*",
	}})
	if err != nil {
		return nil, Descriptor{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	raw, err := io.ReadAll(io.LimitReader(resp.Body, r.limits.Manifest+1))
	if err != nil {
		return nil, Descriptor{}, fmt.Errorf("manifest %s: %w", identifier, err)
	}
	if int64(len(raw)) > r.limits.Manifest {
		return nil, Descriptor{}, fmt.Errorf("manifest %s has more than %d bytes: %w", identifier, r.limits.Manifest, ErrLimit)
	}
	mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	d := Descriptor{MediaType: strings.TrimSpace(mediaType), Digest: DigestOf(raw), Size: int64(len(raw))}
	if asked := Digest(identifier); strings.Contains(identifier, ":") {
		if err := asked.validate(); err != nil {
			return nil, Descriptor{}, err
		}
		if err := asked.verify(raw); err != nil {
			return nil, Descriptor{}, err
		}
		d.Digest = asked
	}
	return raw, d, nil
}

func (r *repository) blob(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	if isManifest(d.MediaType) || isIndex(d.MediaType) {
		raw, _, err := r.manifest(ctx, string(d.Digest))
		return io.NopCloser(strings.NewReader(string(raw))), err
	}
	var b *blobReader
	err := r.each(ctx, func(p *place) error {
		ctx, cancel := context.WithCancel(ctx)
		b = &blobReader{ctx: ctx, cancel: cancel, repo: r, place: p, digest: d.Digest, size: d.Size}
		err := b.request()
		if err != nil {
			cancel()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// blobReader reads a blob and, when the connection is cut, asks for the rest.
type blobReader struct {
	ctx    context.Context //nolint:containedctx // of the reader's life
	cancel context.CancelFunc
	repo   *repository
	place  *place
	digest Digest
	size   int64 // by the manifest
	offset int64
	idle   int // requests since the last byte came
	body   io.ReadCloser
	watch  *time.Timer
}

// request asks for what is missing.
func (b *blobReader) request() error {
	header := http.Header{}
	if b.offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", b.offset))
	}
	resp, err := b.repo.get(b.ctx, b.place, "blobs/"+string(b.digest), header) //nolint:bodyclose // Close does
	if err != nil {
		return err
	}
	b.body = resp.Body
	if b.watch == nil {
		b.watch = time.AfterFunc(stall, b.cancel)
	}
	b.watch.Reset(stall)
	if b.offset == 0 {
		return nil
	}
	if resp.StatusCode == http.StatusPartialContent {
		if want := fmt.Sprintf("bytes %d-", b.offset); strings.HasPrefix(resp.Header.Get("Content-Range"), want) {
			return nil
		}
		b.body.Close() //nolint:errcheck // it is of no use
		return fmt.Errorf("%s: the registry sends another part than was asked for", b.digest)
	}
	// The registry starts again from the beginning.
	if n, err := io.CopyN(watched{b}, b.body, b.offset); err != nil {
		b.body.Close() //nolint:errcheck // it is of no use
		return fmt.Errorf("%s: cut again after %d bytes: %w", b.digest, n, err)
	}
	return nil
}

// watched discards, and keeps the watch from barking.
type watched struct{ b *blobReader }

func (w watched) Write(p []byte) (int, error) {
	w.b.watch.Reset(stall)
	return len(p), nil
}

func (b *blobReader) Read(p []byte) (int, error) {
	for {
		n, err := b.body.Read(p)
		if n > 0 {
			b.offset += int64(n)
			b.idle = 0
			b.watch.Reset(stall)
		}
		if err == nil || err == io.EOF && b.offset >= b.size { //nolint:errorlint // io.Reader promises it unwrapped
			return n, err
		}
		if n > 0 {
			return n, nil // what comes next will show again what is wrong
		}
		if err == io.EOF { //nolint:errorlint // as above
			err = io.ErrUnexpectedEOF
		}
		err = fmt.Errorf("%s: cut off after %d of %d bytes: %w", b.digest, b.offset, b.size, err)
		if b.idle++; b.idle > resumes || b.ctx.Err() != nil {
			return 0, err
		}
		b.body.Close() //nolint:errcheck // it is broken
		if serr := sleep(b.ctx, b.repo.options.wait<<b.idle); serr != nil {
			return 0, err
		}
		if rerr := b.request(); rerr != nil {
			b.body = io.NopCloser(strings.NewReader(""))
			b.idle = resumes
			return 0, fmt.Errorf("%w; then: %w", err, rerr)
		}
	}
}

func (b *blobReader) Close() error {
	b.watch.Stop()
	b.cancel()
	return b.body.Close() //nolint:wrapcheck // nothing to add
}
