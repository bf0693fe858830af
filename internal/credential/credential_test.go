package credential_test

import (
	"strings"
	"testing"

	"seawall.io/seawall/internal/credential"
)

// Values that scanners of repositories look for are put together here, so that
// this file holds none.
var (
	key  = "-----BEGIN RSA " + "PRIVATE KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEAx7Vd2s9Q\n", 4) + "-----END RSA " + "PRIVATE KEY-----\n"
	akia = "AKIA" + "Z3MGQ5LH2RTW7YBC"
	ghp  = "ghp" + "_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
	jwt  = "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
)

func TestFind(t *testing.T) {
	tests := []struct{ name, key, value, want string }{
		{"private key", "tls.key", key, "a private key"},
		{"private key in JSON", "sa.json", `{"private_key": "` + strings.ReplaceAll(key, "\n", `\n`) + `"}`, "a private key"},
		{"access key", "x", akia, "an AWS access key"},
		{"access key in a text", "config", "[default]\nid = " + akia + "\n", "an AWS access key"},
		{"github", "X", ghp, "a GitHub token"},
		{"gitlab", "X", "glpat" + "-aB3dE5fG7hJ9kL1mN3pQ", "a GitLab token"},
		{"slack", "X", "xoxb" + "-123456789012-aBcDeFgHiJkL", "a Slack token"},
		{"slack webhook", "url", "https://hooks.slack.com" + "/services/T0AB12CD3/B0AB12CD3/aB3dE5fG7hJ9kL1mN3pQ5rS7", "a Slack webhook address"},
		{"stripe", "X", "sk" + "_live_aB3dE5fG7hJ9kL1mN3pQ", "a Stripe key"},
		{"google", "X", "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q", "a Google API key"},
		{"jwt", "X", jwt, "a JSON web token"},
		{"registry", ".dockerconfigjson", `{"auths":{"r":{"auth":"dXNlcjpwYXNz"}}}`, "credentials of a registry"},
		{"azure", "X", "DefaultEndpointsProtocol=https;AccountKey=" + strings.Repeat("aB3d+E5f/G", 8) + "aB3dE5==", "an Azure storage key"},
		{"address", "DATABASE_URL", "postgres://shop:s3cr3t@db:5432/shop", "an address with a password in it"},
		{"address in a text", "app.conf", "a: b\nurl: amqp://u:hunter2@mq\n", "an address with a password in it"},
		{"address without user", "REDIS_URL", "redis://:hunter2@cache:6379/0", "an address with a password in it"},
		{"password", "DB_PASSWORD", "hunter2", "a password"},
		{"weak password", "POSTGRES_PASSWORD", "postgres", "a password"},
		{"password as password", "PASSWORD", "password", "a password"},
		{"digits", "db-password", "123456", "a password"},
		{"camel case", "dbPassword", "hunter2", "a password"},
		{"joined", "PGPASSWORD", "hunter2", "a password"},
		{"passwd", "mysql.passwd", "hunter2", "a password"},
		{"pass", "SMTP_PASS", "hunter2", "a password"},
		{"hash", "admin.password", "$2a$10$rRyBsGSHK6.uc8fntPwVIu", "the hash of a password"},
		{"token", "API_TOKEN", "8f14e45fceea167a5a36dedd4bea2543", "a token"},
		{"secret", "clientSecret", "9aF3kQ2mZ8xW1pLr", "a secret"},
		{"api key", "API_KEY", "9aF3kQ2mZ8xW1pLr", "an API key"},
		{"aws secret", "AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzQ1234567a", "an AWS secret access key"},
		{"token password", "SECRET_PASSWORD", "hunter2", "a password"},
		{"properties", "application.properties", "spring.datasource.username=shop\nspring.datasource.password=hunter2\n", "a password, under spring.datasource.password"},
		{"yaml", "config.yaml", "db:\n  user: shop\n  password: \"hunter2\" # of the test\n", "a password, under password"},
		{"json", "config.json", `{"db":{"user":"shop","password":"hunter2"}}`, "a password, under password"},
		{"xml", "settings.xml", "<server>\n<password>hunter2</password>\n</server>", "a password, under password"},
		{"shell", "env.sh", "export DB_PASSWORD=hunter2\n", "a password, under DB_PASSWORD"},
		{"connection string", "ConnectionString", "Server=db;User Id=sa;Password=Hunter2!;", "a password, under Password"},
		{"ini token", "x.ini", "[a]\ntoken = 8f14e45fceea167a5a36dedd4bea2543\n", "a token, under token"},
		{"yaml item", "c.yaml", "users:\n- name: a\n- password: hunter2\n", "a password, under password"},

		{"empty", "PASSWORD", "", ""},
		{"spaces", "PASSWORD", "  \n", ""},
		{"change me", "PASSWORD", "changeme", ""},
		{"your", "PASSWORD", "your-password-here", ""},
		{"angle brackets", "PASSWORD", "<password>", ""},
		{"stars", "PASSWORD", "********", ""},
		{"x", "PASSWORD", "xxxxxx", ""},
		{"shell variable", "PASSWORD", "$DB_PASSWORD", ""},
		{"braces", "PASSWORD", "${DB_PASSWORD}", ""},
		{"Kubernetes variable", "PASSWORD", "$(DB_PASSWORD)", ""},
		{"template", "PASSWORD", "{{ .Values.password }}", ""},
		{"in a template", "PASSWORD", "prefix-{{ .Values.password }}", ""},
		{"path", "PASSWORD", "/run/secrets/db", ""},
		{"vault", "PASSWORD", "vault:secret/data/db#password", ""},
		{"onepassword", "PASSWORD", "op://vault/db/password", ""},
		{"arn", "DB_SECRET", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db", ""},
		{"sops", "PASSWORD", "ENC[AES256_GCM,data:abc]", ""},
		{"redacted", "PASSWORD", "seawall:redacted length=7", ""},
		{"bool", "PASSWORD", "true", ""},
		{"file", "DB_PASSWORD_FILE", "hunter2", ""},
		{"name", "secretName", "db-credentials-1", ""},
		{"policy", "PASSWORD_POLICY", "strong1234", ""},
		{"min length", "passwordMinLength", "12", ""},
		{"ttl", "tokenTTL", "3600s1234", ""},
		{"tokens", "MAX_TOKENS", "4096abcd9", ""},
		{"tokenizer", "TOKENIZER", "gpt2-abcdefg1", ""},
		{"working directory", "PWD", "hunter2", ""},
		{"bypass", "BYPASS", "hunter2", ""},
		{"compass", "COMPASS_MODE", "north", ""},
		{"secret that is a name", "TLS_SECRET", "shop-tls-v2", ""},
		{"token that is a word", "TOKEN", "bearer", ""},
		{"short token", "TOKEN", "a1b2", ""},
		{"issuer", "TOKEN_ISSUER", "https://issuer.example.com/a1b2c3", ""},
		{"public key", "ca.crt", "-----BEGIN CERTIFICATE-----\n" + strings.Repeat("MIIEpAIBAAKCAQEAx7Vd2s9Q\n", 4) + "-----END CERTIFICATE-----\n", ""},
		{"public key by name", "jwt.pub", "-----BEGIN PUBLIC KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEAx7Vd2s9Q\n", 4) + "-----END PUBLIC KEY-----\n", ""},
		{"private key in a documentation", "README", "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----", ""},
		{"example of AWS", "X", "AKIAIOSFODNN7" + "EXAMPLE", ""},
		{"long upper-case word", "X", "THISISAKIAWORDTHATISNOTAKEY", ""},
		{"placeholder of GitHub", "X", "ghp" + "_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", ""},
		{"address without password", "DATABASE_URL", "postgres://shop@db:5432/shop", ""},
		{"address with a port", "URL", "http://host:8080/a@b", ""},
		{"address with a variable", "DATABASE_URL", "postgres://shop:$(PASSWORD)@db/shop", ""},
		{"address of a documentation", "DATABASE_URL", "postgres://user:password@host/db", ""},
		{"address with placeholder", "DATABASE_URL", "postgres://shop:<password>@host/db", ""},
		{"no secret", "LOG_LEVEL", "debug", ""},
		{"long harmless text", "index.html", "<html>\n<p>Password: <b>enter</b></p>\n</html>", ""},
		{"comment", "app.conf", "a=b\n# password=hunter2\n; token=8f14e45fceea167a5a36dedd4bea2543\n", ""},
		{"schema", "schema.yaml", "properties:\n  password:\n    type: string\n  token: string\n", ""},
		{"code", "app.py", "import os\npassword = os.environ['PASSWORD']\ntoken = get_token()\nself.password = password\n", ""},
		{"code of Go", "a.go", "x := 1\npassword := cfg.Password\n", ""},
		{"nginx", "nginx.conf", "server {\n  listen 80;\n  auth_basic_user_file /etc/htpasswd;\n}\n", ""},
		{"sentence", "motd", "Hello\npassword: the one that you were sent\n", ""},
		{"shell substitution", "run.sh", "set -e\nPASSWORD=$(cat /run/secret)\nTOKEN=\"${TOKEN:-}\"\n", ""},
		{"dashboard", "dash.json", `{"title":"Tokens","targets":[{"expr":"sum(rate(tokens_total[5m]))"}],"uid":"a1b2c3d4e5"}`, ""},
		{"annotated key reference", "values.yaml", "auth:\n  existingSecret: shop-db\n  secretKeys:\n    adminPasswordKey: postgres-password\n", ""},
		{"sha", "image.digest", "sha256:8f14e45fceea167a5a36dedd4bea2543", ""},
		{"checksum under a harmless name", "CONFIG_HASH", "8f14e45fceea167a5a36dedd4bea2543", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := credential.Find(tt.key, tt.value)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("Find(%q, %q): got %q %t, want %q", tt.key, tt.value, got, ok, tt.want)
			}
		})
	}
}

// TestFindKeepsSecrets makes sure that no kind repeats what was found.
func TestFindKeepsSecrets(t *testing.T) {
	for _, text := range []string{"hunter2secret9", akia, ghp, jwt} {
		for _, format := range []string{"%", "a: b\npassword: %\n", `{"token":"%"}`, "postgres://u:%@h/d"} {
			kind, _ := credential.Find("PASSWORD", strings.ReplaceAll(format, "%", text))
			if strings.Contains(kind, text) {
				t.Errorf("the kind %q holds the value", kind)
			}
		}
	}
}

func BenchmarkFind(b *testing.B) {
	text := strings.Repeat("some.setting: a value that is not one\nother = 1\nurl: http://host:80/a\n\ttokens: 5\n", 200)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		credential.Find("config", text)
	}
}
