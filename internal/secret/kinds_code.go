package secret

// codeKinds are credentials of places where code is kept, built and published.
func codeKinds() []*Kind {
	const (
		github = "https://docs.github.com/authentication/keeping-your-account-and-data-secure/about-authentication-to-github"
		gitlab = "https://docs.gitlab.com/security/tokens/"
	)
	return []*Kind{
		{Slug: "github-token", Title: "a GitHub token", Opens: "what its owner may do in repositories", Docs: github, form: `ghp_[A-Za-z0-9]{36,}`, check: crc62},
		{Slug: "github-oauth-token", Title: "a GitHub token", Opens: "what a user granted an OAuth app", Docs: github, form: `gho_[A-Za-z0-9]{36,}`, check: crc62},
		{Slug: "github-user-token", Title: "a GitHub token", Opens: "what a user granted a GitHub App", Docs: github, form: `ghu_[A-Za-z0-9]{36,}`, check: crc62},
		{Slug: "github-app-token", Title: "a GitHub token", Opens: "what an installed GitHub App or a workflow may do", Docs: github, form: `ghs_[A-Za-z0-9]{36,}`, check: crc62},
		{Slug: "github-refresh-token", Title: "a GitHub token", Opens: "new tokens of a GitHub App's user", Docs: github, form: `ghr_[A-Za-z0-9]{36,}`, check: crc62},
		{Slug: "github-fine-grained-token", Title: "a GitHub token", Opens: "chosen repositories of its owner", Docs: github, form: `github_pat_[A-Za-z0-9]{22}_?[A-Za-z0-9]{0,59}`},
		{Slug: "gitlab-token", Title: "a GitLab token", Opens: "what its owner may do in projects", Docs: gitlab, form: `glpat-(?:[\w-]{27,}\.[0-9a-z]{9}|[\w-]{20,64})`, check: gitlabRoutable},
		{Slug: "gitlab-runner-token", Title: "a GitLab token", Opens: "jobs of a runner", Docs: gitlab, form: `glrt-(?:[\w-]{27,}\.[0-9a-z]{9}|[\w-]{20,64})`, check: gitlabRoutable},
		{Slug: "gitlab-runner-registration-token", Title: "a GitLab token", Opens: "registration of runners", Docs: gitlab, form: `GR1348941[\w-]{20,64}`},
		{Slug: "gitlab-deploy-token", Title: "a GitLab token", Opens: "packages and repositories of a project", Docs: gitlab, form: `gldt-[\w-]{20,64}`},
		{Slug: "gitlab-trigger-token", Title: "a GitLab token", Opens: "pipelines of a project", Docs: gitlab, form: `glptt-[\w-]{20,64}`},
		{Slug: "gitlab-feed-token", Title: "a GitLab token", Opens: "feeds of a user", Docs: gitlab, form: `glft-[\w-]{20,80}`},
		{Slug: "gitlab-mail-token", Title: "a GitLab token", Opens: "issues opened by mail", Docs: gitlab, form: `glimt-[\w-]{20,80}`},
		{Slug: "gitlab-scim-token", Title: "a GitLab token", Opens: "accounts of a group", Docs: gitlab, form: `glsoat-[\w-]{20,64}`},
		{Slug: "gitlab-job-token", Title: "a GitLab token", Opens: "what a running job may do", Docs: gitlab, form: `glcbt-[\w-]{20,}`},
		{Slug: "gitlab-agent-token", Title: "a GitLab token", Opens: "the agent of a Kubernetes cluster", Docs: gitlab, form: `glagent-[\w-]{20,64}`},
		{Slug: "gitlab-oauth-secret", Title: "a GitLab token", Opens: "an OAuth application", Docs: gitlab, form: `gloas-[\w-]{20,80}`},
		{Slug: "gitlab-feature-flag-token", Title: "a GitLab token", Opens: "feature flags of a project", Docs: gitlab, form: `glffct-[\w-]{20,64}`},
		{Slug: "bitbucket-app-password", Title: "a Bitbucket app password", Opens: "repositories of its owner", Docs: "https://support.atlassian.com/bitbucket-cloud/docs/app-passwords/", form: `ATBB[A-Za-z0-9]{28}[0-9A-F]{0,8}`},
		{Slug: "atlassian-token", Title: "an Atlassian token", Opens: "Jira, Confluence and Bitbucket as its owner", Docs: "https://support.atlassian.com/atlassian-account/docs/manage-api-tokens-for-your-atlassian-account/", form: `ATATT3[A-Za-z0-9_\-=]{180,}`},
		{Slug: "atlassian-service-token", Title: "an Atlassian token", Opens: "repositories, projects or workspaces of Bitbucket", Docs: "https://support.atlassian.com/bitbucket-cloud/docs/access-tokens/", form: `ATCTT3[A-Za-z0-9_\-=]{180,}`},
		{Slug: "trello-token", Title: "a Trello token", Opens: "boards of its owner", Docs: "https://developer.atlassian.com/cloud/trello/guides/rest-api/api-introduction/", form: `ATTA[0-9a-f]{64}[0-9A-F]{0,8}`},
		{Slug: "npm-token", Title: "an npm token", Opens: "packages of its owner", Docs: "https://docs.npmjs.com/about-access-tokens", form: `npm_[A-Za-z0-9]{36}`, check: crc62},
		{Slug: "npmrc-auth", Title: "an npm token", Opens: "a registry of packages", Docs: "https://docs.npmjs.com/cli/configuring-npm/npmrc", words: []string{":_authToken"}, form: `:_authToken\s*=\s*"?([A-Za-z0-9+/_.=-]{16,})`},
		{Slug: "npmrc-basic-auth", Title: "the user and password of an npm registry", Opens: "a registry of packages", Docs: "https://docs.npmjs.com/cli/configuring-npm/npmrc", words: []string{"_auth"}, form: `_auth\s*=\s*"?([A-Za-z0-9+/]{12,}={0,2})`, check: basicAuth, loose: true},
		{Slug: "pypi-token", Title: "a PyPI token", Opens: "uploads to projects of its owner", Docs: "https://pypi.org/help/#apitoken", form: `pypi-AgE[A-Za-z0-9_-]{50,}`, check: pypiMacaroon},
		{Slug: "rubygems-token", Title: "a RubyGems key", Opens: "gems of its owner", Docs: "https://guides.rubygems.org/api-key-scopes/", form: `rubygems_[0-9a-f]{48}`},
		{Slug: "crates-token", Title: "a crates.io token", Opens: "crates of its owner", Docs: "https://doc.rust-lang.org/cargo/reference/publishing.html", form: `cio[A-Za-z0-9]{32}`, entropy: 3.8},
		{Slug: "nuget-key", Title: "a NuGet key", Opens: "packages of its owner", Docs: "https://learn.microsoft.com/nuget/nuget-org/publish-a-package", form: `oy2[a-z0-9]{43}`, entropy: 3.5},
		{Slug: "packagist-token", Title: "a Packagist token", Opens: "packages of an organization", Docs: "https://packagist.com/docs/api", form: `packagist_(?:ack|acs|ort|oat|uut|mut)_[0-9a-f]{72,96}`},
		{Slug: "clojars-token", Title: "a Clojars token", Opens: "artifacts of its owner", Docs: "https://github.com/clojars/clojars-web/wiki/Deploy-Tokens", form: `CLOJARS_[0-9a-f]{60}`},
		{Slug: "docker-hub-token", Title: "a Docker Hub token", Opens: "images of its owner", Docs: "https://docs.docker.com/security/access-tokens/", form: `dckr_pat_[\w-]{27}`},
		{Slug: "docker-hub-organization-token", Title: "a Docker Hub token", Opens: "images of an organization", Docs: "https://docs.docker.com/enterprise/security/access-tokens/", form: `dckr_oat_[\w-]{32}`},
		{Slug: "artifactory-key", Title: "an Artifactory key", Opens: "repositories of its owner", Docs: "https://jfrog.com/help/r/jfrog-platform-administration-documentation/user-profile", form: `AKCp[A-Za-z0-9]{69}`},
		{Slug: "artifactory-reference-token", Title: "an Artifactory token", Opens: "repositories of its owner", Docs: "https://jfrog.com/help/r/jfrog-platform-administration-documentation/access-tokens", form: `cmVmdGtu[A-Za-z0-9]{56}`},
		{Slug: "circleci-token", Title: "a CircleCI token", Opens: "pipelines and contexts", Docs: "https://circleci.com/docs/guides/toolkit/managing-api-tokens/", form: `CCIPAT_[A-Za-z0-9]{22}_[0-9a-f]{40}`},
		{Slug: "circleci-project-token", Title: "a CircleCI token", Opens: "pipelines of a project", Docs: "https://circleci.com/docs/guides/toolkit/managing-api-tokens/", form: `CCIPRJ_[A-Za-z0-9]{22}_[0-9a-f]{40}`},
		{Slug: "buildkite-token", Title: "a Buildkite token", Opens: "pipelines and agents", Docs: "https://buildkite.com/docs/apis/managing-api-tokens", form: `bkua_[0-9a-f]{40}`},
		{Slug: "harness-token", Title: "a Harness token", Opens: "pipelines as its owner", Docs: "https://developer.harness.io/docs/platform/automation/api/add-and-manage-api-keys", form: `pat\.[\w-]{22}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}`},
		{Slug: "harness-service-token", Title: "a Harness token", Opens: "pipelines as a service account", Docs: "https://developer.harness.io/docs/platform/automation/api/add-and-manage-api-keys", form: `sat\.[\w-]{22}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}`},
		{Slug: "octopus-key", Title: "an Octopus Deploy key", Opens: "deployments as its owner", Docs: "https://octopus.com/docs/octopus-rest-api/how-to-create-an-api-key", form: `API-[A-Z0-9]{25,32}`, entropy: 3.4},
		{Slug: "pulumi-token", Title: "a Pulumi token", Opens: "stacks and their secrets", Docs: "https://www.pulumi.com/docs/administration/access-identity/access-tokens/", form: `pul-[0-9a-f]{40}`},
		{Slug: "terraform-cloud-token", Title: "a Terraform Cloud token", Opens: "workspaces, their states and variables", Docs: "https://developer.hashicorp.com/terraform/cloud-docs/users-teams-organizations/api-tokens", words: []string{".atlasv1."}, before: 14, form: `[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}`},
		{Slug: "sonarqube-token", Title: "a SonarQube token", Opens: "analyses as its owner", Docs: "https://docs.sonarsource.com/sonarqube-server/latest/user-guide/managing-tokens/", words: []string{"squ_", "sqp_", "sqa_"}, form: `sq[upa]_[0-9a-f]{40}`},
		{Slug: "postman-key", Title: "a Postman key", Opens: "collections and environments", Docs: "https://learning.postman.com/docs/developer/postman-api/authentication/", form: `PMAK-[0-9a-f]{24}-[0-9a-f]{34}`},
		{Slug: "lokalise-token", Title: "a Lokalise token", Opens: "translations", Docs: "https://developers.lokalise.com/reference/api-authentication", named: "lokalise", form: `[0-9a-f]{40}`},
		{Slug: "codecov-token", Title: "a Codecov token", Opens: "uploads of coverage", Docs: "https://docs.codecov.com/docs/codecov-tokens", named: "codecov", form: uuid + `|[0-9a-f]{40}`},
		{Slug: "travis-token", Title: "a Travis CI token", Opens: "builds as its owner", Docs: "https://docs.travis-ci.com/user/api-authentication/", named: "travis", form: `[A-Za-z0-9_-]{22}`},
		{Slug: "snyk-token", Title: "a Snyk token", Opens: "projects as its owner", Docs: "https://docs.snyk.io/developer-tools/snyk-api/authentication-for-api", named: "snyk", form: uuid},
		{Slug: "snyk-personal-token", Title: "a Snyk token", Opens: "projects as its owner", Docs: "https://docs.snyk.io/developer-tools/snyk-api/authentication-for-api", words: []string{"snyk_uat."}, form: `snyk_uat\.[0-9a-f]{8}\.[\w.-]{40,}`},
		{Slug: "jenkins-token", Title: "a Jenkins token", Opens: "jobs as its owner", Docs: "https://www.jenkins.io/doc/book/system-administration/authenticating-scripted-clients/", named: "jenkins", form: `11[0-9a-f]{32}`},
	}
}

const uuid = `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`
