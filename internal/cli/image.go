package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/sbom"
)

func newImage(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Scan, list, slim and verify container images, and state what they do not have",
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImageScan(env), newImageSBOM(env), newImageVerify(env), newImageSlim(env), newImageVEX(env))
	return cmd
}

const imageRefs = `A REF is an image in a registry (nginx:1.27, ghcr.io/org/app@sha256:...),
oci:DIR an OCI layout, archive:FILE what docker save wrote, rootfs:DIR a root
file system, containerd:REF an image in containerd's store on this machine.`

// newImageScan is scan with references for targets.
func newImageScan(env *Env) *cobra.Command {
	cmd := newScan(env)
	cmd.Use = "scan REF..."
	cmd.Short = "Find vulnerabilities, secrets and misconfigurations in images"
	cmd.Long = cmd.Short + `.

` + imageRefs + `

It is the same as seawall scan with image:REF, and takes the same flags.`
	cmd.Example = `  seawall image scan nginx:1.27
  seawall image scan archive:app.tar --fail-on critical -o table -o sarif=app.sarif
  seawall image scan oci:build/layout --vex app.openvex.json`
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, refs []string) error {
		targets := make([]string, len(refs))
		for i, ref := range refs {
			targets[i] = imageTarget(ref)
		}
		return run(cmd, targets)
	}
	cmd.Args = needRef
	return cmd
}

func needRef(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name an image: a reference, oci:DIR, archive:FILE, rootfs:DIR or containerd:REF")
	}
	return nil
}

// imageTarget makes a target of a reference. What names a file is an archive, a
// folder a layout or root file system, everything else a registry's.
func imageTarget(ref string) string {
	prefix, _, _ := strings.Cut(ref, ":")
	if slices.Contains([]string{"oci", "archive", "rootfs", "containerd", "image", "sbom"}, prefix) && strings.Contains(ref, ":") {
		return ref
	}
	if info, err := os.Stat(ref); err == nil {
		switch {
		case !info.IsDir():
			return "archive:" + ref
		case exists(ref + "/index.json"):
			return "oci:" + ref
		default:
			return "rootfs:" + ref
		}
	}
	return "image:" + ref
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// source reads a reference as the adapter does.
func source(ref string) (oci.Source, error) {
	target := imageTarget(ref)
	if rest, ok := strings.CutPrefix(target, "image:"); ok {
		target = "registry:" + rest
	}
	return oci.ParseSource(target) //nolint:wrapcheck // it names the reference
}

func newImageSBOM(env *Env) *cobra.Command {
	var i imageFlags
	var format, file string
	cmd := &cobra.Command{
		Use:   "sbom REF",
		Short: "List what is in an image as CycloneDX or SPDX",
		Long: `List what is in an image as CycloneDX 1.6 or SPDX 2.3, in JSON.

` + imageRefs + `

The list holds all that judging needs: scanning it (seawall scan sbom:FILE) gives
the findings in packages that scanning the image gives. The time in it is that of
SOURCE_DATE_EPOCH where that is set, so that the same image gives the same bytes.`,
		Example: "  seawall image sbom nginx:1.27 -o nginx.cdx.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var f sbom.Format
			switch format {
			case "cyclonedx":
				f = sbom.CycloneDX
			case "spdx":
				f = sbom.SPDX
			default:
				return fmt.Errorf("--format %q: want cyclonedx or spdx", format)
			}
			return i.describe(cmd.Context(), env, args[0], file, false, func(w io.Writer, r *imagescan.Result, created time.Time) error {
				return r.WriteBill(w, f, Version(), created) //nolint:wrapcheck // it says what it writes
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "cyclonedx", "cyclonedx or spdx")
	f.StringVarP(&file, "output", "o", "", "file to write (default: standard output)")
	i.register(f)
	return cmd
}

// describe reads one image, without looking for credentials, and writes a document
// about it to a file. What is judged needs the vulnerability database.
func (i *imageFlags) describe(ctx context.Context, env *Env, ref, file string, judged bool, write func(io.Writer, *imagescan.Result, time.Time) error) error {
	created, err := epoch(env)
	if err != nil {
		return err
	}
	src, err := source(ref)
	if err != nil {
		return err
	}
	i.noSecrets = true
	options := i.withoutDatabase
	if judged {
		options = i.options
	}
	o, open, err := options(env)
	if err != nil {
		return err
	}
	defer open.close()
	if judged && o.Database == nil {
		return fmt.Errorf("nothing can be stated: %s", o.NoDatabase)
	}
	r, err := imagescan.Scan(ctx, src, o)
	if err != nil {
		return err //nolint:wrapcheck // it names the image
	}
	defer r.Close() //nolint:errcheck // it was only read
	if err := writeTo(env, file, func(w io.Writer) error { return write(w, r, created) }); err != nil {
		return err
	}
	return incomplete(env, r)
}

// incomplete says on standard error what could not be read, and turns it into
// the exit code.
func incomplete(env *Env, r *imagescan.Result) error {
	n := 0
	for _, hole := range r.Incomplete {
		if hole.Check == "" {
			n++
			fmt.Fprintf(env.Stderr, "not read: %s: %s\n", hole.Location.Path, hole.Reason) //nolint:errcheck // the exit code says it too
		}
	}
	if n > 0 {
		return &exitError{code: exitIncomplete}
	}
	return nil
}

// epoch returns the time to write into what is made: SOURCE_DATE_EPOCH's, else
// now.
func epoch(env *Env) (time.Time, error) {
	text := env.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return env.Now().UTC(), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%q: want seconds since 1970", text)
	}
	return time.Unix(n, 0).UTC(), nil
}
