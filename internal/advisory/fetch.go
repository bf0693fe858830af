package advisory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Feed is a feed at its official address.
type Feed struct {
	// Name is a slug; the feed's file is called so, with the extension of the
	// address.
	Name string
	URL  string
	// Latest says that the address holds the name of the newest file beside it.
	Latest bool
	// Licence is that of the data, an SPDX expression, or words where there is none.
	Licence string
}

const (
	osvAddress    = "https://osv-vulnerabilities.storage.googleapis.com/"
	noLicence     = "none stated; identifiers and versions"
	variousOfOSV  = "of the records' own sources, see https://google.github.io/osv.dev/data/"
	licenceCCBY   = "CC-BY-4.0"
	licenceUbuntu = "CC-BY-SA-4.0"
	licenceCC0    = "CC0-1.0"
)

// Feeds lists the feeds that a full database is built from. Those of Debian,
// Alpine and Wolfi come from their makers, who are ahead of OSV's copies; of
// Ubuntu, whose licence asks for databases with it to be shared alike, and of
// the rest, from OSV.
func Feeds() []Feed {
	feeds := []Feed{
		{Name: "osv-go", URL: osvAddress + "Go/all.zip", Licence: licenceCCBY},
		{Name: "osv-npm", URL: osvAddress + "npm/all.zip", Licence: licenceCCBY},
		{Name: "osv-pypi", URL: osvAddress + "PyPI/all.zip", Licence: licenceCCBY},
		{Name: "osv-maven", URL: osvAddress + "Maven/all.zip", Licence: licenceCCBY},
		{Name: "osv-crates", URL: osvAddress + "crates.io/all.zip", Licence: licenceCC0 + " AND " + licenceCCBY},
		{Name: "osv-rubygems", URL: osvAddress + "RubyGems/all.zip", Licence: licenceCCBY},
		{Name: "osv-packagist", URL: osvAddress + "Packagist/all.zip", Licence: licenceCCBY},
		{Name: "osv-nuget", URL: osvAddress + "NuGet/all.zip", Licence: licenceCCBY},
		{Name: "osv-ubuntu", URL: osvAddress + "Ubuntu/all.zip", Licence: licenceUbuntu},
		{Name: "osv-almalinux", URL: osvAddress + "AlmaLinux/all.zip", Licence: "MIT"},
		{Name: "osv-rocky", URL: osvAddress + "Rocky%20Linux/all.zip", Licence: "BSD-3-Clause"},
		{Name: "osv-suse", URL: osvAddress + "SUSE/all.zip", Licence: licenceCCBY},
		{Name: "osv-opensuse", URL: osvAddress + "openSUSE/all.zip", Licence: licenceCCBY},
		{Name: "osv-azurelinux", URL: osvAddress + "Azure%20Linux/all.zip", Licence: variousOfOSV},
		{Name: "debian-tracker", URL: "https://security-tracker.debian.org/tracker/data/json", Licence: noLicence},
		{Name: "redhat-vex", URL: "https://security.access.redhat.com/data/csaf/v2/vex/archive_latest.txt", Latest: true, Licence: licenceCCBY},
		{Name: "wolfi", URL: "https://packages.wolfi.dev/os/security.json", Licence: noLicence},
		{Name: "chainguard", URL: "https://packages.cgr.dev/chainguard/security.json", Licence: noLicence},
		{Name: "kev", URL: "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json", Licence: licenceCC0},
		{Name: "epss", URL: "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz", Licence: "free with attribution to FIRST"},
	}
	for _, release := range []string{"v3.18", "v3.19", "v3.20", "v3.21", "v3.22", "v3.23", "edge"} {
		for _, repository := range []string{"main", "community"} {
			feeds = append(feeds, Feed{
				Name: "alpine-" + release + "-" + repository, Licence: noLicence,
				URL: "https://secdb.alpinelinux.org/" + release + "/" + repository + ".json",
			})
		}
	}
	for _, product := range []string{"debian", "ubuntu", "alpine-linux", "rhel", "almalinux", "rocky-linux", "amazon-linux", "oracle-linux", "fedora", "sles", "opensuse", "photon"} {
		feeds = append(feeds, Feed{Name: product, URL: "https://endoflife.date/api/" + product + ".json", Licence: "MIT"})
	}
	return feeds
}

// Fetch brings feeds into a folder, and returns an input for each of them: for
// what could not be had one that says so, so that the database will. A feed that
// did not change is not loaded again, and one that was cut off goes on where it
// was, if the server says that the file is still the same.
//
// An error is of the folder, or the context's.
func Fetch(ctx context.Context, feeds []Feed, folder string, t Transfer) ([]Input, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // feeds are public
		return nil, err
	}
	var inputs []Input
	for _, feed := range feeds {
		in := Input{Name: feed.Name, URL: feed.URL, Licence: feed.Licence}
		path, modified, err := t.feed(ctx, feed, folder)
		switch {
		case ctx.Err() != nil:
			return inputs, ctx.Err()
		case isLocal(err):
			return inputs, err
		case err != nil:
			in.Missing = "could not be fetched: " + err.Error()
		default:
			in.Path, in.Modified = path, modified
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

// feed brings one feed.
func (t *Transfer) feed(ctx context.Context, feed Feed, folder string) (path string, modified time.Time, err error) {
	address := feed.URL
	if feed.Latest {
		if address, err = t.latest(ctx, address); err != nil {
			return "", modified, err
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", modified, err
	}
	name := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	extension := ".json"
	if found := strings.Contains(name, "."); found {
		if extension = name[strings.LastIndexByte(name, '.'):]; extension == ".gz" || extension == ".zst" {
			extension = filepath.Ext(strings.TrimSuffix(name, extension)) + extension
		}
	}
	path = filepath.Join(folder, feed.Name+extension)
	modified, err = t.download(ctx, address, path)
	return path, modified, err
}

// latest reads the name of the newest file and returns its address.
func (t *Transfer) latest(ctx context.Context, address string) (string, error) {
	response, _, err := t.get(ctx, address, 0, -1, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(text))
	if name == "" || strings.ContainsAny(name, "/\\?#<> \n") {
		return "", fmt.Errorf("%s holds no name of a file: %.60q", address, name)
	}
	return url.JoinPath(address[:strings.LastIndexByte(address, '/')], name)
}

// validator is what a server said of a file, kept beside what is there of it.
type validator struct {
	URL      string `json:"url"`
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"` // Last-Modified
}

// strong is what says that a file is the same byte for byte; it is empty where
// the server gives nothing that does.
func (v *validator) strong() string {
	if v.ETag != "" && !strings.HasPrefix(v.ETag, "W/") {
		return v.ETag
	}
	return ""
}

// download brings a file into place.
func (t *Transfer) download(ctx context.Context, address, path string) (time.Time, error) {
	for attempt := 0; ; attempt++ {
		v, err := t.try(ctx, address, path)
		if err == nil {
			modified, err := http.ParseTime(v.Modified)
			if err != nil {
				modified = time.Time{}
			}
			return modified, nil
		}
		if errors.Is(err, errPermanent) || ctx.Err() != nil || isLocal(err) || attempt+1 >= t.attempts() {
			return time.Time{}, err
		}
		if err := t.wait(ctx, attempt); err != nil {
			return time.Time{}, err
		}
	}
}

// try makes one request for a file.
func (t *Transfer) try(ctx context.Context, address, path string) (v validator, err error) {
	part, notes := path+".part", path+".part.json"
	header := http.Header{}
	from := int64(0)
	if known, ok := readValidator(notes, address); ok && known.strong() != "" {
		if info, err := os.Stat(part); err == nil && info.Size() > 0 {
			from = info.Size()
			header.Set("If-Range", known.strong())
		}
	}
	if known, ok := readValidator(path+".etag", address); ok && from == 0 {
		if _, err := os.Stat(path); err == nil {
			if known.ETag != "" {
				header.Set("If-None-Match", known.ETag)
			} else if known.Modified != "" {
				header.Set("If-Modified-Since", known.Modified)
			}
			v = known
		}
	}
	response, at, err := t.get(ctx, address, from, -1, header)
	if err != nil {
		if from > 0 { // what is there may be what the server cannot go on from
			os.Remove(part) //nolint:errcheck // it is written anew
			if errors.Is(err, errPermanent) {
				err = fmt.Errorf("going on from byte %d: %v", from, err) //nolint:errorlint // not permanent: it may be had from the start
			}
		}
		return v, err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode == http.StatusNotModified {
		return v, nil
	}
	v = validator{address, response.Header.Get("ETag"), response.Header.Get("Last-Modified")}
	if err := writeValidator(notes, v); err != nil {
		return v, err
	}
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // feeds are public
	if err != nil {
		return v, err
	}
	defer f.Close() //nolint:errcheck // closed by publish where it matters
	if err := f.Truncate(at); err != nil {
		return v, err
	}
	n, err := io.Copy(io.NewOffsetWriter(f, at), io.LimitReader(response.Body, maxFile))
	if err != nil {
		return v, err
	}
	if response.ContentLength >= 0 && n != response.ContentLength {
		return v, io.ErrUnexpectedEOF
	}
	if err := looksRight(f, at+n); err != nil {
		os.Remove(part) //nolint:errcheck // of no use
		return v, fmt.Errorf("%w: what came is no feed: %w", errPermanent, err)
	}
	if err := publishAs(f, path); err != nil {
		return v, err
	}
	os.Remove(notes) //nolint:errcheck // of no use any more
	return v, writeValidator(path+".etag", v)
}

// looksRight tells a feed from a page of a proxy or an error in its place.
func looksRight(f *os.File, size int64) error {
	start := make([]byte, 4)
	if _, err := f.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var r io.Reader = io.NewSectionReader(f, 0, size)
	switch {
	case string(start) == "PK\x03\x04", string(start) == "\x28\xb5\x2f\xfd":
		return nil
	case string(start[:2]) == "\x1f\x8b":
		unpacked, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		r = unpacked
	}
	_, err := tell(r)
	return err
}

func readValidator(path, address string) (v validator, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return v, false
	}
	err = json.Unmarshal(text, &v)
	return v, err == nil && v.URL == address
}

func writeValidator(path string, v validator) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644) //nolint:gosec // nothing secret
}
