package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/signature"
)

// trustFlags say whose signatures of images count.
type trustFlags struct {
	keys            []string
	identity        string
	identityPattern string
	issuer          string
	issuerPattern   string
	root            string
	bundles         []string
	requireLog      bool
	predicate       string
	builder         string
	repository      string
	annotations     map[string]string
}

func (t *trustFlags) register(f *pflag.FlagSet) {
	f.StringSliceVar(&t.keys, "verify-key", nil, "public key (PEM) whose signatures count (repeatable); images are verified then")
	f.StringVar(&t.identity, "verify-identity", "", "who may sign keyless: the address or URI in the certificate")
	f.StringVar(&t.identityPattern, "verify-identity-pattern", "", "the same as a regular expression for the whole of it")
	f.StringVar(&t.issuer, "verify-issuer", "", "who must have vouched for the identity: the address of the OIDC issuer")
	f.StringVar(&t.issuerPattern, "verify-issuer-pattern", "", "the same as a regular expression for the whole of it")
	f.StringVar(&t.root, "trusted-root", "", "trusted_root.json of Sigstore: certificate authorities and logs that count")
	f.StringSliceVar(&t.bundles, "verify-bundle", nil, "file with a Sigstore bundle or DSSE envelope for the image (repeatable)")
	f.BoolVar(&t.requireLog, "verify-log", false, "signatures by key must be in a transparency log of --trusted-root, too")
	f.StringVar(&t.predicate, "verify-attestation", "", "an attestation of this predicate type must be there, such as provenance")
	f.StringVar(&t.builder, "verify-builder", "", "provenance must name this builder (a * at the end stands for anything)")
	f.StringVar(&t.repository, "verify-source", "", "provenance must name this source repository (a * at the end stands for anything)")
	f.StringToStringVar(&t.annotations, "verify-annotation", nil, "NAME=VALUE that a simple signature must carry (repeatable)")
}

// policy turns the flags into whom to trust, nil when nobody was named.
func (t *trustFlags) policy() (*signature.Policy, []*signature.Candidate, error) {
	p := &signature.Policy{
		RequireLog: t.requireLog, Annotations: t.annotations, Predicate: t.predicate, Builder: t.builder, SourceRepository: t.repository,
	}
	for _, file := range t.keys {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the key: %w", err)
		}
		key, err := signature.ParseKey(filepath.ToSlash(file), data)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		p.Keys = append(p.Keys, key)
	}
	subject, issuer := t.identity != "" || t.identityPattern != "", t.issuer != "" || t.issuerPattern != ""
	switch {
	case subject != issuer:
		return nil, nil, fmt.Errorf("an identity needs its issuer and the other way round: give --verify-identity and --verify-issuer, or their patterns")
	case subject && t.root == "":
		return nil, nil, fmt.Errorf("--verify-identity needs --trusted-root: the file trusted_root.json of the Sigstore that issued the certificates")
	case subject:
		p.Identities = []signature.Identity{{
			Subject: t.identity, SubjectPattern: t.identityPattern, Issuer: t.issuer, IssuerPattern: t.issuerPattern,
		}}
	}
	if t.root != "" {
		data, err := os.ReadFile(t.root)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the trusted root: %w", err)
		}
		if p.Root, err = signature.ParseRoot(data); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", t.root, err)
		}
	}
	var bundles []*signature.Candidate
	for _, file := range t.bundles {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the bundle: %w", err)
		}
		c, err := signature.ParseFile(filepath.ToSlash(file), data)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		bundles = append(bundles, c)
	}
	if len(p.Keys) == 0 && len(p.Identities) == 0 {
		if len(bundles) > 0 || t.requireLog || t.predicate != "" || t.builder != "" || t.repository != "" || len(t.annotations) > 0 {
			return nil, nil, fmt.Errorf("nobody is trusted: give --verify-key, or --verify-identity and --verify-issuer with --trusted-root")
		}
		return nil, nil, nil
	}
	return p, bundles, nil
}

func newImageVerify(env *Env) *cobra.Command {
	var i imageFlags
	var format string
	cmd := &cobra.Command{
		Use:   "verify REF",
		Short: "Tell who vouches for an image",
		Long: `Tell who vouches for an image: signatures and attestations of cosign, by key or
keyless, in a registry, a layout or an archive, or in files beside it.

` + imageRefs + `

No service of Sigstore is asked: that a signature stands in a transparency log is proved
by what lies beside it, against the file --trusted-root.

Exit code: 0 verified; 1 unsigned, or signed by nobody who is trusted; 2 the command or
the job failed; 3 it could not be found out.`,
		Example: `  seawall image verify ghcr.io/org/app:1.2 --verify-key cosign.pub
  seawall image verify ghcr.io/org/app:1.2 --trusted-root trusted_root.json \
    --verify-identity-pattern 'https://github\.com/org/app/.*' \
    --verify-issuer https://token.actions.githubusercontent.com`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := source(args[0])
			if err != nil {
				return err
			}
			o, _, err := i.withoutDatabase(env)
			if err != nil {
				return err
			}
			if o.Trust == nil {
				return fmt.Errorf("nobody is trusted: give --verify-key, or --verify-identity and --verify-issuer with --trusted-root")
			}
			if o.Offline && src.Kind == oci.RegistryKind {
				return fmt.Errorf("%s is in a registry, and --offline forbids to ask it", src)
			}
			img, err := oci.Open(cmd.Context(), src, o.OCI)
			if err != nil {
				return err //nolint:wrapcheck // it names the source
			}
			defer img.Close() //nolint:errcheck // it was only read
			v := imagescan.Verify(cmd.Context(), img, o.Trust, o.Bundles)
			if err := tellVerdict(env.Stdout, img, v, format); err != nil {
				return err
			}
			switch v.Status {
			case signature.Verified:
				return nil
			case signature.Unknown:
				return &exitError{code: exitIncomplete}
			default:
				return &exitError{code: exitFindings}
			}
		},
	}
	f := cmd.Flags()
	i.register(f)
	f.StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

// tellVerdict writes who vouches for an image.
func tellVerdict(w io.Writer, img *oci.Image, v *signature.Verdict, format string) error {
	type failure struct {
		Source string `json:"source"`
		Reason string `json:"reason"`
	}
	out := struct {
		Image    string    `json:"image"`
		Digest   string    `json:"digest,omitempty"`
		Status   string    `json:"status"`
		By       []string  `json:"by,omitempty"`
		Reason   string    `json:"reason,omitempty"`
		Failures []failure `json:"failures,omitempty"`
	}{Image: img.Ref, Digest: img.Digest, Status: string(v.Status), Reason: v.Reason}
	for i := range v.By {
		out.By = append(out.By, imagescan.Signer(&v.By[i]))
	}
	for _, f := range v.Failures {
		out.Failures = append(out.Failures, failure{f.Source, f.Reason})
	}
	if format == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(out); err != nil {
			return fmt.Errorf("writing the verdict: %w", err)
		}
		return nil
	}
	if format != "table" {
		return fmt.Errorf("--output %q: want table or json", format)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s@%s: %s\n", out.Image, out.Digest, out.Status)
	for _, who := range out.By {
		fmt.Fprintf(&text, "  by %s\n", who)
	}
	if out.Reason != "" {
		fmt.Fprintf(&text, "  %s\n", out.Reason)
	}
	for _, f := range out.Failures {
		fmt.Fprintf(&text, "  not by %s: %s\n", f.Source, f.Reason)
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("writing the verdict: %w", err)
	}
	return nil
}
