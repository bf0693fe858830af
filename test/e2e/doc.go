// Package e2e holds Seawall against a real Kubernetes cluster: what it says of
// objects, policies and its own fixes against what the API server says. It has
// tests alone; README.md of test/lab says what they need.
package e2e
