package imagescan_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
)

const lockFile = `{
  "name": "shop", "lockfileVersion": 3,
  "packages": {
    "": {"name": "shop"},
    "node_modules/b": {
      "version": "2.0.0",
      "license": "AGPL-3.0-only"
    },
    "node_modules/a": {"version": "1.0.0"}
  }
}
`

// TestLicensesOfSources has the licences of a lock file, each where it is asked
// for, and none unless somebody wants to know.
func TestLicensesOfSources(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "package-lock.json", lockFile)
	tree, err := imagescan.Sources(t.Context(), dir, imagescan.SourceOptions{Options: imagescan.Options{Licenses: true}})
	if err != nil || len(tree.Objects) != 1 || tree.Objects[0].File != filepath.ToSlash(filepath.Join(dir, "package-lock.json")) {
		t.Fatalf("got %d objects, %v", len(tree.Objects), err)
	}
	got := map[string]int32{}
	for _, item := range tree.Objects[0].Root.Get("licenses").List() {
		got[item.Get("package").Str()+": "+item.Get("license").Str()] = item.Pos.Line
	}
	if diff := cmp.Diff(map[string]int32{"b 2.0.0: AGPL-3.0-only": 5, "a 1.0.0: ": 9}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	tree, err = imagescan.Sources(t.Context(), dir, imagescan.SourceOptions{})
	if err != nil || len(tree.Objects) != 0 {
		t.Errorf("nobody asked: got %d objects, %v", len(tree.Objects), err)
	}
}

func TestLicensesOfImages(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "app/node_modules/a/package.json", `{"name": "a", "version": "1.0.0", "license": "MIT"}`)
	put(t, dir, "app/node_modules/b/package.json", `{"name": "b", "version": "1.0.0", "license": "MIT"}`)
	put(t, dir, "app/node_modules/c/package.json", `{"name": "c", "version": "1.0.0"}`)
	r, err := imagescan.Scan(t.Context(), oci.Source{Kind: oci.RootfsKind, Path: dir}, imagescan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []image.Licensed{{License: "", Packages: []string{"c 1.0.0"}}, {License: "MIT", Packages: []string{"a 1.0.0", "b 1.0.0"}}}
	if diff := cmp.Diff(want, r.Description.Licenses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
