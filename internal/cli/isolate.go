package cli

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/agents"
	"seawall.io/seawall/internal/evidence"
)

// podAct is a command that does something to one pod.
type podAct struct {
	agentFlags
	inNamespace, reason, format string
	keep                        bool
}

func (p *podAct) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	p.register(f)
	f.StringVarP(&p.inNamespace, "namespace", "n", "default", "the pod's namespace")
	f.StringVar(&p.reason, "reason", "", "why, for the record")
	f.StringVarP(&p.format, "output", "o", "table", "table or json")
}

func (p *podAct) do(ctx context.Context, env *Env, pod string, act func(*agents.Agent, context.Context, agents.ActRequest) (*seawall.Act, error)) error {
	if err := oneOf(p.format, []string{"table", "json"}); err != nil {
		return err
	}
	agent, err := p.of(ctx, p.inNamespace, pod)
	if err != nil {
		return err
	}
	done, err := act(agent, ctx, agents.ActRequest{Namespace: p.inNamespace, Pod: pod, By: whoami(env), Reason: p.reason, Keep: p.keep})
	if err != nil {
		return err
	}
	if p.format == "json" {
		err = writeJSON(env, done)
	} else {
		_, err = fmt.Fprintln(env.Stdout, actText(done))
	}
	if err != nil {
		return err
	}
	for _, s := range done.Steps {
		if !s.Done {
			return &exitError{exitIncomplete, nil}
		}
	}
	return nil
}

func newIsolate(env *Env) *cobra.Command {
	var p podAct
	cmd := &cobra.Command{
		Use:   "isolate POD",
		Short: "Cut a pod off, freeze it, keep its evidence, and have it replaced",
		Long: `Contain a pod that may be compromised, before the cause is known. Its node's agent cuts
its network and freezes its processes within milliseconds, keeps the evidence, and
takes its labels away, so that Services and the controller let go of it and a clean
replica starts. The pod itself stays, for those who investigate.

What is done depends on what made the pod; the answer says each step, and what
remains to do (docs/runtime.md). ` + "`seawall release`" + ` takes everything back.`,
		Example: `  seawall isolate web-7d4b9 -n shop --reason "shell from the internet"
  seawall isolate db-0 -n shop --keep-labels`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.do(cmd.Context(), env, args[0], (*agents.Agent).Isolate)
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&p.keep, "keep-labels", false, "cut and freeze only: the pod stays with its Services and its controller, and nothing replaces it")
	return cmd
}

func newRelease(env *Env) *cobra.Command {
	var p podAct
	cmd := &cobra.Command{
		Use:   "release POD",
		Short: "Let a pod run and talk again that was isolated",
		Long: `Take back everything that ` + "`seawall isolate`" + ` or an agent did to a pod: its labels come
back, its processes go on, its network works. A controller that has replaced the pod
meanwhile then has one too many, and ends one of them.`,
		Example: `  seawall release web-7d4b9 -n shop --reason "false alarm"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.do(cmd.Context(), env, args[0], (*agents.Agent).Release)
		},
	}
	p.flags(cmd)
	return cmd
}

func newEvidence(env *Env) *cobra.Command {
	var p podAct
	var list, collect bool
	var name, file, verify, key string
	cmd := &cobra.Command{
		Use:   "evidence POD",
		Short: "Fetch what a contained pod showed, or collect it from a running one",
		Long: `Fetch the evidence that an agent keeps of a pod: processes with arguments, memory maps,
open files and sockets, the programs they run, what was written into the containers,
logs, and the last events. It is a tar archive, compressed with zstd, with a signed
manifest that names each file with its SHA-256, and is verified with the node's key when
it is fetched. Keep that key, which is printed: --verify takes it later.

Without --collect the newest bundle is fetched; a pod that is isolated has one. Values
of environment variables are fingerprints; files are as they were, and may hold
secrets.`,
		Example: `  seawall evidence web-7d4b9 -n shop --file web.tar.zst
  seawall evidence web-7d4b9 -n shop --list
  seawall evidence web-7d4b9 -n shop --collect
  seawall evidence --verify web.tar.zst --key BASE64`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if verify != "" {
				return verifyBundle(env, verify, key)
			}
			if len(args) == 0 {
				return errors.New("name a pod, or a bundle with --verify")
			}
			ctx, pod := cmd.Context(), args[0]
			if collect {
				return p.do(ctx, env, pod, (*agents.Agent).Collect)
			}
			agent, err := p.of(ctx, p.inNamespace, pod)
			if err != nil {
				return err
			}
			names, err := agent.Bundles(ctx, p.inNamespace, pod)
			if err != nil {
				return err
			}
			if list {
				for _, n := range names {
					fmt.Fprintln(env.Stdout, n) //nolint:errcheck // a closed pipe ends the command anyway
				}
				return nil
			}
			if name == "" {
				if len(names) == 0 {
					return fmt.Errorf("there is no evidence of pod %s/%s: isolate it, or collect some with --collect", p.inNamespace, pod)
				}
				name = names[0]
			}
			if file == "" {
				file = name
			}
			return fetchBundle(ctx, env, agent, name, file)
		},
	}
	p.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&list, "list", false, "name the bundles that there are, newest first")
	f.BoolVar(&collect, "collect", false, "collect evidence now; the pod goes on running")
	f.StringVar(&name, "bundle", "", "fetch this bundle instead of the newest")
	f.StringVar(&file, "file", "", "write to this file (default: the bundle's name)")
	f.StringVar(&verify, "verify", "", "verify this bundle with --key, and name what is in it")
	f.StringVar(&key, "key", "", "the public key of the node that wrote the bundle, base64")
	cmd.MarkFlagsMutuallyExclusive("list", "collect", "verify")
	cmd.MarkFlagsRequiredTogether("verify", "key")
	return cmd
}

func fetchBundle(ctx context.Context, env *Env, agent *agents.Agent, name, file string) error {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already: name another with --file", file)
	}
	if err != nil {
		return fmt.Errorf("writing the evidence: %w", err)
	}
	if err := errors.Join(agent.Bundle(ctx, name, out), out.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	status, err := agent.Status(ctx)
	if err != nil {
		return fmt.Errorf("%s is there, and could not be verified: %w", file, err)
	}
	var node struct {
		Key []byte `json:"evidenceKey"`
	}
	if err := json.Unmarshal(status, &node); err != nil {
		return fmt.Errorf("%s is there, and could not be verified: %w", file, err)
	}
	return verifyBundle(env, file, base64.StdEncoding.EncodeToString(node.Key))
}

// verifyBundle says what is in a bundle, once its signature and hashes hold.
func verifyBundle(env *Env, file, key string) error {
	public, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return errors.New("--key: want the 32 bytes of an Ed25519 public key in base64, as seawall evidence printed it")
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("verifying evidence: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	m, err := evidence.Verify(f, public, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	fmt.Fprintf(env.Stdout, "%s: %d files of pod %s on node %s, %s, verified with key %s\n", //nolint:errcheck // a closed pipe ends the command anyway
		file, len(m.Files), place(m.Act.Pod, nil, m.Act.Node), shown(m.Act.Node), m.Began.Local().Format("2006-01-02 15:04:05"), key)
	for _, o := range m.Omitted {
		fmt.Fprintf(env.Stdout, "  not in it: %s (%s)\n", shown(o.What), shown(o.Reason)) //nolint:errcheck // a closed pipe ends the command anyway
	}
	return nil
}
