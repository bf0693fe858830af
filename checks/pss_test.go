package checks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// replaced are the baseline checks that a control of pss-restricted stands for
// in every version, also in those before the restricted check existed.
var replaced = map[string]string{
	"capabilities_baseline":   "capabilities_restricted",
	"hostPathVolumes":         "restrictedVolumes",
	"procMount":               "procMount_restricted",
	"seccompProfile_baseline": "seccompProfile_restricted",
}

// judge is a framework's rules for one version of Kubernetes.
type judge struct {
	set      *check.Set
	controls map[string][]string // by check
}

// newJudges returns the judges of pss-baseline and pss-restricted for 1.1, in
// which nothing changed since 1.0, up to the newest version.
func newJudges(t *testing.T) map[api.Level][]judge {
	t.Helper()
	frameworks, err := checks.Frameworks()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*check.Rule{}
	for _, r := range rules(t) {
		all[r.ID] = r
	}
	out := map[api.Level][]judge{}
	for i := range frameworks {
		f := &frameworks[i]
		level, found := strings.CutPrefix(f.ID, "pss-")
		if !found {
			continue
		}
		controls := map[string][]string{}
		var list []*check.Rule
		for _, c := range f.Controls {
			for _, id := range c.Checks {
				if all[id] == nil {
					t.Fatalf("%s: control %s names the unknown check %q", f.ID, c.ID, id)
				}
				if controls[id] == nil {
					list = append(list, all[id])
				}
				controls[id] = append(controls[id], c.ID)
			}
		}
		for minor := 1; minor <= check.NewestMinor; minor++ {
			set, err := check.NewSet(list, check.Options{Minor: minor, Funcs: checks.Funcs()})
			if err != nil {
				t.Fatal(err)
			}
			out[api.Level(level)] = append(out[api.Level(level)], judge{set, controls})
		}
	}
	if len(out) != 2 {
		t.Fatalf("got frameworks of %d levels, want pss-baseline and pss-restricted", len(out))
	}
	return out
}

// failed returns the controls that an object fails, sorted.
func (j *judge) failed(t *testing.T, object []byte) []string {
	t.Helper()
	docs := document.Parse(object, document.Limits{})
	if len(docs) != 1 || docs[0].Err != nil {
		t.Fatalf("reading the object: %v\n%s", docs, object)
	}
	o, ok := cluster.New(docs[0].Root)
	if !ok {
		t.Fatalf("no object:\n%s", object)
	}
	var out check.Result
	j.set.Object(o, cluster.PodTemplates(o), &out)
	if len(out.Incomplete) > 0 {
		t.Fatalf("could not be judged: %v\n%s", out.Incomplete, object)
	}
	controls := map[string]bool{}
	for i := range out.Findings {
		for _, id := range j.controls[out.Findings[i].Check] {
			controls[id] = true
		}
	}
	return slices.Sorted(maps.Keys(controls))
}

// oracle judges as the Pod Security admission of Kubernetes does.
type oracle struct {
	evaluator policy.Evaluator
	checks    []policy.Check
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	all := policy.DefaultChecks()
	evaluator, err := policy.NewEvaluator(all, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &oracle{evaluator, all}
}

// failed returns the checks that a pod fails, by the names of our controls.
func (o *oracle) failed(t *testing.T, level api.Level, minor int, pod *corev1.Pod) []string {
	t.Helper()
	inForce := map[policy.CheckID]policy.VersionedCheck{}
	for i := range o.checks {
		c := &o.checks[i]
		if c.Level == api.LevelRestricted && level == api.LevelBaseline {
			continue
		}
		for _, v := range c.Versions {
			if v.MinimumVersion.Minor() <= minor {
				inForce[c.ID] = v
			}
		}
	}
	for _, v := range inForce {
		for _, id := range v.OverrideCheckIDs {
			delete(inForce, id)
		}
	}
	failed := map[string]bool{}
	for id, v := range inForce {
		if v.CheckPod(&pod.ObjectMeta, &pod.Spec).Allowed {
			continue
		}
		name := string(id)
		if level == api.LevelRestricted && replaced[name] != "" {
			name = replaced[name]
		}
		failed[name] = true
	}
	results := o.evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.MajorMinorVersion(1, minor)}, &pod.ObjectMeta, &pod.Spec)
	if allowed := policy.AggregateCheckResults(results).Allowed; allowed != (len(failed) == 0) {
		t.Fatalf("the test picks other checks than the evaluator for %s 1.%d: %v", level, minor, failed)
	}
	return slices.Sorted(maps.Keys(failed))
}

// TestPodSecurityFixtures holds the frameworks pss-baseline and pss-restricted
// to the upstream evaluator and to what upstream says of its fixtures: each
// fixture, as a pod and as a template, in each version.
func TestPodSecurityFixtures(t *testing.T) {
	t.Parallel()
	judges, upstream := newJudges(t), newOracle(t)
	verdicts := 0
	for text, pod := range fixtures(t) {
		objects := [][]byte{[]byte(text), deployment(t, pod), cronJob(t, pod)}
		for level, versions := range judges {
			for i := range versions {
				want := upstream.failed(t, level, i+1, withDefaults(pod))
				for _, object := range objects {
					verdicts++
					if got := versions[i].failed(t, object); !slices.Equal(got, want) {
						t.Fatalf("%s 1.%d: got %v, want %v for\n%s", level, i+1, got, want, object)
					}
				}
			}
		}
	}
	dir := fixtureDir(t)
	files := 0
	for level, versions := range judges {
		for minor := range len(versions) + 1 {
			i := max(minor-1, 0)
			for _, kind := range []string{"pass", "fail"} {
				names, err := filepath.Glob(filepath.Join(dir, string(level), fmt.Sprintf("v1.%d", minor), kind, "*.yaml"))
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range names {
					text, err := os.ReadFile(name)
					if err != nil {
						t.Fatal(err)
					}
					files++
					if got := versions[i].failed(t, text); (len(got) == 0) != (kind == "pass") {
						t.Errorf("%s: got %v, want %s", name, got, kind)
					}
				}
			}
		}
	}
	t.Logf("%d files as upstream says, %d verdicts as upstream's evaluator", files, verdicts)
	if files < 4000 {
		t.Errorf("got %d fixtures, want more than 4000", files)
	}
}

// TestPodSecurityMutations does the same for fixtures that are changed at
// random, the same ones each time.
func TestPodSecurityMutations(t *testing.T) {
	t.Parallel()
	judges, upstream := newJudges(t), newOracle(t)
	random := rand.New(rand.NewPCG(1, 2))
	var pods []*corev1.Pod
	for _, text := range slices.Sorted(maps.Keys(fixtures(t))) {
		pods = append(pods, decodePod(t, []byte(text)))
	}
	rounds := 6000
	if testing.Short() {
		rounds = 500
	}
	for range rounds {
		pod := pods[random.IntN(len(pods))].DeepCopy()
		for range 1 + random.IntN(6) {
			mutations[random.IntN(len(mutations))](pod, random)
		}
		object := encode(t, pod)
		if random.IntN(2) == 0 {
			object = deployment(t, pod)
		}
		for level, versions := range judges {
			i := random.IntN(len(versions))
			want := upstream.failed(t, level, i+1, withDefaults(pod))
			if got := versions[i].failed(t, object); !slices.Equal(got, want) {
				t.Fatalf("%s 1.%d: got %v, want %v for\n%s", level, i+1, got, want, object)
			}
		}
	}
}

// withDefaults makes a volume without a source an emptyDir, as the API server
// does before it admits a pod.
func withDefaults(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	for i := range pod.Spec.Volumes {
		if v := &pod.Spec.Volumes[i]; v.VolumeSource == (corev1.VolumeSource{}) {
			v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	return pod
}

func fixtureDir(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		t.Fatalf("finding k8s.io/pod-security-admission: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "test", "testdata")
}

// fixtures returns the different ones of upstream's fixtures.
func fixtures(t *testing.T) map[string]*corev1.Pod {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(fixtureDir(t), "*", "*", "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*corev1.Pod{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if out[string(text)] == nil {
			out[string(text)] = decodePod(t, text)
		}
	}
	return out
}

func decodePod(t *testing.T, text []byte) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(text, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(out)
}

func deployment(t *testing.T, pod *corev1.Pod) []byte {
	t.Helper()
	return encode(t, map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "d"},
		"spec": map[string]any{"template": map[string]any{"metadata": pod.ObjectMeta, "spec": pod.Spec}},
	})
}

func cronJob(t *testing.T, pod *corev1.Pod) []byte {
	t.Helper()
	template := map[string]any{"metadata": pod.ObjectMeta, "spec": pod.Spec}
	return encode(t, map[string]any{
		"apiVersion": "batch/v1", "kind": "CronJob", "metadata": map[string]any{"name": "c"},
		"spec": map[string]any{"jobTemplate": map[string]any{"spec": map[string]any{"template": template}}},
	})
}

// mutations change one thing of a pod.
var mutations = []func(*corev1.Pod, *rand.Rand){
	func(p *corev1.Pod, r *rand.Rand) { p.Spec.HostPID = r.IntN(2) == 0 },
	func(p *corev1.Pod, r *rand.Rand) { p.Spec.HostIPC = r.IntN(2) == 0 },
	func(p *corev1.Pod, r *rand.Rand) { p.Spec.HostNetwork = r.IntN(2) == 0 },
	func(p *corev1.Pod, r *rand.Rand) { p.Spec.HostUsers = maybe(r, r.IntN(2) == 0) },
	func(p *corev1.Pod, r *rand.Rand) {
		p.Spec.OS = oneOf(r, nil, &corev1.PodOS{Name: corev1.Windows}, &corev1.PodOS{Name: corev1.Linux})
	},
	func(p *corev1.Pod, _ *rand.Rand) { p.Spec.SecurityContext = nil },
	func(p *corev1.Pod, r *rand.Rand) { podContext(p).RunAsNonRoot = maybe(r, r.IntN(2) == 0) },
	func(p *corev1.Pod, r *rand.Rand) { podContext(p).RunAsUser = maybe(r, oneOf[int64](r, 0, 1, 1000)) },
	func(p *corev1.Pod, r *rand.Rand) { podContext(p).SeccompProfile = seccomp(r) },
	func(p *corev1.Pod, r *rand.Rand) { podContext(p).AppArmorProfile = appArmor(r) },
	func(p *corev1.Pod, r *rand.Rand) { podContext(p).SELinuxOptions = seLinux(r) },
	func(p *corev1.Pod, r *rand.Rand) { podContext(p).WindowsOptions = windows(r) },
	func(p *corev1.Pod, r *rand.Rand) {
		podContext(p).Sysctls = append(podContext(p).Sysctls, corev1.Sysctl{Value: "1", Name: oneOf(r,
			"kernel.shm_rmid_forced", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
			"net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_notsent_lowat",
			"net.ipv4.tcp_slow_start_after_idle", "kernel.msgmax")})
	},
	func(p *corev1.Pod, r *rand.Rand) {
		annotate(p, oneOf(r, "seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/"+container(p, r).Name,
			"container.seccomp.security.alpha.kubernetes.io/gone"), oneOf(r, "runtime/default", "docker/default", "localhost/x", "unconfined", ""))
	},
	func(p *corev1.Pod, r *rand.Rand) {
		annotate(p, "container.apparmor.security.beta.kubernetes.io/"+oneOf(r, container(p, r).Name, "gone"),
			oneOf(r, "runtime/default", "localhost/x", "unconfined", ""))
	},
	func(p *corev1.Pod, r *rand.Rand) { addVolume(p, r) },
	func(p *corev1.Pod, r *rand.Rand) { addVolume(p, r) },
	func(p *corev1.Pod, r *rand.Rand) {
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debug", Image: "tools", SecurityContext: &corev1.SecurityContext{Privileged: maybe(r, r.IntN(2) == 0)},
		}})
	},
	func(p *corev1.Pod, _ *rand.Rand) {
		always := corev1.ContainerRestartPolicyAlways
		p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "sidecar", Image: "proxy", RestartPolicy: &always})
	},
	func(p *corev1.Pod, r *rand.Rand) { container(p, r).SecurityContext = nil },
	func(p *corev1.Pod, r *rand.Rand) { context(p, r).Privileged = maybe(r, r.IntN(2) == 0) },
	func(p *corev1.Pod, r *rand.Rand) { context(p, r).AllowPrivilegeEscalation = maybe(r, r.IntN(2) == 0) },
	func(p *corev1.Pod, r *rand.Rand) { context(p, r).RunAsNonRoot = maybe(r, r.IntN(2) == 0) },
	func(p *corev1.Pod, r *rand.Rand) { context(p, r).RunAsUser = maybe(r, oneOf[int64](r, 0, 1, 1000)) },
	func(p *corev1.Pod, r *rand.Rand) {
		context(p, r).ProcMount = maybe(r, oneOf(r, corev1.DefaultProcMount, corev1.UnmaskedProcMount, ""))
	},
	func(p *corev1.Pod, r *rand.Rand) { context(p, r).SeccompProfile = seccomp(r) },
	func(p *corev1.Pod, r *rand.Rand) { context(p, r).AppArmorProfile = appArmor(r) },
	func(p *corev1.Pod, r *rand.Rand) { context(p, r).SELinuxOptions = seLinux(r) },
	func(p *corev1.Pod, r *rand.Rand) { context(p, r).WindowsOptions = windows(r) },
	func(p *corev1.Pod, r *rand.Rand) { context(p, r).Capabilities = capabilities(r) },
	func(p *corev1.Pod, r *rand.Rand) { context(p, r).Capabilities = capabilities(r) },
	func(p *corev1.Pod, r *rand.Rand) {
		c := container(p, r)
		c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: 80, HostPort: oneOf[int32](r, 0, 80)})
	},
	func(p *corev1.Pod, r *rand.Rand) {
		c, probe := container(p, r), &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: httpGet(r), TCPSocket: tcpSocket(r)}}
		*oneOf(r, &c.LivenessProbe, &c.ReadinessProbe, &c.StartupProbe) = probe
	},
	func(p *corev1.Pod, r *rand.Rand) {
		handler := &corev1.LifecycleHandler{HTTPGet: httpGet(r), TCPSocket: tcpSocket(r)}
		container(p, r).Lifecycle = oneOf(r, &corev1.Lifecycle{}, &corev1.Lifecycle{PostStart: handler}, &corev1.Lifecycle{PreStop: handler})
	},
}

func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

func maybe[T any](r *rand.Rand, v T) *T {
	if r.IntN(3) == 0 {
		return nil
	}
	return &v
}

// container returns any container, an ephemeral one as the others.
func container(p *corev1.Pod, r *rand.Rand) *corev1.Container {
	n := r.IntN(len(p.Spec.Containers) + len(p.Spec.InitContainers) + len(p.Spec.EphemeralContainers))
	if n < len(p.Spec.Containers) {
		return &p.Spec.Containers[n]
	}
	if n -= len(p.Spec.Containers); n < len(p.Spec.InitContainers) {
		return &p.Spec.InitContainers[n]
	}
	return (*corev1.Container)(&p.Spec.EphemeralContainers[n-len(p.Spec.InitContainers)].EphemeralContainerCommon)
}

func context(p *corev1.Pod, r *rand.Rand) *corev1.SecurityContext {
	c := container(p, r)
	if c.SecurityContext == nil {
		c.SecurityContext = &corev1.SecurityContext{}
	}
	return c.SecurityContext
}

func podContext(p *corev1.Pod) *corev1.PodSecurityContext {
	if p.Spec.SecurityContext == nil {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	return p.Spec.SecurityContext
}

func annotate(p *corev1.Pod, key, value string) {
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	p.Annotations[key] = value
}

func seccomp(r *rand.Rand) *corev1.SeccompProfile {
	return maybe(r, corev1.SeccompProfile{Type: oneOf(r, corev1.SeccompProfileTypeRuntimeDefault,
		corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeUnconfined, "")})
}

func appArmor(r *rand.Rand) *corev1.AppArmorProfile {
	return maybe(r, corev1.AppArmorProfile{Type: oneOf(r, corev1.AppArmorProfileTypeRuntimeDefault,
		corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeUnconfined, "")})
}

func seLinux(r *rand.Rand) *corev1.SELinuxOptions {
	return maybe(r, corev1.SELinuxOptions{
		Type: oneOf(r, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t", "spc_t"),
		User: oneOf(r, "", "", "", "system_u"), Role: oneOf(r, "", "", "", "system_r"), Level: oneOf(r, "", "s0"),
	})
}

func windows(r *rand.Rand) *corev1.WindowsSecurityContextOptions {
	return maybe(r, corev1.WindowsSecurityContextOptions{HostProcess: maybe(r, r.IntN(2) == 0)})
}

func capabilities(r *rand.Rand) *corev1.Capabilities {
	some := func(names ...corev1.Capability) []corev1.Capability {
		var out []corev1.Capability
		for range r.IntN(3) {
			out = append(out, oneOf(r, names...))
		}
		return out
	}
	return maybe(r, corev1.Capabilities{
		Add:  some("NET_BIND_SERVICE", "NET_BIND_SERVICE", "CHOWN", "CAP_CHOWN", "chown", "SYS_ADMIN", "ALL"),
		Drop: some("ALL", "ALL", "all", "NET_RAW"),
	})
}

func httpGet(r *rand.Rand) *corev1.HTTPGetAction {
	return maybe(r, corev1.HTTPGetAction{Host: oneOf(r, "", "10.0.0.1")})
}

func tcpSocket(r *rand.Rand) *corev1.TCPSocketAction {
	return maybe(r, corev1.TCPSocketAction{Host: oneOf(r, "", "10.0.0.1")})
}

func addVolume(p *corev1.Pod, r *rand.Rand) {
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: fmt.Sprintf("m%d", len(p.Spec.Volumes)), VolumeSource: oneOf(r,
		corev1.VolumeSource{},
		corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
		corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc"}},
		corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}},
		corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{}},
		corev1.VolumeSource{Image: &corev1.ImageVolumeSource{}},
		corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{}},
		corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}},
		corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{}},
		corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{}},
	)})
}
