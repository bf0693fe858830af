package main

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"seawall.io/seawall/test/lab/internal/cluster"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name string
		in   []string
		env  map[string]string
		want settings
	}{
		{
			"defaults",
			[]string{"up"},
			nil,
			settings{name: "seawall", index: cluster.AnyIndex, timeout: 3 * time.Minute, command: "up"},
		},
		{
			"flags-anywhere",
			[]string{"--name", "b", "up", "--cluster-index=3", "2", "--timeout", "1m"},
			nil,
			settings{name: "b", index: 3, timeout: time.Minute, command: "up", args: []string{"2"}},
		},
		{
			"environment",
			[]string{"up", "--name=c"},
			map[string]string{"SEAWALL_LAB_NAME": "b", "SEAWALL_LAB_CLUSTER_INDEX": "4", "SEAWALL_LAB_APISERVER_FLAGS": "--a=1 --b"},
			settings{name: "c", index: 4, timeout: 3 * time.Minute, command: "up", apiServerFlags: []string{"--a=1", "--b"}},
		},
		{
			"flags-of-kubectl",
			[]string{"--name=b", "kubectl", "get", "pods", "--name", "-A"},
			nil,
			settings{name: "b", index: cluster.AnyIndex, timeout: 3 * time.Minute, command: "kubectl", args: []string{"get", "pods", "--name", "-A"}},
		},
		{
			"flags-of-a-command-on-a-node",
			[]string{"on", "node2", "ip", "-4", "addr"},
			nil,
			settings{name: "seawall", index: cluster.AnyIndex, timeout: 3 * time.Minute, command: "on", args: []string{"node2", "ip", "-4", "addr"}},
		},
		{"help", []string{"--help"}, nil, settings{command: "help"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parse(test.in, func(name string) string { return test.env[name] })
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name string
		in   []string
		env  string // value of SEAWALL_LAB_CLUSTER_INDEX
	}{
		{"nothing", nil, ""},
		{"unknown-command", []string{"start"}, ""},
		{"unknown-flag", []string{"up", "--fast"}, ""},
		{"too-many-arguments", []string{"up", "1", "2"}, ""},
		{"too-few-arguments", []string{"load"}, ""},
		{"no-command-for-the-node", []string{"on", "node1"}, ""},
		{"index-out-of-range", []string{"up", "--cluster-index", "32"}, ""},
		{"index-from-the-environment", []string{"up"}, "many"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parse(test.in, func(name string) string {
				if name == "SEAWALL_LAB_CLUSTER_INDEX" {
					return test.env
				}
				return ""
			})
			if !errors.Is(err, errUsage) {
				t.Errorf("got %+v, %v, want a usage error", got, err)
			}
		})
	}
}
