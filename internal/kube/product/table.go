package product

// products are those that speak HTTP, the worst first where two answer alike.
// Each path only reads in every version of the product that is known, and asks
// for as little as shows that it is served: ClickHouse runs what comes by GET as
// read-only (HTTP interface, "readonly"), InfluxDB's SHOW changes nothing, and
// Jupyter leaves out what is in the folder (content=0).
//
// Vault, and others whose health is meant to be seen, are not here. Neither is
// what only a POST would tell, or a login.
//
//nolint:gochecknoglobals // a table, never changed
var products = []product{
	{
		name: "Docker API", ports: []int64{2375, 2376}, names: []string{"docker", "dind"}, gain: Control,
		root: []sign{{header: "Server", value: "docker/"}},
		questions: []question{
			{"/version", sign{media: jsonMedia, words: []string{`"ApiVersion"`, `"MinAPIVersion"`}}, "takes orders to start containers"},
		},
	},
	{
		name: "Kubernetes API", ports: []int64{6443}, names: []string{"kubernetes", "apiserver"}, gain: Control,
		root: []sign{{media: jsonMedia, words: []string{`"Status"`, "system:anonymous"}}},
		questions: []question{
			{"/api/v1/namespaces?limit=1", sign{media: jsonMedia, words: []string{`"NamespaceList"`, `"items"`}}, "lets anonymous users read the cluster"},
		},
	},
	{
		name: "Kubernetes Dashboard", names: []string{"dashboard"}, gain: Control,
		root: []sign{{words: []string{"<title>Kubernetes Dashboard"}}},
		questions: []question{
			{"/api/v1/namespace", sign{media: jsonMedia, words: []string{`"listMeta"`, `"objectMeta"`}}, "acts with the rights of its own account for whoever comes"},
		},
	},
	{
		name: "Jupyter", ports: []int64{8888}, names: []string{"jupyter", "notebook"}, gain: Control,
		root: []sign{{words: []string{"Jupyter"}}, {header: "Server", value: "tornado"}},
		questions: []question{
			{"/api/contents?content=0", sign{media: jsonMedia, words: []string{`"writable"`, `"directory"`}}, "serves its files, and runs code in notebooks"},
		},
	},
	{
		name: "Ray dashboard", ports: []int64{8265}, names: []string{"ray-head", "-head-svc", "raycluster"}, gain: Control,
		root: []sign{{words: []string{"<title>Ray Dashboard"}}},
		questions: []question{
			{"/api/version", sign{media: jsonMedia, words: []string{`"ray_version"`}}, "takes jobs, which are commands, from whoever comes"},
		},
	},
	{
		name: "Argo Workflows", ports: []int64{2746}, names: []string{"argo"}, gain: Control, weak: true,
		root: []sign{{words: []string{"<title>Argo</title>"}}},
		questions: []question{
			{"/api/v1/workflows/?listOptions.limit=1", sign{media: jsonMedia, words: []string{`"metadata"`, `"items"`}}, "lists workflows, and starts them with the rights of its account"},
		},
	},
	{
		name: "Argo CD", names: []string{"argocd"}, gain: Control,
		root: []sign{{words: []string{"<title>Argo CD</title>"}}},
		questions: []question{
			{"/api/v1/applications?fields=metadata", sign{media: jsonMedia, words: []string{`"metadata"`, `"resourceVersion"`}}, "shows applications to anonymous users"},
		},
	},
	{
		name: "Airflow", names: []string{"airflow"}, gain: Control,
		root: []sign{{words: []string{"<title>Airflow"}}},
		questions: []question{
			{"/api/v2/dags?limit=1", sign{media: jsonMedia, words: []string{`"dags"`, `"total_entries"`}}, "lists workflows, and starts them"},
			{"/api/v1/dags?limit=1", sign{media: jsonMedia, words: []string{`"dags"`, `"total_entries"`}}, "lists workflows, and starts them"},
		},
	},
	{
		name: "Kubeflow Pipelines", names: []string{"ml-pipeline", "kubeflow"}, gain: Control,
		questions: []question{
			{"/apis/v2beta1/pipelines?page_size=1", sign{media: jsonMedia, words: []string{`"pipelines"`}}, "lists pipelines, and runs new ones"},
			{"/apis/v1beta1/pipelines?page_size=1", sign{media: jsonMedia, words: []string{`"pipelines"`}}, "lists pipelines, and runs new ones"},
		},
	},
	{
		name: "Spark master", ports: []int64{8080}, names: []string{"spark"}, gain: Control,
		root: []sign{{words: []string{"Spark Master at"}}},
		questions: []question{
			{"/json/", sign{media: jsonMedia, words: []string{`"aliveworkers"`}}, "lists its workers, and takes applications to run"},
		},
	},
	{
		name: "Spark application", ports: []int64{4040, 18080}, names: []string{"spark"}, gain: Insight,
		root: []sign{{words: []string{"spark-logo"}}},
		questions: []question{
			{"/api/v1/applications?limit=1", sign{media: jsonMedia, words: []string{`"attempts"`, `"sparkUser"`}}, "shows what it runs and its settings"},
		},
	},
	{
		name: "Flink", ports: []int64{8081}, names: []string{"flink", "jobmanager"}, gain: Control,
		root: []sign{{words: []string{"Apache Flink Web Dashboard"}}},
		questions: []question{
			{"/config", sign{media: jsonMedia, words: []string{`"flink-version"`}}, "takes programs to run"},
		},
	},
	{
		name: "YARN", ports: []int64{8088}, names: []string{"yarn", "resourcemanager"}, gain: Control,
		questions: []question{
			{"/ws/v1/cluster/info", sign{media: jsonMedia, words: []string{`"clusterInfo"`, `"hadoopVersion"`}}, "takes applications to run"},
		},
	},
	{
		name: "Weave Scope", ports: []int64{4040}, names: []string{"weave-scope"}, gain: Control,
		root: []sign{{words: []string{"<title>Weave Scope"}}},
		questions: []question{
			{"/api/topology", sign{media: jsonMedia, words: []string{`"/api/topology/`}}, "shows the cluster, and opens shells in its containers"},
		},
	},
	{
		name: "Solr", ports: []int64{8983}, names: []string{"solr"}, gain: Control,
		root: []sign{{header: "Location", value: "/solr/"}},
		questions: []question{
			{"/solr/admin/info/system?wt=json", sign{words: []string{`"solr_home"`, `"lucene"`}}, "serves its administration"},
		},
	},
	{
		name: "Envoy administration", ports: []int64{9901, 15000}, gain: Control,
		root: []sign{{words: []string{"<title>Envoy Admin</title>"}}},
		questions: []question{
			{"/server_info", sign{words: []string{`"hot_restart_version"`}}, "shows its settings, and takes orders such as to stop"},
		},
	},
	{
		name: "Kong administration", ports: []int64{8001, 8444}, names: []string{"kong-admin"}, gain: Control,
		root: []sign{{media: jsonMedia, words: []string{"Welcome to kong"}}},
		questions: []question{
			{"/", sign{media: jsonMedia, words: []string{"Welcome to kong"}}, "takes changes of its routes"},
		},
	},
	{
		name: "Elasticsearch", ports: []int64{9200}, names: []string{"elastic"}, gain: Data, weak: true,
		root: []sign{{header: "X-Elastic-Product"}, {media: jsonMedia, words: []string{"You Know, for Search"}}},
		questions: []question{
			{"/_cat/indices?format=json&h=health", sign{media: jsonMedia, begins: "["}, "lists its indices"},
		},
	},
	{
		name: "OpenSearch", names: []string{"opensearch"}, gain: Data, weak: true,
		root: []sign{{media: jsonMedia, words: []string{"The OpenSearch Project"}}},
		questions: []question{
			{"/_cat/indices?format=json&h=health", sign{media: jsonMedia, begins: "["}, "lists its indices"},
		},
	},
	{
		name: "Kibana", ports: []int64{5601}, names: []string{"kibana"}, gain: Data,
		root: []sign{{header: "Kbn-Name"}, {header: "Kbn-License-Sig"}},
		questions: []question{
			{"/api/spaces/space", sign{media: jsonMedia, begins: "[", words: []string{`"disabledFeatures"`}}, "lists its spaces, and with them shows the data of Elasticsearch"},
		},
	},
	{
		name: "CouchDB", ports: []int64{5984}, names: []string{"couchdb"}, gain: Data, weak: true,
		root: []sign{{media: jsonMedia, words: []string{`"couchdb"`, "Welcome"}}},
		questions: []question{
			{"/_all_dbs?limit=1", sign{media: jsonMedia, begins: "["}, "lists its databases"},
		},
	},
	{
		name: "etcd", ports: []int64{2379, 4001}, names: []string{"etcd"}, gain: Data,
		questions: []question{
			{"/version", sign{media: jsonMedia, words: []string{`"etcdserver"`, `"etcdcluster"`}}, "talks to whoever comes without a client's certificate, so that only users of its own, off by default, would guard its keys"},
		},
	},
	{
		name: "Consul", ports: []int64{8500, 8501}, names: []string{"consul"}, gain: Data,
		root: []sign{{words: []string{"Consul Agent"}}, {header: "Location", value: "/ui/"}},
		questions: []question{
			{"/v1/agent/self", sign{media: jsonMedia, words: []string{`"Config"`, `"Member"`}}, "shows its settings, services and keys"},
		},
	},
	{
		name: "ClickHouse", ports: []int64{8123, 8443}, names: []string{"clickhouse"}, gain: Data, weak: true,
		root: []sign{{header: "X-Clickhouse-Summary"}, {header: "X-Clickhouse-Server-Display-Name"}, {whole: "Ok."}},
		questions: []question{
			{"/?query=SELECT%201", sign{whole: "1"}, "runs queries as its default user"},
		},
	},
	{
		name: "InfluxDB", ports: []int64{8086}, names: []string{"influx"}, gain: Data,
		root: []sign{{header: "X-Influxdb-Version"}},
		questions: []question{
			{"/query?q=SHOW%20DATABASES", sign{media: jsonMedia, words: []string{`"results"`, `"series"`}}, "lists its databases"},
		},
	},
	{
		name: "Neo4j", ports: []int64{7474}, names: []string{"neo4j"}, gain: Data,
		root: []sign{{media: jsonMedia, words: []string{`"bolt_`, `"neo4j_version"`}}},
		questions: []question{
			{"/db/data/", sign{media: jsonMedia, words: []string{`"neo4j_version"`, `"node"`}}, "serves its graph"},
		},
	},
	{
		name: "Qdrant", ports: []int64{6333}, names: []string{"qdrant"}, gain: Data,
		root: []sign{{media: jsonMedia, words: []string{"qdrant - vector search engine"}}},
		questions: []question{
			{"/collections", sign{media: jsonMedia, words: []string{`"result"`, `"collections"`}}, "lists its collections"},
		},
	},
	{
		name: "Weaviate", names: []string{"weaviate"}, gain: Data,
		questions: []question{
			{"/v1/schema", sign{media: jsonMedia, words: []string{`"classes"`}}, "shows its schema, and with it its data"},
		},
	},
	{
		name: "Meilisearch", ports: []int64{7700}, names: []string{"meilisearch"}, gain: Data,
		questions: []question{
			{"/indexes?limit=1", sign{media: jsonMedia, words: []string{`"results"`, `"limit"`, `"total"`}}, "lists its indices"},
		},
	},
	{
		name: "Docker registry", ports: []int64{5000}, names: []string{"registry"}, gain: Data,
		questions: []question{
			{"/v2/_catalog?n=1", sign{media: jsonMedia, words: []string{`"repositories"`}}, "lists its images"},
		},
	},
	{
		name: "MinIO", ports: []int64{9000}, names: []string{"minio"}, gain: Data,
		root: []sign{{header: "Server", value: "MinIO"}},
		questions: []question{
			{"/", sign{words: []string{"ListAllMyBucketsResult"}}, "lists its buckets"},
		},
	},
	{
		name: "Jenkins", names: []string{"jenkins"}, gain: Data,
		root: []sign{{header: "X-Jenkins"}},
		questions: []question{
			{"/api/json?tree=mode", sign{media: jsonMedia, words: []string{`"_class"`, `hudson`}}, "shows jobs and what they print to anonymous users"},
		},
	},
	{
		name: "RabbitMQ management", ports: []int64{15672}, names: []string{"rabbitmq"}, gain: Data,
		root: []sign{{words: []string{"<title>RabbitMQ Management"}}},
		questions: []question{
			{"/api/overview", sign{media: jsonMedia, words: []string{`"management_version"`}}, "shows its queues"},
		},
	},
	{
		name: "MLflow", ports: []int64{5000}, names: []string{"mlflow"}, gain: Data,
		root: []sign{{words: []string{"<title>MLflow"}}},
		questions: []question{
			{"/ajax-api/2.0/mlflow/experiments/search?max_results=1", sign{media: jsonMedia, words: []string{`"experiments"`, `"artifact_location"`}}, "lists experiments, and serves and takes models"},
		},
	},
	{
		name: "Ollama", ports: []int64{11434}, names: []string{"ollama"}, gain: Data, weak: true,
		root: []sign{{whole: "Ollama is running"}},
		questions: []question{
			{"/api/version", sign{media: jsonMedia, words: []string{`"version"`}}, "runs, pulls and deletes models for whoever comes"},
		},
	},
	{
		name: "Spring Boot Actuator", names: []string{"actuator", "management"}, gain: Data,
		root: []sign{
			{words: []string{"Whitelabel Error Page"}},
			{media: jsonMedia, words: []string{`"timestamp"`, `"status"`, `"error"`, `"path"`}},
		},
		questions: []question{
			{"/actuator/env", sign{words: []string{`"propertySources"`}}, "shows its settings and environment variables"},
		},
	},
	{
		name: "Prometheus", ports: []int64{9090}, names: []string{"prometheus"}, gain: Insight,
		root: []sign{{words: []string{"<title>Prometheus"}}},
		questions: []question{
			{"/api/v1/status/config", sign{media: jsonMedia, words: []string{`"success"`, `"yaml"`}}, "shows its configuration and every measurement"},
		},
	},
	{
		name: "Alertmanager", ports: []int64{9093}, names: []string{"alertmanager"}, gain: Insight,
		root: []sign{{words: []string{"<title>Alertmanager"}}},
		questions: []question{
			{"/api/v2/status", sign{media: jsonMedia, words: []string{`"versionInfo"`, `"cluster"`}}, "shows its configuration, and silences alerts"},
		},
	},
	{
		name: "Grafana", ports: []int64{3000}, names: []string{"grafana"}, gain: Insight, weak: true,
		root: []sign{{words: []string{"<title>Grafana"}}},
		questions: []question{
			{"/api/org", sign{media: jsonMedia, words: []string{`"id"`, `"name"`, `"address"`}}, "shows dashboards to anonymous users"},
		},
	},
	{
		name: "cAdvisor", ports: []int64{4194}, names: []string{"cadvisor"}, gain: Insight,
		root: []sign{{header: "Location", value: "/containers/"}},
		questions: []question{
			{"/api/v1.3/machine", sign{media: jsonMedia, words: []string{`"num_cores"`, `"machine_id"`}}, "describes the node and its containers"},
		},
	},
	{
		name: "Traefik dashboard", ports: []int64{9000}, names: []string{"traefik"}, gain: Insight,
		root: []sign{{header: "Location", value: "/dashboard/"}},
		questions: []question{
			{"/api/version", sign{media: jsonMedia, words: []string{`"Version"`, `"Codename"`}}, "shows its routes"},
		},
	},
	{
		name: "Hubble UI", names: []string{"hubble-ui"}, gain: Insight,
		root: []sign{{words: []string{"<title>Hubble UI</title>"}}},
		questions: []question{
			{"/", sign{words: []string{"<title>Hubble UI</title>"}}, "shows who talks to whom in the cluster"},
		},
	},
	{
		name: "NATS monitoring", ports: []int64{8222}, names: []string{"nats"}, gain: Insight,
		questions: []question{
			{"/varz", sign{media: jsonMedia, words: []string{`"server_id"`, `"max_connections"`}}, "shows its settings and connections"},
		},
	},
	{
		name: "OpenAI-compatible model server", names: []string{"vllm", "llm", "inference"}, gain: Insight,
		questions: []question{
			{"/v1/models", sign{media: jsonMedia, words: []string{`"data"`, `"owned_by"`}}, "runs its models for whoever comes"},
		},
	},
}
