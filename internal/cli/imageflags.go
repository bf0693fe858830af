package cli

import (
	"bufio"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/advisory"
	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/vuln/vex"
)

// imageFlags choose how images and source files are scanned.
type imageFlags struct {
	db        string
	dbKeys    []string
	platform  string
	images    bool
	pull      bool
	noSecrets bool
	noHistory bool
	verify    bool
	vex       []string
	malware   string
	cache     string
	noCache   bool
	mirrors   []string
	insecure  []string
	auth      []string
	offline   bool
	trust     trustFlags
}

func (i *imageFlags) register(f *pflag.FlagSet) {
	f.StringVar(&i.db, "db", "", "vulnerability database (default: seawall.db in the user's cache folder, as `seawall db update` leaves it)")
	f.StringSliceVar(&i.dbKeys, "db-key", nil, "file with public keys (PEM), one of which must have signed the database (repeatable)")
	f.StringVar(&i.platform, "platform", "", "platform of images, such as linux/arm64 (default: linux/amd64, else the first)")
	f.BoolVar(&i.images, "images", false, "scan the images that workloads run, too")
	f.BoolVar(&i.pull, "pull-secrets", false, "with --images: use the image pull secrets that workloads name (needs get on those Secrets)")
	f.BoolVar(&i.noSecrets, "no-secrets", false, "do not look for credentials in files of images and source trees")
	f.BoolVar(&i.noHistory, "no-history", false, "do not look for credentials in what git repositories keep of their past")
	f.BoolVar(&i.verify, "verify-files", false, "compare programs and libraries of images with the checksums of their packages")
	f.StringSliceVar(&i.vex, "vex", nil, "VEX document: OpenVEX, CSAF or CycloneDX (repeatable)")
	f.StringVar(&i.malware, "malware", "", "file with names or SHA-256 digests of unwanted programs, one a line, each with what it is")
	f.StringVar(&i.cache, "layer-cache", "", "folder that keeps what was read of layers (default: seawall/layers in the user's cache folder)")
	f.BoolVar(&i.noCache, "no-layer-cache", false, "keep nothing of the layers that are read")
	f.StringSliceVar(&i.mirrors, "registry-mirror", nil, "REGISTRY=MIRROR: ask the mirror first (repeatable)")
	f.StringSliceVar(&i.insecure, "insecure-registry", nil, "registry that may be spoken to without TLS (repeatable)")
	f.StringSliceVar(&i.auth, "registry-auth", nil, "file with credentials as in docker's config.json (repeatable; docker's own is read anyway)")
	i.trust.register(f)
	f.BoolVar(&i.offline, "offline", false, "use no network: registries are not asked; scanning files, archives and snapshots never uses any")
}

// cacheDir returns a folder of the user's cache.
func cacheDir(parts ...string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the user's cache folder: %w: set $HOME or $XDG_CACHE_HOME", err)
	}
	return filepath.Join(append([]string{dir, "seawall"}, parts...)...), nil
}

// opened is what a command lets go of when it is done.
type opened struct {
	db *advisory.DB
	// coverage says how far the database can be relied on.
	coverage *seawall.DatabaseCoverage
}

func (o *opened) close() {
	if o.db != nil {
		o.db.Close() //nolint:errcheck // it was only read
	}
}

// options turns the flags into what the service takes. The caller closes what
// was opened.
func (i *imageFlags) options(env *Env) (imagescan.Options, *opened, error) {
	o, open, err := i.withoutDatabase(env)
	if err != nil {
		return o, open, err
	}
	return o, open, i.openDatabase(env, &o, open)
}

// withoutDatabase is options for commands that ask no database.
func (i *imageFlags) withoutDatabase(env *Env) (imagescan.Options, *opened, error) {
	o := imagescan.Options{
		NoSecrets: i.noSecrets, NoHistory: i.noHistory, VerifyFiles: i.verify, Today: env.Now().UTC().Format(time.DateOnly),
		OCI: oci.Options{Platform: i.platform, Stdin: env.Stdin, Registry: oci.Registry{Insecure: i.insecure}},
	}
	open := &opened{}
	var err error
	if o.OCI.Registry.Keychain, err = i.keychain(); err != nil {
		return o, open, err
	}
	if o.OCI.Registry.Mirrors, err = mirrors(i.mirrors); err != nil {
		return o, open, err
	}
	if !i.noCache {
		if o.Cache = i.cache; o.Cache == "" {
			if o.Cache, err = cacheDir("layers"); err != nil {
				o.Cache = "" // scanning works without
			}
		}
	}
	if o.Malware, err = readMalware(i.malware); err != nil {
		return o, open, err
	}
	statements, err := readVEX(i.vex)
	if err != nil {
		return o, open, err
	}
	if len(statements) > 0 {
		o.Judge = func(r *imagescan.Result) { r.ApplyVEX(statements) }
	}
	o.Offline = i.offline
	if o.Trust, o.Bundles, err = i.trust.policy(); err != nil {
		return o, open, err
	}
	return o, open, nil
}

// openDatabase opens the vulnerability database. The one in the cache folder may
// be missing; one that was named may not.
func (i *imageFlags) openDatabase(env *Env, o *imagescan.Options, open *opened) error {
	name := i.db
	if name == "" {
		var err error
		if name, err = cacheDir("seawall.db"); err != nil {
			o.NoDatabase = err.Error()
			return nil
		}
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			o.NoDatabase = "there is no vulnerability database: run `seawall db update`, or name one with --db"
			return nil
		}
	}
	keys, err := readPublicKeys(i.dbKeys)
	if err != nil {
		return err
	}
	db, err := advisory.Open(name, keys...)
	if err != nil {
		return fmt.Errorf("the vulnerability database: %w", err)
	}
	open.db = db
	s := db.Status()
	open.coverage = databaseCoverage(&s, env.Now())
	if open.coverage.Records == 0 {
		o.NoDatabase = fmt.Sprintf("the vulnerability database %s is empty", name)
		return nil
	}
	o.Database = db
	return nil
}

func databaseCoverage(s *advisory.Status, now time.Time) *seawall.DatabaseCoverage {
	c := &seawall.DatabaseCoverage{
		File: filepath.ToSlash(s.Path), Built: s.Built.UTC().Format(time.RFC3339), AgeDays: max(int(s.Age(now).Hours()/24), 0), Signed: s.KeyID != "",
	}
	for _, n := range s.Ecosystems {
		c.Records += n
	}
	for _, g := range s.Gaps {
		c.Gaps = append(c.Gaps, g.Source+": "+g.Reason)
	}
	return c
}

// readPublicKeys reads the keys of databases that are trusted.
func readPublicKeys(files []string) ([]ed25519.PublicKey, error) {
	var all []ed25519.PublicKey
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the key: %w", err)
		}
		keys, err := advisory.ParsePublicKeys(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, keys...)
	}
	return all, nil
}

func (i *imageFlags) keychain() (oci.Keychain, error) {
	var all oci.Keychains
	for _, file := range i.auth {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading credentials of registries: %w", err)
		}
		k, err := oci.DockerConfigJSON(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, k)
	}
	own, err := oci.DockerConfig("")
	if err != nil {
		return nil, fmt.Errorf("credentials of registries: %w", err)
	}
	return append(all, own), nil
}

func mirrors(flags []string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, text := range flags {
		registry, mirror, ok := strings.Cut(text, "=")
		if !ok || registry == "" || mirror == "" {
			return nil, fmt.Errorf("--registry-mirror %q: want REGISTRY=MIRROR, such as docker.io=mirror.example.com", text)
		}
		out[registry] = append(out[registry], mirror)
	}
	return out, nil
}

func readVEX(files []string) ([]vex.Source, error) {
	var out []vex.Source
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading VEX: %w", err)
		}
		doc, err := vex.Parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, vex.Source{Name: filepath.ToSlash(file), Document: doc})
	}
	return out, nil
}

// readMalware reads a list of unwanted programs: a name or a SHA-256 digest,
// and after a space what it is. Lines that begin with # are comments.
func readMalware(file string) (image.Malware, error) {
	m := image.Malware{Names: map[string]string{}, SHA256: map[string]string{}}
	if file == "" {
		return m, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return m, fmt.Errorf("reading the list of malware: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		name, what, _ := strings.Cut(text, " ")
		if what = strings.TrimSpace(what); what == "" {
			what = "on the list " + filepath.ToSlash(file)
		}
		switch isDigest := len(name) == 64 && strings.Trim(strings.ToLower(name), "0123456789abcdef") == ""; {
		case isDigest:
			m.SHA256[strings.ToLower(name)] = what
		case strings.Contains(name, "/"):
			return m, fmt.Errorf("%s:%d: %q: want the name of a program without its folder, or a SHA-256 digest", file, n, name)
		default:
			m.Names[strings.ToLower(name)] = what
		}
	}
	if err := lines.Err(); err != nil {
		return m, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}
