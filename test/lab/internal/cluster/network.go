package cluster

import (
	"context"
	"fmt"
	"slices"
)

// createNetwork makes a switch between nodes and machine: a bridge in a
// namespace of its own, where no firewall of the machine filters what passes.
func (c *cluster) createNetwork(ctx context.Context) error {
	sw := c.switchNamespace()
	inSwitch := func(argv ...string) []string { return append(inNetwork(sw), argv...) }
	steps := [][]string{
		{"ip", "netns", "add", sw},
		inSwitch("ip", "link", "set", "lo", "up"),
		inSwitch("ip", "link", "add", "br0", "type", "bridge"),
		inSwitch("ip", "link", "set", "br0", "up"),
		{"ip", "link", "add", c.plan.link(), "type", "veth", "peer", "name", "host", "netns", sw},
		inSwitch("ip", "link", "set", "host", "master", "br0", "up"),
		{"ip", "addr", "add", onLink(c.plan, c.plan.Host().String()), "dev", c.plan.link()},
		{"ip", "link", "set", c.plan.link(), "up"},
	}
	for i := range c.nodes() {
		steps = append(steps, c.nodeNetwork(i)...)
	}
	// Programs under test run on the machine and want to reach pods and
	// services; any node forwards for services.
	for i := range c.nodes() {
		steps = append(steps, []string{"ip", "route", "add", c.plan.NodePods(i).String(), "via", c.plan.Node(i).String()})
	}
	steps = append(steps, []string{"ip", "route", "add", c.plan.Services().String(), "via", c.plan.Node(1).String()})

	for _, step := range steps {
		if err := run(ctx, step...); err != nil {
			return fmt.Errorf("making the network: %w", err)
		}
	}
	return nil
}

// nodeNetwork joins node i to the switch. The default route leads to the
// machine, so that pods can reach what listens there, such as a webhook.
func (c *cluster) nodeNetwork(i int) [][]string {
	node, port := c.Node(i), fmt.Sprintf("port%d", i)
	inside := func(argv ...string) []string { return append(inNetwork(node), argv...) }
	steps := [][]string{
		{"ip", "netns", "add", node},
		{"ip", "link", "add", "eth0", "netns", node, "type", "veth", "peer", "name", port, "netns", c.switchNamespace()},
		append(inNetwork(c.switchNamespace()), "ip", "link", "set", port, "master", "br0", "up"),
		inside("ip", "link", "set", "lo", "up"),
		inside("ip", "addr", "add", onLink(c.plan, c.plan.Node(i).String()), "dev", "eth0"),
		inside("ip", "link", "set", "eth0", "up"),
		inside("ip", "route", "add", "default", "via", c.plan.Host().String()),
		inside("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"),
	}
	for j := range c.nodes() {
		if i != j {
			steps = append(steps, inside("ip", "route", "add", c.plan.NodePods(j).String(), "via", c.plan.Node(j).String()))
		}
	}
	return slices.Clip(steps)
}

func onLink(p Plan, address string) string {
	return fmt.Sprintf("%s/%d", address, p.Nodes().Bits())
}
