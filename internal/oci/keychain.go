package oci

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Credential is what a registry is shown. The zero value is nobody.
type Credential struct {
	Username, Password string
	// IdentityToken is exchanged for access by OAuth2, RegistryToken is shown as it
	// is.
	IdentityToken, RegistryToken string
}

// Keychain knows credentials.
type Keychain interface {
	// Credential returns what is to be shown for a repository, written with its
	// registry (docker.io/library/nginx), and nobody's where the keychain knows
	// none.
	Credential(ctx context.Context, repository string) (Credential, error)
}

// Keychains asks one keychain after the other, until one knows.
type Keychains []Keychain

// Credential implements Keychain.
func (k Keychains) Credential(ctx context.Context, repository string) (Credential, error) {
	for _, one := range k {
		if c, err := one.Credential(ctx, repository); err != nil || c != (Credential{}) {
			return c, err
		}
	}
	return Credential{}, nil
}

const (
	maxDockerConfig = 4 << 20
	helperTimeout   = 20 * time.Second
)

// dockerConfig is docker's config.json, or a Kubernetes secret of type
// kubernetes.io/dockerconfigjson.
type dockerConfig struct {
	auths   map[string]Credential // by registry or repository, normalised
	helpers map[string]string     // by registry
	store   string                // the helper for all others
	run     func(ctx context.Context, helper, server string) ([]byte, error)
}

// DockerConfig reads docker's configuration from a file; without one from
// $DOCKER_CONFIG, the home folder and, as podman does, $REGISTRY_AUTH_FILE and
// $XDG_RUNTIME_DIR. Where there is none, the keychain knows nobody. Credential
// helpers that it names are run, as docker does, for at most 20 seconds each.
func DockerConfig(file string) (Keychain, error) {
	candidates := []string{file}
	if file == "" {
		candidates = nil
		if f := os.Getenv("REGISTRY_AUTH_FILE"); f != "" {
			candidates = append(candidates, f)
		}
		if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
			candidates = append(candidates, filepath.Join(dir, "config.json"))
		} else if home, err := os.UserHomeDir(); err == nil {
			candidates = append(candidates, filepath.Join(home, ".docker", "config.json"))
		}
		if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
			candidates = append(candidates, filepath.Join(dir, "containers", "auth.json"))
		}
	}
	var chain Keychains
	for _, name := range candidates {
		data, err := readWhole(name, maxDockerConfig)
		if errors.Is(err, fs.ErrNotExist) && file == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := parseDockerConfig(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.run = runHelper
		chain = append(chain, c)
	}
	return chain, nil
}

// DockerConfigJSON reads the content of an image pull secret: .dockerconfigjson,
// or .dockercfg of old. Credential helpers that it names are not run, since
// whoever may write a secret may not run programs here.
func DockerConfigJSON(data []byte) (Keychain, error) { return parseDockerConfig(data) }

func readWhole(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the user, or the user's environment, names it
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", name, limit, ErrLimit)
	}
	return data, nil
}

func parseDockerConfig(data []byte) (*dockerConfig, error) {
	type entry struct {
		Username, Password, Auth, IdentityToken, RegistryToken string
	}
	var file struct {
		Auths       map[string]entry  `json:"auths"`
		CredHelpers map[string]string `json:"credHelpers"`
		CredsStore  string            `json:"credsStore"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, errors.New("the docker configuration is not as it should be") // the error could quote a password
	}
	if file.Auths == nil {
		// .dockercfg is the map alone.
		if json.Unmarshal(data, &file.Auths) != nil {
			file.Auths = nil
		}
	}
	c := &dockerConfig{auths: map[string]Credential{}, helpers: map[string]string{}, store: file.CredsStore}
	for key, e := range file.Auths {
		cred := Credential{e.Username, e.Password, e.IdentityToken, e.RegistryToken}
		if e.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(e.Auth)
			if err != nil {
				if plain, err = base64.RawStdEncoding.DecodeString(e.Auth); err != nil {
					return nil, fmt.Errorf("the docker configuration's auth of %q is not base64", key)
				}
			}
			user, password, _ := strings.Cut(string(bytes.TrimRight(plain, "\x00")), ":")
			cred.Username, cred.Password = user, password
		}
		if cred != (Credential{}) {
			c.auths[registryKey(key)] = cred
		}
	}
	for key, helper := range file.CredHelpers {
		c.helpers[registryKey(key)] = helper
	}
	return c, nil
}

// registryKey spells the key of an entry like the start of a repository:
// https://index.docker.io/v1/ is docker.io.
func registryKey(key string) string {
	if _, rest, found := strings.Cut(key, "://"); found {
		key = rest
	}
	key = strings.TrimSuffix(key, "/")
	for _, suffix := range []string{"/v1", "/v2"} {
		key = strings.TrimSuffix(key, suffix)
	}
	host, rest, nested := strings.Cut(key, "/")
	if host = strings.ToLower(host); host == "index.docker.io" || host == "registry-1.docker.io" {
		host = dockerHub
	}
	if nested {
		return host + "/" + rest
	}
	return host
}

// Credential implements Keychain: the entry that says most of the repository
// counts, also with * for parts of the host's name as the kubelet has it, and a
// helper only where no entry does.
func (c *dockerConfig) Credential(ctx context.Context, repository string) (Credential, error) {
	best, found := "", Credential{}
	for key, cred := range c.auths {
		if (len(key) > len(best) || len(key) == len(best) && key < best) && covers(key, repository) {
			best, found = key, cred
		}
	}
	if best != "" {
		return found, nil
	}
	host, _, _ := strings.Cut(repository, "/")
	helper := c.helpers[host]
	if helper == "" {
		helper = c.store
	}
	if helper == "" || c.run == nil {
		return Credential{}, nil
	}
	server := host
	if host == dockerHub {
		server = "https://index.docker.io/v1/"
	}
	out, err := c.run(ctx, helper, server)
	if err != nil {
		return Credential{}, fmt.Errorf("credentials for %s: %w", host, err)
	}
	return parseHelped(out, host)
}

// covers says whether an entry is for the repository.
func covers(key, repository string) bool {
	host, prefix, _ := strings.Cut(key, "/")
	have, rest, _ := strings.Cut(repository, "/")
	if prefix != "" && rest != prefix && !strings.HasPrefix(rest, prefix+"/") {
		return false
	}
	if !strings.Contains(host, "*") {
		return host == have
	}
	patterns, labels := strings.Split(host, "."), strings.Split(have, ".")
	if len(patterns) != len(labels) {
		return false
	}
	for i := range patterns {
		if ok, err := path.Match(patterns[i], labels[i]); !ok || err != nil {
			return false
		}
	}
	return true
}

// parseHelped reads what a credential helper prints.
func parseHelped(out []byte, host string) (Credential, error) {
	if len(out) == 0 {
		return Credential{}, nil
	}
	var got struct{ Username, Secret string }
	if err := json.Unmarshal(out, &got); err != nil {
		return Credential{}, fmt.Errorf("the credential helper's answer for %s is not as it should be", host)
	}
	if got.Username == "<token>" {
		return Credential{IdentityToken: got.Secret}, nil
	}
	return Credential{Username: got.Username, Password: got.Secret}, nil
}

// runHelper runs docker-credential-HELPER, which the user's own configuration
// names. It returns nothing if the helper knows no credentials.
func runHelper(ctx context.Context, helper, server string) ([]byte, error) {
	if strings.Trim(helper, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return nil, fmt.Errorf("%q is no name of a credential helper", helper)
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-credential-"+helper, "get") //nolint:gosec // the user's configuration names it, and only this prefix is run
	cmd.Stdin = strings.NewReader(server)
	cmd.WaitDelay = time.Second
	out := &capped{limit: 1 << 20}
	cmd.Stdout = out
	err := cmd.Run()
	if err != nil && strings.Contains(out.String(), "credentials not found") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("docker-credential-%s: %w", helper, err)
	}
	return out.Bytes(), nil
}

// capped keeps the beginning of what is written to it.
type capped struct {
	bytes.Buffer
	limit int
}

func (c *capped) Write(p []byte) (int, error) {
	if room := c.limit - c.Len(); room < len(p) {
		return 0, fmt.Errorf("more than %d bytes: %w", c.limit, ErrLimit)
	}
	return c.Buffer.Write(p) //nolint:wrapcheck // a buffer does not fail
}

// hostOf returns the host of an address, or of a registry's name.
func hostOf(s string) string {
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		return u.Host
	}
	host, _, _ := strings.Cut(s, "/")
	return host
}
