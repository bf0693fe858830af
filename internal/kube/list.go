package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seawall.io/seawall/internal/cluster"
)

const (
	// pageItems is how many objects one answer may hold: what kubectl asks for.
	pageItems = "500"
	// maxPageBytes bounds one answer. etcd holds at most 1.5 MiB an object, so
	// that the largest honest page has 750 MiB.
	maxPageBytes = 1 << 30
	// maxContinued bounds how often a list goes on after its token expired,
	// which happens every five minutes with the default compaction of etcd.
	maxContinued = 20
	// pageTries is how often a page is asked for that broke off or met an error
	// of the server. client-go itself waits where the server says for how long.
	pageTries  = 3
	retryAfter = 300 * time.Millisecond
)

// listing is what came of listing one resource.
type listing struct {
	objects []*cluster.Object
	// broken says which items could not be read.
	broken []string
	err    error // why the list ended early
}

// list reads all objects of a resource: in one namespace, or everywhere if
// namespace is empty. What was read before an error stays.
//
// When the server has forgotten the state that a list began with (410
// Expired), it hands out a token to go on with what there is now: objects that
// came and went in between may be missed, the rest is not read twice. A server
// that hands out no token is asked once more from the start.
func (c *Client) list(ctx context.Context, red reader, r resource, namespace string, read func(objects int)) listing {
	var out listing
	token, restarted, continued := "", false, 0
	for {
		p, err := c.page(ctx, red, r, namespace, token)
		if token != "" && isExpired(err) {
			next := continueToken(err)
			switch {
			case next != "" && next != token && continued < maxContinued:
				token = next
				continued++
				continue
			case next == "" && !restarted:
				read(-len(out.objects))
				out, token, restarted = listing{}, "", true
				continue
			}
		}
		if err != nil {
			out.err = err
			return out
		}
		out.objects = append(out.objects, p.objects...)
		out.broken = append(out.broken, p.broken...)
		read(len(p.objects))
		if p.next == "" {
			return out
		}
		if p.next == token {
			out.err = malformed(errors.New("the server repeats its continue token"))
			return out
		}
		token = p.next
	}
}

// page reads one page of a list, with another try where that may help.
func (c *Client) page(ctx context.Context, red reader, r resource, namespace, token string) (page, error) {
	for try := 1; ; try++ {
		p, err := c.tryPage(ctx, red, r, namespace, token)
		if err == nil || try == pageTries || !mayPass(err) || ctx.Err() != nil {
			return p, err
		}
		if err := sleep(ctx, time.Duration(try)*retryAfter); err != nil {
			return page{}, err
		}
	}
}

func (c *Client) tryPage(ctx context.Context, red reader, r resource, namespace, token string) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request := c.rest.Get().AbsPath(r.path(namespace)).Param("limit", pageItems).
		SetHeader("Accept", "application/json")
	if token != "" {
		request = request.Param("continue", token)
	}
	body, err := request.Stream(ctx)
	if err != nil {
		return page{}, answered(ctx, err)
	}
	defer body.Close() //nolint:errcheck // all was read that is wanted
	limited := &io.LimitedReader{R: body, N: maxPageBytes}
	p, err := red.page(limited, r)
	if limited.N <= 0 {
		return page{}, malformed(fmt.Errorf("a page of more than %d bytes", maxPageBytes))
	}
	return p, answered(ctx, err)
}

// get reads one small answer of the server and its content type.
func (c *Client) get(ctx context.Context, path, accept string) (text []byte, contentType string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	result := c.rest.Get().AbsPath(path).SetHeader("Accept", accept).Do(ctx).ContentType(&contentType)
	if err := result.Error(); err != nil {
		return nil, "", answered(ctx, err)
	}
	text, err = result.Raw()
	return text, contentType, answered(ctx, err)
}

// answered makes a timeout known as such: some transports hide it.
func answered(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

func isExpired(err error) bool {
	return err != nil && (apierrors.IsResourceExpired(err) || apierrors.IsGone(err))
}

// continueToken returns the token that comes with a 410 Expired.
func continueToken(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return ""
	}
	return status.Status().Continue
}

// mayPass says that an error may be gone at the next try: the connection broke
// or the server stumbled (etcd elects a leader). Timeouts are not tried again:
// they cost a minute each.
func mayPass(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code >= http.StatusInternalServerError && status.Status().Code != http.StatusNotImplemented
	}
	return isBroken(err)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
