package images

import (
	_ "embed"
	"io"
	"path"
)

// Names of the images, as pods refer to them. The tag is not "latest", so that
// the kubelet does not try to pull them.
const (
	Pause   = "seawall.lab/pause:1"
	Busybox = "seawall.lab/busybox:1"
)

//go:embed pause/main.go
var pauseSource []byte

// PauseSource is the Go program that WritePause wants compiled. It comes as
// text because the lab builds it like its other binaries, wherever it runs.
func PauseSource() []byte { return pauseSource }

// WritePause writes the archive of the pause image, given the compiled program.
func WritePause(w io.Writer, program []byte) error {
	return image{
		reference: Pause,
		command:   []string{"/pause"},
		entries:   []entry{{name: "pause", mode: 0o755, body: program}},
	}.write(w)
}

// WriteBusybox writes the archive of a busybox image called reference, given a
// static busybox and the names of the commands it can be called by.
func WriteBusybox(w io.Writer, reference string, program []byte, commands []string) error {
	entries := []entry{
		{name: "bin/", mode: 0o755},
		{name: "dev/", mode: 0o755},
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, body: []byte("root:x:0:\nnobody:x:65534:\n")},
		{name: "etc/passwd", mode: 0o644, body: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")},
		{name: "proc/", mode: 0o755},
		{name: "root/", mode: 0o700},
		{name: "sys/", mode: 0o755},
		{name: "tmp/", mode: 0o1777},
		{name: "var/", mode: 0o755},
		{name: "bin/busybox", mode: 0o755, body: program},
	}
	for _, command := range commands {
		// One name may come with a path ("usr/bin/env" in some builds); only
		// the last element is a command.
		name := path.Base(command)
		if name == "busybox" || name == "." || name == "/" {
			continue
		}
		entries = append(entries, entry{name: "bin/" + name, mode: 0o777, target: "busybox"})
	}
	return image{reference: reference, command: []string{"/bin/sh"}, entries: entries}.write(w)
}
