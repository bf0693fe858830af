package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/advisory"
)

func newDB(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Build, update and look at the vulnerability database",
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDBBuild(env), newDBStatus(env), newDBUpdate(env))
	return cmd
}

// database returns the name of the database: the flag's, else the one in the
// user's cache folder.
func database(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	return cacheDir("seawall.db")
}

func newDBBuild(env *Env) *cobra.Command {
	var file, signKey string
	var noProse bool
	cmd := &cobra.Command{
		Use:   "build FEED...",
		Short: "Build the database from feeds in files and folders",
		Long: `Build the database from feeds in files and folders.

A FEED is a file or folder with OSV records (zip, JSON, JSON lines), the tracker of
Debian, secdb of Alpine, Wolfi or Chainguard, CSAF or VEX of Red Hat, CISA's KEV, EPSS,
severities of CVEs, or ends of life; each is told by its content, and may be compressed by
gzip or zstd. NAME=FEED gives it a name. A feed that cannot be read is a gap that the
database and every report that rests on it name; the rest is built.

No network is used. What is built is one file, which any number of scans may read at the
same time, and which replaces an older one as a whole.`,
		Example: `  seawall db build -o seawall.db osv/Go/all.zip osv/npm/all.zip debian=tracker.json kev.json epss.csv.gz
  seawall db build --sign-key ci.key -o seawall.db feeds/`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("name the feeds: files or folders")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := database(file)
			if err != nil {
				return err
			}
			built, err := epoch(env)
			if err != nil {
				return err
			}
			o := advisory.Options{Built: built, NoProse: noProse}
			if signKey != "" {
				text, err := os.ReadFile(signKey)
				if err != nil {
					return fmt.Errorf("reading the key: %w", err)
				}
				if o.Key, err = advisory.ParsePrivateKey(text); err != nil {
					return fmt.Errorf("%s: %w", signKey, err)
				}
			}
			inputs := make([]advisory.Input, len(args))
			for i, arg := range args {
				inputs[i] = feed(arg)
			}
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // it holds nothing secret
				return fmt.Errorf("writing %s: %w", name, err)
			}
			s, err := advisory.Build(cmd.Context(), inputs, name, o)
			if err != nil {
				return err //nolint:wrapcheck // it names what it was doing
			}
			return tellStatus(env.Stdout, &s, env.Now(), "table")
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "output", "o", "", "file to write (default: seawall.db in the user's cache folder)")
	f.StringVar(&signKey, "sign-key", "", "Ed25519 private key (PKCS #8, PEM) to sign the database with")
	f.BoolVar(&noProse, "no-prose", false, "leave out summaries and references, which are most of the file")
	return cmd
}

// feed reads NAME=PATH or PATH. A path with a = in it that exists is a path.
func feed(arg string) advisory.Input {
	if name, path, ok := strings.Cut(arg, "="); ok && !exists(arg) {
		return advisory.Input{Name: name, Path: path}
	}
	in := advisory.Input{Path: arg}
	if info, err := os.Stat(arg); err == nil {
		in.Modified = info.ModTime()
	}
	return in
}

func newDBStatus(env *Env) *cobra.Command {
	var file, format string
	var keyFiles []string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what the database holds, how old it is and what it lacks",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			name, err := database(file)
			if err != nil {
				return err
			}
			keys, err := readPublicKeys(keyFiles)
			if err != nil {
				return err
			}
			db, err := advisory.Open(name, keys...)
			if err != nil {
				return fmt.Errorf("the vulnerability database: %w", err)
			}
			defer db.Close() //nolint:errcheck // it was only read
			s := db.Status()
			return tellStatus(env.Stdout, &s, env.Now(), format)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "db", "", "the database (default: seawall.db in the user's cache folder)")
	f.StringSliceVar(&keyFiles, "db-key", nil, "file with public keys (PEM), one of which must have signed it (repeatable)")
	f.StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

// tellStatus writes what a database says of itself.
func tellStatus(w io.Writer, s *advisory.Status, now time.Time, format string) error {
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(s); err != nil {
			return fmt.Errorf("writing the status: %w", err)
		}
		return nil
	case "table":
	default:
		return fmt.Errorf("--output %q: want table or json", format)
	}
	signed := "unsigned"
	switch {
	case s.Verified:
		signed = "signed by the key " + s.KeyID + ", which was verified"
	case s.KeyID != "":
		signed = "signed by the key " + s.KeyID + ", which was not verified: name it with --db-key"
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("File\t%s", filepath.ToSlash(s.Path))
	line("Built\t%s, %d days ago", s.Built.UTC().Format(time.RFC3339), int(s.Age(now).Hours()/24))
	line("Size\t%.1f MB, of which matching needs %.1f MB", float64(s.Size)/1e6, float64(s.Match)/1e6)
	line("Trust\t%s", signed)
	line("")
	line("SOURCE\tRECORDS\tOF\tLEFT OUT")
	for _, src := range s.Sources {
		left := 0
		for _, l := range src.LeftOut {
			left += l.Count
		}
		of := "-"
		if !src.Modified.IsZero() {
			of = src.Modified.UTC().Format(time.DateOnly)
		}
		line("%s\t%d\t%s\t%d", src.Name, src.Records, of, left)
	}
	line("")
	line("ECOSYSTEM\tADVISORIES")
	for _, name := range slices.Sorted(maps.Keys(s.Ecosystems)) {
		line("%s\t%d", name, s.Ecosystems[name])
	}
	for i, g := range s.Gaps {
		if i == 0 {
			line("")
			line("GAP\tREASON")
		}
		line("%s\t%s", g.Source, g.Reason)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(t, b.String()); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	return nil
}

func newDBUpdate(env *Env) *cobra.Command {
	var file, from, format string
	var keys, feeds []string
	var unsigned, older bool
	cmd := &cobra.Command{
		Use:   "update",
		Short: "Put a newer database into place",
		Long: `Put a newer database into place.

With --from it is a database that somebody built, at an address, a mirror or in a file.
Only sections that changed are loaded, and the signature is verified. Addresses need https.

Without it the feeds are fetched from their official addresses and the database is built
from them. Feeds that did not change are not loaded again; one that cannot be had is a gap
that the database names. --feed chooses among them.

What is cut off goes on where it stopped. The database in place holds until the new one is
complete. The proxy of the environment is used.`,
		Example: `  seawall db update
  seawall db update --feed osv-npm --feed debian-tracker --feed kev
  seawall db update --from https://mirror.example.com/seawall.db --db-key mirror.pub
  seawall db update --from /media/usb/seawall.db --unsigned`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return fmt.Errorf("--output %q: want table or json", format)
			}
			name, err := database(file)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // it holds nothing secret
				return fmt.Errorf("writing %s: %w", name, err)
			}
			if from == "" {
				return buildFromFeeds(cmd.Context(), env, name, feeds, format)
			}
			o := advisory.UpdateOptions{Unsigned: unsigned, Older: older}
			if o.Keys, err = readPublicKeys(keys); err != nil {
				return err
			}
			u, err := advisory.Update(cmd.Context(), from, name, o)
			if err != nil {
				return fmt.Errorf("updating %s: %w", name, err)
			}
			return tellUpdate(env.Stdout, name, &u, format)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "db", "", "the database to replace (default: seawall.db in the user's cache folder)")
	f.StringVar(&from, "from", "", "address or file of a database (default: build it from the feeds' official addresses)")
	f.StringSliceVar(&feeds, "feed", nil, "fetch this feed only, such as osv-npm (repeatable); a wrong name lists them all")
	f.StringSliceVar(&keys, "db-key", nil, "public key (PEM), one of which must have signed the database of --from (repeatable)")
	f.BoolVar(&unsigned, "unsigned", false, "accept a database that no key of --db-key signed, when there is none")
	f.BoolVar(&older, "older", false, "accept a database that is older than the one in place")
	f.StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

func feedNames() []string {
	var out []string
	for _, f := range advisory.Feeds() {
		out = append(out, f.Name)
	}
	return out
}

// buildFromFeeds fetches feeds and builds a database from them. Where none can be
// had, the database in place stays.
func buildFromFeeds(ctx context.Context, env *Env, name string, only []string, format string) error {
	feeds := advisory.Feeds()
	for _, want := range only {
		if !slices.ContainsFunc(feeds, func(f advisory.Feed) bool { return f.Name == want }) {
			return fmt.Errorf("--feed %q: there are %s", want, strings.Join(feedNames(), ", "))
		}
	}
	if len(only) > 0 {
		feeds = slices.DeleteFunc(feeds, func(f advisory.Feed) bool { return !slices.Contains(only, f.Name) })
	}
	folder := filepath.Join(filepath.Dir(name), "feeds")
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // it holds nothing secret
		return fmt.Errorf("fetching feeds: %w", err)
	}
	inputs, err := advisory.Fetch(ctx, feeds, folder, advisory.Transfer{})
	if err != nil {
		return fmt.Errorf("fetching feeds: %w", err)
	}
	if !slices.ContainsFunc(inputs, func(in advisory.Input) bool { return in.Missing == "" }) {
		return fmt.Errorf("none of %d feeds can be had, and the database stays as it is: %s: %s", len(inputs), inputs[0].Name, inputs[0].Missing)
	}
	built, err := epoch(env)
	if err != nil {
		return err
	}
	s, err := advisory.Build(ctx, inputs, name, advisory.Options{Built: built})
	if err != nil {
		return err //nolint:wrapcheck // it names what it was doing
	}
	return tellStatus(env.Stdout, &s, env.Now(), format)
}

// tellUpdate says what an update did.
func tellUpdate(w io.Writer, name string, u *advisory.Updated, format string) error {
	if format == "json" {
		if err := json.NewEncoder(w).Encode(u); err != nil {
			return fmt.Errorf("writing the result: %w", err)
		}
		return nil
	}
	what := fmt.Sprintf("is of %s now: %.1f MB loaded, %.1f MB kept", u.Built.UTC().Format(time.RFC3339), float64(u.Loaded)/1e6, float64(u.Kept)/1e6)
	if u.Unchanged {
		what = "was up to date: it is of " + u.Built.UTC().Format(time.RFC3339)
	}
	if _, err := fmt.Fprintln(w, filepath.ToSlash(name), what); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
