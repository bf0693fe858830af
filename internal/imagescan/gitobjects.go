package imagescan

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/secret/gitobj"
	"seawall.io/seawall/internal/secret/history"
)

// The bounds of searching the objects of git in an image, in bytes.
const (
	// packLimit is the largest pack that is read: it is held in memory.
	packLimit = 64 << 20
	// packTotal is what its objects may have together.
	packTotal = 2 << 30
)

// pastParsers search the git repositories that an image brought along. A pack is
// searched as a repository of its own: it holds the names of its files. A loose
// object is searched without.
func pastParsers(o *Options) []inventory.Parser {
	if o.NoSecrets || o.NoHistory {
		return nil
	}
	return []inventory.Parser{
		{Name: "git-pack 1", Wants: isPack, Limit: packLimit, Parse: parsePack},
		{Name: "git-loose 1", Wants: isLoose, Limit: history.MaxObject, Parse: parseLoose},
	}
}

// isPack tells packs by the names that git gives them, wherever the repository
// is: .git, a bare one, or a submodule's.
func isPack(name string, m fs.FileMode, _ int64) bool {
	dir, base := path.Split(name)
	id, ok := strings.CutSuffix(base, ".pack")
	return ok && m.IsRegular() && strings.HasSuffix(dir, "objects/pack/") && strings.HasPrefix(id, "pack-")
}

func isLoose(name string, m fs.FileMode, _ int64) bool {
	const tail = len("objects/") + 2 + 1 + 38
	if len(name) < tail || !m.IsRegular() {
		return false
	}
	rest, ok := strings.CutPrefix(name[len(name)-tail:], "objects/")
	if !ok || rest[2] != '/' {
		return false
	}
	_, ok = gitobj.ParseID(rest[:2] + rest[3:])
	return ok
}

func parsePack(f inventory.File, facts *inventory.Facts) error {
	var r history.Repository
	var broken error
	n := 0
	for o, err := range gitobj.Pack(bytes.NewReader(f.Body), f.Size, gitobj.Limits{Object: history.MaxObject, Total: packTotal}) {
		switch {
		case err == nil:
			r.Add(o)
		case errors.Is(err, gitobj.ErrTooLarge):
			r.Large++
		default:
			broken, n = err, n+1
		}
	}
	facts.Secrets = append(facts.Secrets, r.Hits()...)
	if r.Cut {
		facts.Problems = append(facts.Problems, "it holds more that looks like credentials than is told")
	}
	if r.Large > 0 {
		facts.Problems = append(facts.Problems, fmt.Sprintf("%d objects, each of more than %d MiB or beyond the %d GiB that are read of a pack, were not searched for credentials", r.Large, history.MaxObject>>20, packTotal>>30))
	}
	if broken != nil {
		return fmt.Errorf("%d objects cannot be read, the last: %w", n, broken)
	}
	return nil
}

func parseLoose(f inventory.File, facts *inventory.Facts) error {
	o, err := gitobj.Loose(f.Body, gitobj.Limits{Object: history.MaxObject})
	if err != nil {
		return err //nolint:wrapcheck // it says what it read
	}
	var r history.Repository
	r.Add(o)
	facts.Secrets = append(facts.Secrets, r.Hits()...)
	return nil
}
