// Package merge holds package image against containerd: random layers, merged by
// the one and applied to a folder by the other, must give the same tree. It has
// tests alone.
package merge
