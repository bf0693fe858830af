package cli

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/inventory/purl"
	"seawall.io/seawall/internal/vuln/vex"
)

func newImageVEX(env *Env) *cobra.Command {
	var i imageFlags
	var format, file, author string
	cmd := &cobra.Command{
		Use:   "vex REF",
		Short: "State which flaws an image does not have, with the evidence, as VEX",
		Long: `State which flaws an image does not have, with the evidence, as VEX.

` + imageRefs + `

A statement is made where the binary, its platform or the distribution proves it: the
flawed function is not linked in, the flaw is on another system, the vendor's build does
not have it. Whoever reads the document need not scan again.`,
		Example: "  seawall image vex ghcr.io/org/app:1.2 --author security@example.com -o app.openvex.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			state := vex.OpenVEX
			switch format {
			case "openvex":
			case "cyclonedx":
				state = vex.CycloneDX
			default:
				return fmt.Errorf("--format %q: want openvex or cyclonedx", format)
			}
			return i.describe(cmd.Context(), env, args[0], file, true, func(w io.Writer, r *imagescan.Result, created time.Time) error {
				product := productOf(r)
				data, err := state(&r.Judgement, vex.Origin{ID: documentID(product, r), Author: author, Time: created, Product: product})
				if err != nil {
					return fmt.Errorf("the statements on %s: %w", r.Name(), err)
				}
				_, err = w.Write(data)
				return err //nolint:wrapcheck // the caller names the file
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "openvex", "openvex or cyclonedx")
	f.StringVarP(&file, "output", "o", "", "file to write (default: standard output)")
	f.StringVar(&author, "author", "", "who makes the statements")
	i.register(f)
	if err := cmd.MarkFlagRequired("author"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// productOf is the package URL of an image in a registry, empty for others.
func productOf(r *imagescan.Result) string {
	if r.Image == nil || r.Image.Digest == "" || r.Image.Name == "" {
		return ""
	}
	name, _, _ := strings.Cut(r.Image.Name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return purl.PURL{
		Type: "oci", Name: strings.ToLower(path.Base(name)), Version: r.Image.Digest,
		Qualifiers: map[string]string{"repository_url": name},
	}.String()
}

// documentID names the document by what it is about: the same image, database
// and author give the same.
func documentID(product string, r *imagescan.Result) string {
	var about strings.Builder
	fmt.Fprintf(&about, "%s %s\n", product, r.Name())
	for j := range r.Judgement.Matches {
		v := &r.Judgement.Matches[j].Vulnerability
		fmt.Fprintf(&about, "%s %s\n", v.ID, v.PURL)
	}
	for j := range r.Judgement.NotAffected {
		v := &r.Judgement.NotAffected[j].Vulnerability
		fmt.Fprintf(&about, "%s %s\n", v.ID, v.PURL)
	}
	sum := sha256.Sum256([]byte(about.String()))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // a UUID of version 8 (RFC 9562)
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
