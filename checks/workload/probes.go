package workloadchecks

import (
	"fmt"
	"slices"
	"strconv"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// probePort reports probes of the kind in the parameter probe whose port no
// container declares. The kubelet looks a name up among the ports of the
// container itself, so that there an undeclared name makes the probe fail for
// good; a number is looked for in the whole pod, whose containers share one
// address.
func probePort(in *check.Input) {
	kind, _ := in.Params["probe"].(string)
	for _, t := range in.Snapshot.Templates() {
		for i := range t.Containers {
			c := &t.Containers[i]
			field, port := portOf(c.Root.Get(kind))
			if port.IsNull() {
				continue
			}
			message := ""
			if name := port.Str(); name != "" && !isNumber(name) {
				if !declares(c, func(p *document.Node) bool { return p.Get("name").Str() == name }) {
					message = fmt.Sprintf("%s asks port %q, which the container does not name", kind, name)
				}
			} else if n, ok := number(port); ok && !declaredInPod(&t, n) {
				message = fmt.Sprintf("%s asks port %d, which no container of the pod declares", kind, n)
			}
			if message != "" {
				in.Report(check.Hit{
					Object: t.Object, Path: c.Path + "." + kind + "." + field + ".port",
					Container: c.Name(), Image: c.Image(), Message: message,
				})
			}
		}
	}
}

// portOf returns the port that a probe asks, nil where it asks none or one of
// another host.
func portOf(probe *document.Node) (field string, port *document.Node) {
	for _, field := range [...]string{"httpGet", "tcpSocket", "grpc"} {
		if h := probe.Get(field); h != nil && h.Get("host").Str() == "" {
			return field, h.Get("port")
		}
	}
	return "", nil
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// number reads a port that is an int, or a string that the kubelet takes for
// one.
func number(n *document.Node) (int64, bool) {
	if i, ok := n.Int(); ok {
		return i, true
	}
	i, err := strconv.ParseInt(n.Str(), 10, 64)
	return i, err == nil
}

func declares(c *cluster.Container, match func(*document.Node) bool) bool {
	return slices.ContainsFunc(c.Root.Get("ports").List(), match)
}

func declaredInPod(t *cluster.PodTemplate, port int64) bool {
	for i := range t.Containers {
		if declares(&t.Containers[i], func(p *document.Node) bool {
			n, ok := p.Get("containerPort").Int()
			return ok && n == port
		}) {
			return true
		}
	}
	return false
}

// probesIdentical reports containers whose liveness probe does what the
// readiness probe does and gives up no later.
func probesIdentical(in *check.Input) {
	for _, t := range in.Snapshot.Templates() {
		for i := range t.Containers {
			c := &t.Containers[i]
			live, ready := c.Root.Get("livenessProbe"), c.Root.Get("readinessProbe")
			if live.IsNull() || ready.IsNull() || patience(live) > patience(ready) {
				continue
			}
			if h := handler(live); h != "" && h == handler(ready) {
				in.Report(check.Hit{
					Object: t.Object, Path: c.Path + ".livenessProbe", Container: c.Name(), Image: c.Image(),
					Message: "the livenessProbe asks what the readinessProbe asks, and gives up no later",
				})
			}
		}
	}
}

// patience is how many seconds a probe may fail before it counts:
// failureThreshold (3) times periodSeconds (10).
func patience(probe *document.Node) int64 {
	threshold, period := int64(3), int64(10)
	if n, ok := probe.Get("failureThreshold").Int(); ok && n > 0 {
		threshold = n
	}
	if n, ok := probe.Get("periodSeconds").Int(); ok && n > 0 {
		period = n
	}
	return threshold * period
}

// handler describes what a probe does, with defaults filled in; "" where it
// does nothing.
func handler(probe *document.Node) string {
	text := func(n *document.Node, fallback string) string {
		if n.IsNull() {
			return fallback
		}
		return string(n.AppendJSON(nil))
	}
	if h := probe.Get("httpGet"); !h.IsNull() {
		return fmt.Sprintf("http %s %s %s %s %s", text(h.Get("scheme"), `"HTTP"`), text(h.Get("host"), `""`),
			text(h.Get("port"), ""), text(h.Get("path"), `"/"`), text(h.Get("httpHeaders"), ""))
	}
	if h := probe.Get("tcpSocket"); !h.IsNull() {
		return fmt.Sprintf("tcp %s %s", text(h.Get("host"), `""`), text(h.Get("port"), ""))
	}
	if h := probe.Get("grpc"); !h.IsNull() {
		return fmt.Sprintf("grpc %s %s", text(h.Get("port"), ""), text(h.Get("service"), `""`))
	}
	if h := probe.Get("exec"); !h.IsNull() {
		return "exec " + text(h.Get("command"), "")
	}
	return ""
}

// containerPorts reports port lists that the API server refuses or that cannot
// work: no containerPort, one out of range, names that are no port names or are
// given twice in a container, a hostPort that the pod asks for twice.
func containerPorts(in *check.Input) {
	for _, t := range in.Snapshot.Templates() {
		hostPorts := map[string]bool{}
		for i := range t.Containers {
			c := &t.Containers[i]
			names, taken := map[string]bool{}, hostPorts
			if c.Type == cluster.Init {
				taken = map[string]bool{} // it is gone before the others start
			}
			for j, p := range c.Root.Get("ports").List() {
				problem, field := portProblem(p, names, taken)
				if problem == "" {
					continue
				}
				in.Report(check.Hit{
					Object: t.Object, Path: document.Key(document.Index(c.Path+".ports", j), field),
					Container: c.Name(), Image: c.Image(), Message: fmt.Sprintf("port %d of the list: %s", j+1, problem),
				})
			}
		}
	}
}

func portProblem(p *document.Node, names, hostPorts map[string]bool) (problem, field string) {
	name, port := p.Get("name").Str(), p.Get("containerPort")
	number, isInt := port.Int()
	duplicate := name != "" && names[name]
	names[name] = true
	protocol := p.Get("protocol").Str()
	if protocol == "" {
		protocol = "TCP"
	}
	clash := false
	if host, ok := p.Get("hostPort").Int(); ok && host > 0 {
		at := fmt.Sprintf("%s %s %d", protocol, p.Get("hostIP").Str(), host)
		clash = hostPorts[at]
		hostPorts[at] = true
	}
	switch {
	case port.IsNull():
		return "containerPort is missing", "containerPort"
	case isInt && (number < 1 || number > 65535):
		return fmt.Sprintf("containerPort %d is not between 1 and 65535", number), "containerPort"
	case duplicate:
		return fmt.Sprintf("the name %q is given twice", name), "name"
	case len(name) > 15:
		return fmt.Sprintf("the name %q has more than 15 characters", name), "name"
	case name != "" && !isPortName(name):
		return fmt.Sprintf("the name %q is none: lower-case letters, digits and single dashes, one letter at least", name), "name"
	case clash:
		return "the hostPort is asked for twice in the pod", "hostPort"
	}
	return "", ""
}

// isPortName is validation.IsValidPortName of k8s.io/apimachinery, without the
// length.
func isPortName(name string) bool {
	letter := false
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z':
			letter = true
		case c >= '0' && c <= '9':
		case c == '-' && i > 0 && i < len(name)-1 && name[i-1] != '-':
		default:
			return false
		}
	}
	return letter
}
