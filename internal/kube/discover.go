package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seawall.io/seawall"
)

// resource is one collection of objects that the server can list.
type resource struct {
	group, version, name, kind string
	namespaced                 bool
}

// String names the resource as kubectl does: pods, deployments.apps.
func (r resource) String() string {
	if r.group == "" {
		return r.name
	}
	return r.name + "." + r.group
}

func (r resource) apiVersion() string { return groupVersion(r.group, r.version) }

// path is where the resource is listed: in all namespaces when namespace is
// empty or the resource has none.
func (r resource) path(namespace string) string {
	p := versionPath(r.group, r.version)
	if r.namespaced && namespace != "" {
		p += "/namespaces/" + url.PathEscape(namespace)
	}
	return p + "/" + r.name
}

func groupVersion(group, version string) string {
	if group == "" {
		return version
	}
	return group + "/" + version
}

func versionPath(group, version string) string {
	if group == "" {
		return "/api/" + version
	}
	return "/apis/" + group + "/" + version
}

// served is one version of one API group, and what it serves. The versions of
// a group follow one another, the one that the server prefers first.
type served struct {
	group, version string
	resources      []resource
	err            error // why resources is unknown
}

// discover finds the resources to list: every one that can be listed, in the
// version that the server prefers, but for the skipped ones. A group whose
// discovery fails (an APIService without a server behind it) is named as
// incomplete. err is set when nothing at all was found.
func (c *Client) discover(ctx context.Context) (found []resource, incomplete []seawall.Incomplete, err error) {
	var all []served
	for _, path := range [...]string{"/api", "/apis"} {
		part, partErr := c.discoverAt(ctx, path)
		if partErr != nil {
			err = partErr
			incomplete = append(incomplete, reason("discover %s: %s", path, describe(partErr)))
		}
		all = append(all, part...)
	}
	for _, s := range all {
		if s.err != nil && !isSkippedGroup(s.group) {
			incomplete = append(incomplete, reason("discover %s: %s", groupVersion(s.group, s.version), describe(s.err)))
		}
	}
	found = choose(all)
	if len(found) > 0 {
		err = nil
	} else if err == nil {
		err = fmt.Errorf("the server at %s serves no resources that can be listed: check that it is a Kubernetes API server", c.host)
	}
	return found, incomplete, err
}

// choose takes each resource once, in the first version that has it, and sorts
// them by group, version, kind and name.
func choose(all []served) []resource {
	type key struct{ group, name string }
	seen := make(map[key]bool)
	var out []resource
	for _, s := range all {
		for _, r := range s.resources {
			if k := (key{r.group, r.name}); !seen[k] && !isSkipped(r) {
				seen[k] = true
				out = append(out, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b resource) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.version, b.version),
			cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
	})
	return out
}

// acceptDiscovery asks for all of discovery in one answer (v2 since 1.30,
// v2beta1 since 1.27), and takes the older form, one answer a group, too.
const acceptDiscovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList," +
	"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList," +
	"application/json"

// discoverAt asks one of the two roots, /api and /apis.
func (c *Client) discoverAt(ctx context.Context, path string) ([]served, error) {
	text, contentType, err := c.get(ctx, path, acceptDiscovery)
	if err != nil {
		return nil, err
	}
	if strings.Contains(contentType, "g=apidiscovery.k8s.io") {
		return aggregated(text)
	}
	return c.unaggregated(ctx, path, text)
}

// aggregated reads an APIGroupDiscoveryList of apidiscovery.k8s.io, of which
// v2 and v2beta1 have these fields in common.
func aggregated(text []byte) ([]served, error) {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Versions []struct {
				Version   string
				Freshness string
				Resources []struct {
					Resource     string
					ResponseKind *struct{ Kind string }
					Scope        string
					Verbs        []string
				}
			}
		}
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, malformed(err)
	}
	var out []served
	for _, group := range list.Items {
		for _, v := range group.Versions {
			s := served{group: group.Metadata.Name, version: v.Version}
			if v.Freshness == "Stale" {
				s.err = errStale
			}
			for _, r := range v.Resources {
				if r.ResponseKind == nil || r.ResponseKind.Kind == "" || !slices.Contains(r.Verbs, "list") {
					continue
				}
				s.resources = append(s.resources, resource{
					group: s.group, version: s.version, name: r.Resource,
					kind: r.ResponseKind.Kind, namespaced: r.Scope == "Namespaced",
				})
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// unaggregated reads the answer of a server older than 1.26, or of one that
// has aggregation turned off, and asks each version of each group.
func (c *Client) unaggregated(ctx context.Context, path string, text []byte) ([]served, error) {
	var list struct {
		metav1.APIGroupList
		Versions []string // of /api
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, malformed(err)
	}
	var out []served
	for _, v := range list.Versions {
		out = append(out, c.serves(ctx, "", v))
	}
	for _, group := range list.Groups {
		preferred := group.PreferredVersion.Version
		if preferred != "" {
			out = append(out, c.serves(ctx, group.Name, preferred))
		}
		for _, v := range group.Versions {
			if v.Version != preferred {
				out = append(out, c.serves(ctx, group.Name, v.Version))
			}
		}
	}
	if len(out) == 0 && path == "/api" {
		return nil, malformed(fmt.Errorf("%s names no versions", path))
	}
	return out, ctx.Err()
}

// serves asks for the resources of one version of one group.
func (c *Client) serves(ctx context.Context, group, version string) served {
	s := served{group: group, version: version}
	if isSkippedGroup(group) {
		return s
	}
	text, _, err := c.get(ctx, versionPath(group, version), "application/json")
	if err != nil {
		s.err = err
		return s
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(text, &list); err != nil {
		s.err = malformed(err)
		return s
	}
	for i := range list.APIResources {
		r := &list.APIResources[i]
		if strings.Contains(r.Name, "/") || r.Kind == "" || !slices.Contains(r.Verbs, "list") {
			continue // a subresource, or one that cannot be listed
		}
		s.resources = append(s.resources, resource{
			group: group, version: version, name: r.Name, kind: r.Kind, namespaced: r.Namespaced,
		})
	}
	return s
}
