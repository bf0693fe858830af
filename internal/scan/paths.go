package scan

import (
	"slices"
	"strings"
	"sync"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
)

// reportedPaths is how many paths a report of findings tells. `seawall paths`
// tells all.
const reportedPaths = 10

// graph begins to build the graph of attacks, beside what else is done. Where images
// were scanned it is built only when it is asked for, since it holds their flaws. It
// is nil where nothing runs and nothing is granted. wait returns when nothing is
// being built.
func (r *Result) graph(snaps []*cluster.Snapshot) (graph func(runs []run) *attack.Graph, wait func()) {
	wait = func() {}
	if !slices.ContainsFunc(snaps, attackable) {
		return func([]run) *attack.Graph { return nil }, wait
	}
	if len(r.Coverage.Images) > 0 {
		return func(runs []run) *attack.Graph { return attack.Build(snaps, attack.Options{Flaws: r.flaws(runs)}) }, wait
	}
	var building sync.WaitGroup
	var built *attack.Graph
	building.Go(func() { built = attack.Build(snaps, attack.Options{}) })
	return func([]run) *attack.Graph {
		building.Wait()
		return built
	}, building.Wait
}

// paths marks the findings and images that lie on attack paths.
func (r *Result) paths(snaps []*cluster.Snapshot, graph func(runs []run) *attack.Graph) {
	runs := r.runs(snaps)
	g := graph(runs)
	if g == nil {
		return
	}
	q := attack.Question{Entries: g.Entries(), Goals: g.Goals(), Limit: reportedPaths}
	marks := g.Marks(q.Entries, q.Goals)
	known := map[attack.Mark]*seawall.AttackPath{} // findings share them
	describe := func(m attack.Mark) *seawall.AttackPath {
		if known[m] == nil {
			known[m] = &seawall.AttackPath{
				ID: g.ID(m.Entry, q.Goals[m.Goal]), Entry: g.Name(m.Entry), Goal: q.Goals[m.Goal].Name, Risk: attack.Round(m.Risk),
			}
		}
		return known[m]
	}
	ofImage := r.markImages(g, marks, describe, runs)
	marked := 0
	for i, f := range r.Findings {
		mark, ok := marks.Finding(r.Objects[i], f.Check)
		switch {
		case ok:
			f.AttackPath = describe(mark)
		case f.Vulnerability != nil && exploitable(f):
			f.AttackPath = ofImage[r.Objects[i]]
		}
		if f.AttackPath != nil && f.Suppressed == nil {
			marked++
		}
	}
	if paths, _ := g.Report(q); paths.Total > 0 {
		r.AttackPaths = &seawall.AttackPaths{Findings: marked, Total: paths.Total, Paths: paths.Paths}
	}
}

func attackable(s *cluster.Snapshot) bool {
	return len(s.Templates()) > 0 || len(s.Kind("ClusterRoleBinding")) > 0 || len(s.Kind("RoleBinding")) > 0
}

// run is a container that runs a scanned image.
type run struct {
	image     int // of Coverage.Images
	cluster   int // of the snapshots
	template  *cluster.PodTemplate
	container *cluster.Container
}

// runs finds the containers that run scanned images.
func (r *Result) runs(snaps []*cluster.Snapshot) []run {
	images := r.Coverage.Images
	if len(images) == 0 {
		return nil
	}
	byName := map[string]int{}
	for i := range images {
		for _, name := range []string{images[i].Reference, strings.TrimPrefix(images[i].Name, "image:")} {
			if name != "" {
				byName[check.ParseImage(name).Name()] = i
			}
		}
		if d := images[i].Digest; d != "" {
			byName[d] = i
		}
	}
	var out []run
	for c, s := range snaps {
		templates := s.Templates()
		for i := range templates {
			t := &templates[i]
			for j := range t.Containers {
				ref := check.ParseImage(t.Containers[j].Image())
				at, ok := byName[ref.Digest]
				if !ok || ref.Digest == "" {
					if at, ok = byName[ref.Name()]; !ok {
						continue
					}
				}
				out = append(out, run{at, c, t, &t.Containers[j]})
			}
		}
	}
	return out
}

// uses says of each scanned image which workloads run it, and by which way they
// are reached from outside.
func (r *Result) uses(snaps []*cluster.Snapshot) {
	for _, run := range r.runs(snaps) {
		use := seawall.ImageUse{Workload: run.template.Object.Subject().String(), Container: run.container.Name()}
		if w := cluster.Exposures(snaps[run.cluster]).Ways(run.template); len(w) > 0 {
			use.Exposed = w[0].String()
		}
		image := &r.Coverage.Images[run.image]
		image.Workloads = append(image.Workloads, use)
	}
}

// likelyEPSS is the chance of exploitation from which on a flaw counts as one that
// gives an attacker code, where nothing says that it runs code of his choice.
const likelyEPSS = 0.5

// exploitable says that a known flaw gives an attacker code in the container: as
// it is described, or since it is exploited over the network.
func exploitable(f *seawall.Finding) bool {
	v := f.Vulnerability
	if f.Suppressed != nil || v.Reach == "absent" || v.Excluded != "" || v.Status == "not-affected" {
		return false
	}
	return v.RCE || (v.KEV != "" || v.EPSS >= likelyEPSS) && strings.Contains(v.Vector, "AV:N")
}

// flaws are the known flaws that an attacker may use, by the reference of the image
// as workloads write it.
func (r *Result) flaws(runs []run) map[string][]attack.Flaw {
	byImage := map[string][]attack.Flaw{}
	for i, f := range r.Findings {
		if v := f.Vulnerability; v != nil && exploitable(f) {
			flaw := attack.Flaw{ID: v.ID, Package: v.Package, EPSS: v.EPSS, KEV: v.KEV != "", Object: r.Objects[i]}
			byImage[f.Subject.Name] = append(byImage[f.Subject.Name], flaw)
		}
	}
	out := map[string][]attack.Flaw{}
	for _, run := range runs {
		ref := run.container.Image()
		if _, known := out[ref]; !known {
			out[ref] = byImage[r.Coverage.Images[run.image].Name]
		}
	}
	return out
}

// markImages says of each use of an image the worst path through the workload, and
// returns the worst of each image, by its object.
func (r *Result) markImages(g *attack.Graph, marks *attack.Marks, describe func(attack.Mark) *seawall.AttackPath, runs []run) map[*cluster.Object]*seawall.AttackPath {
	worst := map[string]*seawall.AttackPath{}
	next := map[int]int{} // the place of the next use of an image
	for _, run := range runs {
		image := &r.Coverage.Images[run.image]
		use := &image.Workloads[next[run.image]]
		next[run.image]++
		o := run.template.Object
		v := g.Find(attack.Key{Kind: attack.Workload, Cluster: run.cluster, Namespace: run.template.Namespace(), Name: o.Kind + "/" + o.Name})
		if v < 0 {
			continue
		}
		mark, ok := marks.Vertex(v)
		if !ok {
			continue
		}
		path := describe(mark)
		use.Path = path.Entry + " -> " + path.Goal
		if have := worst[image.Name]; have == nil || path.Risk > have.Risk {
			worst[image.Name] = path
		}
	}
	out := map[*cluster.Object]*seawall.AttackPath{}
	for i, f := range r.Findings {
		if f.Vulnerability != nil && worst[f.Subject.Name] != nil {
			out[r.Objects[i]] = worst[f.Subject.Name]
		}
	}
	return out
}
