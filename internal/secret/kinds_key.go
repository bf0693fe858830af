package secret

import "slices"

// Kinds returns all kinds, those of the same subject together. The caller may
// not change them.
func Kinds() []*Kind { return engine().kinds }

func allKinds() []*Kind {
	return slices.Concat(keyKinds(), codeKinds(), cloudKinds(), serviceKinds(), plainKinds())
}

// keyKinds are private keys and what is signed with them.
func keyKinds() []*Kind {
	return []*Kind{
		{Slug: "private-key", Title: "a private key", Opens: "what trusts its public key", Docs: "https://www.rfc-editor.org/rfc/rfc7468", words: []string{"-----BEGIN "}, find: findPEM},
		{Slug: "encrypted-private-key", Title: "an encrypted private key", Opens: "what trusts its public key, with a passphrase", Docs: "https://www.rfc-editor.org/rfc/rfc5958"},
		{Slug: "ssh-private-key", Title: "a private key for SSH", Opens: "servers that know its public key", Docs: "https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key"},
		{Slug: "pgp-private-key", Title: "a private key for PGP", Opens: "mail and signatures of its owner", Docs: "https://www.rfc-editor.org/rfc/rfc9580"},
		{Slug: "putty-private-key", Title: "a private key", Opens: "servers that know its public key", Docs: "https://tartarus.org/~simon/putty-snapshots/htmldoc/AppendixC.html", words: []string{"PuTTY-User-Key-File-"}, find: findPuTTY},
		{Slug: "age-private-key", Title: "an age private key", Opens: "files encrypted to it", Docs: "https://age-encryption.org/v1", form: `AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}`, check: bech32Sum},
		{Slug: "age-plugin-key", Title: "an age private key", Opens: "files encrypted to it", Docs: "https://age-encryption.org/v1", form: `AGE-SECRET-KEY-PQ-1[02-9AC-HJ-NP-Z]{58}`, check: bech32Sum},
		{Slug: "json-web-token", Title: "a JSON web token", Opens: "what its issuer granted, until it ends", Docs: "https://www.rfc-editor.org/rfc/rfc7519", words: []string{"eyJ"}, find: findJWT},
		{Slug: "kubernetes-service-account-token", Title: "a token of a Kubernetes service account", Opens: "a cluster as the service account", Docs: "https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/"},
	}
}

// plainKinds are those that the place tells: passwords in addresses, in headers
// and in files of known form, and what stands under a name that promises one.
func plainKinds() []*Kind {
	return []*Kind{
		{Slug: "address-password", Title: "an address with a password in it", Opens: "what is at the address", Docs: "https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1", words: []string{"://"}, find: findAddress},
		{Slug: "basic-auth", Title: "a user and password", Opens: "what the header is sent to", Docs: "https://www.rfc-editor.org/rfc/rfc7617", words: []string{"Basic "}, form: `Basic ([A-Za-z0-9+/]{8,}={0,2})`, check: basicAuth},
		{Slug: "bearer-token", Title: "a bearer token", Opens: "what the header is sent to", Docs: "https://www.rfc-editor.org/rfc/rfc6750", words: []string{"Bearer "}, form: `Bearer ([A-Za-z0-9._~+/-]{20,}={0,2})`, check: randomLooking, entropy: 3.5, generic: true},
		{Slug: "registry-auth", Title: "credentials of a registry", Opens: "images of a registry", Docs: "https://docs.docker.com/reference/cli/docker/login/", words: []string{`"auth"`}, form: `"auth"\s*:\s*"([A-Za-z0-9+/]{8,}={0,2})"`, check: basicAuth, entropy: 2},
		{Slug: "kubeconfig-key", Title: "the private key of a kubeconfig", Opens: "a cluster as its user", Docs: "https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/", words: []string{"client-key-data"}, form: `client-key-data"?\s*:\s*"?(LS0tLS1CRUdJTi[A-Za-z0-9+/]{60,}={0,2})`, check: base64PEM},
		{Slug: "netrc-password", Title: "a password", Opens: "a machine of a .netrc", Docs: "https://everything.curl.dev/usingcurl/netrc.html"},
		{Slug: "pgpass-password", Title: "a password", Opens: "a PostgreSQL database", Docs: "https://www.postgresql.org/docs/current/libpq-pgpass.html"},
		{Slug: "rails-master-key", Title: "the master key of a Rails application", Opens: "its encrypted credentials", Docs: "https://guides.rubyonrails.org/security.html#custom-credentials"},
		{Slug: "shadow-hash", Title: "the hash of a password", Opens: "a login, once the password is guessed", Docs: "https://man7.org/linux/man-pages/man5/crypt.5.html"},
		{Slug: "htpasswd-hash", Title: "the hash of a password", Opens: "a website's folder, once the password is guessed", Docs: "https://httpd.apache.org/docs/current/misc/password_encryptions.html"},
		{Slug: "laravel-key", Title: "the key of a Laravel application", Opens: "its cookies and encrypted values", Docs: "https://laravel.com/docs/encryption", named: "app", form: `base64:[A-Za-z0-9+/]{43}=`},
		{Slug: "password-hash", Title: "the hash of a password", Opens: "a login, once the password is guessed", Docs: "https://man7.org/linux/man-pages/man5/crypt.5.html", generic: true},
		{Slug: "password", Title: "a password", Opens: "what its name says", Docs: "https://cwe.mitre.org/data/definitions/798.html", generic: true},
		{Slug: "token", Title: "a token", Opens: "what its name says", Docs: "https://cwe.mitre.org/data/definitions/798.html", generic: true},
		{Slug: "secret", Title: "a secret", Opens: "what its name says", Docs: "https://cwe.mitre.org/data/definitions/798.html", generic: true},
		{Slug: "api-key", Title: "an API key", Opens: "what its name says", Docs: "https://cwe.mitre.org/data/definitions/798.html", generic: true},
	}
}
