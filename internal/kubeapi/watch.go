package kubeapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// Change is what a watch says of one object.
type Change[T any] struct {
	Object T
	Gone   bool
}

type meta struct {
	ResourceVersion string `json:"resourceVersion"`
	Continue        string `json:"continue"`
}

// maxObject bounds one line of a watch: etcd holds objects of 1.5 MiB, and JSON
// makes them larger.
const maxObject = 8 << 20

// follow lists a collection and then watches it, for as long as ctx lasts. Each
// time it has to list anew it calls synced with all that is there, so that what
// went away meanwhile is known. failed hears of each interruption, after which
// follow waits, 1 second at first and at most 30, and goes on.
func follow[T any](ctx context.Context, c *Client, path string, query url.Values, synced func([]T), changed func(Change[T]), failed func(error)) {
	wait := time.Second
	for ctx.Err() == nil {
		err := func() error {
			var all []T
			page := url.Values{"limit": {"500"}}
			maps.Copy(page, query)
			var version string
			for {
				var list struct {
					Metadata meta `json:"metadata"`
					Items    []T  `json:"items"`
				}
				if err := c.do(ctx, http.MethodGet, path, page, "", nil, &list); err != nil {
					return err
				}
				all = append(all, list.Items...)
				version = list.Metadata.ResourceVersion
				if list.Metadata.Continue == "" {
					break
				}
				page.Set("continue", list.Metadata.Continue)
			}
			synced(all)
			wait = time.Second
			for ctx.Err() == nil {
				var err error
				if version, err = watch(ctx, c, path, query, version, changed); err != nil {
					return err
				}
			}
			return nil
		}()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// watch reads one stream of changes until the server ends it, and returns the
// version to go on from.
func watch[T any](ctx context.Context, c *Client, path string, query url.Values, version string, changed func(Change[T])) (string, error) {
	q := url.Values{"watch": {"1"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {version}, "timeoutSeconds": {"300"}}
	maps.Copy(q, query)
	// The server ends the stream after five minutes; a connection that died in
	// between is given up a little later.
	ctx, cancel := context.WithTimeout(ctx, 330*time.Second)
	defer cancel()
	resp, err := c.open(ctx, http.MethodGet, path, q, "", nil)
	if err != nil {
		return version, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxObject)
	for lines.Scan() {
		var line struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return version, fmt.Errorf("reading the watch of %s: %w", path, err)
		}
		if line.Type == "ERROR" {
			var status Error
			if err := json.Unmarshal(line.Object, &status); err != nil || status.Code != http.StatusGone {
				return version, fmt.Errorf("the watch of %s: %w", path, &status)
			}
			return version, &status
		}
		var of struct {
			Metadata meta `json:"metadata"`
		}
		if err := json.Unmarshal(line.Object, &of); err != nil {
			return version, fmt.Errorf("reading the watch of %s: %w", path, err)
		}
		if line.Type != "BOOKMARK" {
			var object T
			if err := json.Unmarshal(line.Object, &object); err != nil {
				return version, fmt.Errorf("reading the watch of %s: %w", path, err)
			}
			changed(Change[T]{Object: object, Gone: line.Type == "DELETED"})
		}
		version = of.Metadata.ResourceVersion
	}
	if err := lines.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return version, fmt.Errorf("reading the watch of %s: %w", path, err)
	}
	return version, nil
}
