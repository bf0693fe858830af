package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"seawall.io/seawall/test/lab/internal/cluster"
)

const usage = `lab runs a real Kubernetes cluster on this machine, for tests.

    lab [FLAGS] up [NODES]        start a cluster (1 node unless said otherwise); prints the kubeconfig's path
    lab [FLAGS] down              stop it and remove all of it
    lab [FLAGS] load FILE.tar     import an image archive (docker save, or a tar of an OCI layout) on every node
    lab [FLAGS] status            what runs
    lab [FLAGS] kubeconfig        print the path of the administrator's kubeconfig
    lab [FLAGS] kubectl ARGS...   kubectl as administrator
    lab [FLAGS] on NODE CMD...    run a command in the network and the mounts of node1, node2, ...
    lab build                     build the cluster's programs (minutes, once); prints their directory

Flags, which have to come before ARGS... and CMD...:

    --name NAME                   of the cluster, "seawall" by default            ($SEAWALL_LAB_NAME)
    --cluster-index N             decides the addresses; a free one by default    ($SEAWALL_LAB_CLUSTER_INDEX)
    --apiserver-flags "A B"       further flags of kube-apiserver, between blanks ($SEAWALL_LAB_APISERVER_FLAGS)
    --timeout DURATION            of up, 3m by default                            ($SEAWALL_LAB_TIMEOUT)
`

// errUsage marks a command line that makes no sense.
var errUsage = errors.New("usage")

// settings is what the command line and the environment ask for.
type settings struct {
	name           string
	index          int
	apiServerFlags []string
	timeout        time.Duration
	command        string
	args           []string // of the command
}

// arity is how many arguments a command takes.
type arity struct {
	least, most int
	// foreign arguments belong to another program, and so do their flags.
	foreign bool
}

func arities() map[string]arity {
	const many = 1 << 20
	return map[string]arity{
		"build":      {},
		"down":       {},
		"help":       {},
		"kubeconfig": {},
		"kubectl":    {0, many, true},
		"load":       {1, 1, false},
		"on":         {2, many, true},
		"status":     {},
		"up":         {0, 1, false},
	}
}

func parse(args []string, getenv func(string) string) (settings, error) {
	var s settings
	flags, err := s.flags(getenv)
	if err != nil {
		return settings{}, err
	}
	// Flags may stand before the command, after it, and between its arguments.
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return settings{command: "help"}, nil
			}
			return settings{}, fmt.Errorf("%w: %w", errUsage, err)
		}
		args = flags.Args()
		if len(args) == 0 {
			break
		}
		if s.command == "" {
			s.command, args = args[0], args[1:]
		} else {
			s.args, args = append(s.args, args[0]), args[1:]
		}
		if arities()[s.command].foreign {
			s.args = args
			break
		}
	}
	if s.command == "" {
		return settings{}, fmt.Errorf("%w: no command", errUsage)
	}
	a, ok := arities()[s.command]
	if !ok {
		return settings{}, fmt.Errorf("%w: there is no command %q", errUsage, s.command)
	}
	if n := len(s.args); n < a.least || n > a.most {
		return settings{}, fmt.Errorf("%w: %s does not take %d argument(s)", errUsage, s.command, n)
	}
	return s, nil
}

// flags binds the flags to s; the environment gives their defaults.
func (s *settings) flags(getenv func(string) string) (*flag.FlagSet, error) {
	s.name, s.index, s.timeout = "seawall", cluster.AnyIndex, 3*time.Minute
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are returned
	flags.Usage = func() {}
	flags.StringVar(&s.name, "name", s.name, "")
	flags.DurationVar(&s.timeout, "timeout", s.timeout, "")
	flags.Func("cluster-index", "", func(value string) error {
		index, err := strconv.Atoi(value)
		if err != nil || index < 0 || index > cluster.MaxIndex {
			return fmt.Errorf("use 0 to %d", cluster.MaxIndex)
		}
		s.index = index
		return nil
	})
	flags.Func("apiserver-flags", "", func(value string) error {
		s.apiServerFlags = strings.Fields(value)
		return nil
	})
	for name, variable := range map[string]string{
		"name":            "SEAWALL_LAB_NAME",
		"cluster-index":   "SEAWALL_LAB_CLUSTER_INDEX",
		"apiserver-flags": "SEAWALL_LAB_APISERVER_FLAGS",
		"timeout":         "SEAWALL_LAB_TIMEOUT",
	} {
		value := getenv(variable)
		if value == "" {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return nil, fmt.Errorf("%w: %s=%q: %w", errUsage, variable, value, err)
		}
	}
	return flags, nil
}
