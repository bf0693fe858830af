package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/cluster"
)

func TestPodTemplatesArePlaced(t *testing.T) {
	const pod = "{containers: [{name: a, image: x}]}"
	tests := []struct {
		name, in string
		// want are the path of the template, that of the spec and those of the
		// containers, for each template.
		want [][]string
	}{
		{"pod", "{apiVersion: v1, kind: Pod, spec: " + pod + "}", [][]string{{"", "spec", "spec.containers[0]"}}},
		{"pod-without-spec", "{apiVersion: v1, kind: Pod}", nil},
		{"deployment", "{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: " + pod + "}}}", [][]string{{"spec.template", "spec.template.spec", "spec.template.spec.containers[0]"}}},
		{"old-deployment", "{apiVersion: extensions/v1beta1, kind: Deployment, spec: {template: {spec: " + pod + "}}}", [][]string{{"spec.template", "spec.template.spec", "spec.template.spec.containers[0]"}}},
		{"statefulset", "{apiVersion: apps/v1, kind: StatefulSet, spec: {template: {spec: " + pod + "}}}", [][]string{{"spec.template", "spec.template.spec", "spec.template.spec.containers[0]"}}},
		{"replication-controller", "{apiVersion: v1, kind: ReplicationController, spec: {template: {spec: " + pod + "}}}", [][]string{{"spec.template", "spec.template.spec", "spec.template.spec.containers[0]"}}},
		{"pod-template", "{apiVersion: v1, kind: PodTemplate, template: {spec: " + pod + "}}", [][]string{{"template", "template.spec", "template.spec.containers[0]"}}},
		{"cron-job", "{apiVersion: batch/v1, kind: CronJob, spec: {jobTemplate: {spec: {template: {spec: " + pod + "}}}}}", [][]string{{"spec.jobTemplate.spec.template", "spec.jobTemplate.spec.template.spec", "spec.jobTemplate.spec.template.spec.containers[0]"}}},
		{"job-without-template", "{apiVersion: batch/v1, kind: Job, spec: {}}", nil},
		{"argo-rollout", "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, spec: {template: {metadata: {labels: {a: b}}, spec: " + pod + "}}}", [][]string{{"spec.template", "spec.template.spec", "spec.template.spec.containers[0]"}}},
		{"openkruise-cloneset", "{apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, spec: {template: {spec: " + pod + "}}}", [][]string{{"spec.template", "spec.template.spec", "spec.template.spec.containers[0]"}}},
		{"knative-service", "{apiVersion: serving.knative.dev/v1, kind: Service, spec: {template: {spec: " + pod + "}}}", [][]string{{"spec.template", "spec.template.spec", "spec.template.spec.containers[0]"}}},
		{"keda-scaledjob", "{apiVersion: keda.sh/v1alpha1, kind: ScaledJob, spec: {jobTargetRef: {template: {spec: " + pod + "}}}}", [][]string{{"spec.jobTargetRef.template", "spec.jobTargetRef.template.spec", "spec.jobTargetRef.template.spec.containers[0]"}}},
		{"sandbox-template", "{apiVersion: extensions.agents.x-k8s.io/v1alpha1, kind: SandboxTemplate, spec: {podTemplate: {spec: " + pod + "}}}", [][]string{{"spec.podTemplate", "spec.podTemplate.spec", "spec.podTemplate.spec.containers[0]"}}},
		{"deployment-config", "{apiVersion: apps.openshift.io/v1, kind: DeploymentConfig, spec: {template: {spec: " + pod + "}}}", [][]string{{"spec.template", "spec.template.spec", "spec.template.spec.containers[0]"}}},
		{
			"jobset-of-two",
			"{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, spec: {replicatedJobs: [{template: {spec: {template: {spec: " + pod + "}}}}, {template: {spec: {template: {spec: " + pod + "}}}}]}}",
			[][]string{
				{"spec.replicatedJobs[0].template.spec.template", "spec.replicatedJobs[0].template.spec.template.spec", "spec.replicatedJobs[0].template.spec.template.spec.containers[0]"},
				{"spec.replicatedJobs[1].template.spec.template", "spec.replicatedJobs[1].template.spec.template.spec", "spec.replicatedJobs[1].template.spec.template.spec.containers[0]"},
			},
		},
		{"argo-workflow", "{apiVersion: argoproj.io/v1alpha1, kind: Workflow, spec: {entrypoint: a, templates: [{name: a, steps: [[{name: b, template: b}]]}, {name: b, container: {image: x}}, {name: c, script: {image: y, source: z}, sidecars: [{name: s, image: w}]}]}}", [][]string{{"", "spec.templates[1]", "spec.templates[1].container"}, {"", "spec.templates[2]", "spec.templates[2].sidecars[0]", "spec.templates[2].script"}}},
		{"tekton-task", "{apiVersion: tekton.dev/v1, kind: Task, spec: {steps: [{name: a, image: x}], sidecars: [{name: b, image: y}]}}", [][]string{{"", "spec", "spec.steps[0]", "spec.sidecars[0]"}}},
		{"tekton-taskrun", "{apiVersion: tekton.dev/v1, kind: TaskRun, spec: {taskSpec: {steps: [{image: x}]}}}", [][]string{{"", "spec.taskSpec", "spec.taskSpec.steps[0]"}}},
		{"tekton-pipeline", "{apiVersion: tekton.dev/v1, kind: Pipeline, spec: {tasks: [{name: t, taskSpec: {steps: [{image: x}]}}]}}", [][]string{{"", "spec.tasks[0].taskSpec", "spec.tasks[0].taskSpec.steps[0]"}}},
		{"key-with-a-dot", "{apiVersion: example.com/v1, kind: Many, spec: {by.name: {template: {spec: " + pod + "}}}}", [][]string{{`spec["by.name"].template`, `spec["by.name"].template.spec`, `spec["by.name"].template.spec.containers[0]`}}},
		{"template-whose-operator-knows-the-image", "{apiVersion: elasticsearch.k8s.elastic.co/v1, kind: Elasticsearch, spec: {podTemplate: {spec: {containers: [{name: elasticsearch}]}}}}", [][]string{{"spec.podTemplate", "spec.podTemplate.spec", "spec.podTemplate.spec.containers[0]"}}},
		{"bare-spec", "{apiVersion: apps.kruise.io/v1alpha1, kind: SidecarSet, spec: " + pod + "}", [][]string{{"", "spec", "spec.containers[0]"}}},

		// What only looks like a pod.
		{"custom-resource-definition", "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, spec: {versions: [{schema: {template: {spec: " + pod + "}}}]}}", nil},
		{"kyverno-policy", "{apiVersion: kyverno.io/v1, kind: ClusterPolicy, spec: {rules: [{validate: {pattern: {spec: " + pod + "}}}]}}", nil},
		{"new-kyverno-policy", "{apiVersion: policies.kyverno.io/v1, kind: MutatingPolicy, spec: {patch: {spec: " + pod + "}}}", nil},
		{"gatekeeper-constraint", "{apiVersion: constraints.gatekeeper.sh/v1beta1, kind: K8sPod, spec: {parameters: {spec: " + pod + "}}}", nil},
		{"admission-policy", "{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicy, spec: {spec: " + pod + "}}", nil},
		{"role", "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, rules: [{spec: " + pod + "}]}", nil},
		{"configmap", "{apiVersion: v1, kind: ConfigMap, data: {spec: " + pod + "}}", nil},
		{"pod-metrics", "{apiVersion: metrics.k8s.io/v1beta1, kind: PodMetrics, containers: [{name: a, usage: {cpu: 1}}]}", nil},
		{"profile-of-containers", "{apiVersion: spdx.softwarecomposition.kubescape.io/v1beta1, kind: ApplicationProfile, spec: {containers: [{name: a, execs: []}]}}", nil},
		{"status", "{apiVersion: example.com/v1, kind: Seen, status: {template: {spec: " + pod + "}}}", nil},
		{"names-of-containers", "{apiVersion: example.com/v1, kind: Pick, spec: {containers: [a, b]}}", nil},
		{"empty-list", "{apiVersion: example.com/v1, kind: Pick, spec: {containers: []}}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got [][]string
			o := snapshot(t, tt.in).Objects[0]
			for _, tmpl := range cluster.PodTemplates(o) {
				paths := []string{tmpl.Path, tmpl.SpecPath}
				for _, c := range tmpl.Containers {
					paths = append(paths, c.Path)
					if n, _ := o.Root.Find(c.Path); n != c.Root {
						t.Errorf("another value stands at %s", c.Path)
					}
				}
				if n, _ := o.Root.Find(tmpl.SpecPath); n != tmpl.Spec() {
					t.Errorf("another value stands at %s", tmpl.SpecPath)
				}
				got = append(got, paths)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error("(-want +got)", diff)
			}
		})
	}
}

func TestContainersHaveRoles(t *testing.T) {
	const text = `
apiVersion: v1
kind: Pod
spec:
  containers: [{name: a}]
  initContainers: [{name: b}, {name: c, restartPolicy: Always}, {name: d, restartPolicy: Never}]
  ephemeralContainers: [{name: e, image: busybox}]
`
	tmpl := cluster.PodTemplates(snapshot(t, text).Objects[0])[0]
	got := map[string]cluster.ContainerType{}
	for _, c := range tmpl.Containers {
		got[c.Name()] = c.Type
	}
	want := map[string]cluster.ContainerType{
		"a": cluster.Main, "b": cluster.Init, "c": cluster.Sidecar, "d": cluster.Init, "e": cluster.Ephemeral,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)", diff)
	}
}

func TestMalformedContainersAreNamed(t *testing.T) {
	tests := []struct {
		name, spec string
		want       []string
	}{
		{"mapping", "{containers: {name: a}}", []string{"spec.containers"}},
		{"text", "{containers: nginx, initContainers: [{name: a}]}", []string{"spec.containers"}},
		{"item", "{containers: [{name: a}, nginx], initContainers: [null]}", []string{"spec.containers[1]", "spec.initContainers[0]"}},
		{"spec", "nginx", []string{"spec"}},
		{"null-is-absent", "{containers: null}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := snapshot(t, "{apiVersion: v1, kind: Pod, spec: "+tt.spec+"}").Objects[0]
			if diff := cmp.Diff(tt.want, cluster.PodTemplates(o)[0].Malformed); diff != "" {
				t.Error("(-want +got)", diff)
			}
		})
	}
}

func TestServiceAccountAndNamespace(t *testing.T) {
	tests := []struct{ name, in, account, namespace string }{
		{"defaults", "{apiVersion: v1, kind: Pod, spec: {}}", "default", "default"},
		{"named", "{apiVersion: v1, kind: Pod, metadata: {namespace: shop}, spec: {serviceAccountName: a, serviceAccount: b}}", "a", "shop"},
		{"old-name", "{apiVersion: v1, kind: Pod, spec: {serviceAccount: b}}", "b", "default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tmpl := cluster.PodTemplates(snapshot(t, tt.in).Objects[0])[0]
			if got := tmpl.ServiceAccount(); got != tt.account {
				t.Errorf("account: got %q, want %q", got, tt.account)
			}
			if got := tmpl.Namespace(); got != tt.namespace {
				t.Errorf("namespace: got %q, want %q", got, tt.namespace)
			}
		})
	}
}
