package advisory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Transfer says how files are brought over the network. The zero value is good.
type Transfer struct {
	// Client is whose transport is used; nil is one that honours the proxies of
	// the environment.
	Client *http.Client
	// AllowHTTP lets files come without TLS from hosts other than this one.
	AllowHTTP bool
	// Attempts is how often a request is made before giving up, 5 if it is 0.
	Attempts int
	// Wait is how long to wait before the second attempt, doubled for each after
	// it; one second if it is 0.
	Wait time.Duration
	// Idle is how long nothing may arrive before a request is given up and made
	// again; 30 seconds if it is 0.
	Idle time.Duration
}

// errPermanent is in errors that another attempt would not mend.
var errPermanent = errors.New("the server refuses")

var errStalled = errors.New("nothing arrived for too long")

func (t *Transfer) attempts() int {
	if t.Attempts > 0 {
		return t.Attempts
	}
	return 5
}

func (t *Transfer) wait(ctx context.Context, attempt int) error {
	pause := t.Wait
	if pause == 0 {
		pause = time.Second
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause << min(attempt, 6)):
		return nil
	}
}

// client is the caller's with redirects checked.
func (t *Transfer) client() *http.Client {
	c := &http.Client{}
	if t.Client != nil {
		*c = *t.Client
	}
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return fmt.Errorf("%w: more than 10 redirects", errPermanent)
		}
		return t.allowed(r.URL)
	}
	return c
}

// allowed refuses what could be changed on its way.
func (t *Transfer) allowed(u *url.URL) error {
	switch u.Scheme {
	case "https":
		return nil
	case "http":
		host := u.Hostname()
		if ip := net.ParseIP(host); t.AllowHTTP || host == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
		return fmt.Errorf("%w: %s is not encrypted; use https, or allow http", errPermanent, u.Redacted())
	}
	return fmt.Errorf("%w: %s is neither https nor http", errPermanent, u.Redacted())
}

// get asks for a file from a place on, up to but not including to (-1: to its
// end). The body begins at the place that it returns, which is 0 where the
// server does not know ranges. header may hold conditions.
func (t *Transfer) get(ctx context.Context, address string, from, to int64, header http.Header) (*http.Response, int64, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errPermanent, err)
	}
	if err := t.allowed(u); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		cancel(nil)
		return nil, 0, fmt.Errorf("%w: %w", errPermanent, err)
	}
	maps.Copy(request.Header, header)
	request.Header.Set("Accept-Encoding", "identity") // places in a file are counted in its own bytes
	request.Header.Set("User-Agent", "seawall")
	if from > 0 || to >= 0 {
		last := ""
		if to >= 0 {
			last = strconv.FormatInt(to-1, 10)
		}
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%s", from, last))
	}
	idle := t.Idle
	if idle == 0 {
		idle = 30 * time.Second
	}
	timer := time.AfterFunc(idle, func() { cancel(errStalled) })
	response, err := t.client().Do(request)
	if err != nil {
		timer.Stop()
		cancel(nil)
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			err = cause
		}
		return nil, 0, err
	}
	response.Body = &body{response.Body, timer, idle, ctx, cancel}
	at, err := begin(response, from)
	if err != nil {
		response.Body.Close() //nolint:errcheck // the first error tells more
		return nil, 0, err
	}
	return response, at, nil
}

// begin tells at which place of the file a response's body begins.
func begin(r *http.Response, from int64) (int64, error) {
	switch {
	case r.StatusCode == http.StatusOK, r.StatusCode == http.StatusNotModified:
		return 0, nil
	case r.StatusCode == http.StatusPartialContent:
		if !strings.HasPrefix(r.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", from)) {
			return 0, fmt.Errorf("%w: asked for bytes from %d on, it sends %q", errPermanent, from, r.Header.Get("Content-Range"))
		}
		return from, nil
	case r.StatusCode >= 500, r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusRequestTimeout:
		return 0, fmt.Errorf("the server says %s", r.Status)
	}
	return 0, fmt.Errorf("%w: it says %s", errPermanent, r.Status)
}

// body ends a request when nothing arrives.
type body struct {
	io.ReadCloser

	timer  *time.Timer
	idle   time.Duration
	ctx    context.Context //nolint:containedctx // that of the request
	cancel context.CancelCauseFunc
}

func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.idle)
	n, err := b.ReadCloser.Read(p)
	if cause := context.Cause(b.ctx); err != nil && errors.Is(cause, errStalled) {
		err = cause
	}
	return n, err
}

func (b *body) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
