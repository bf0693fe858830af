// Package dockerfile holds Seawall's reader of Dockerfiles to BuildKit's. It has
// tests only.
package dockerfile
