// Package merge holds package image against containerd and the kernel: random
// layers, merged by the one, unpacked by containerd as it does for Kubernetes and
// mounted as overlayfs, must give the same tree. It has tests alone, which want root.
package merge
