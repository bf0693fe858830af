package detect

import (
	"testing"

	"seawall.io/seawall"
)

func TestCondition(t *testing.T) {
	c, err := ParseCondition(`kind == "exec" && process.cmdline.contains("id")`)
	if err != nil {
		t.Fatal(err)
	}
	ev := &seawall.Event{Kind: seawall.EventExec, Process: &seawall.Process{Args: []string{"id", "-u"}}}
	other := &seawall.Event{Kind: seawall.EventExec, Process: &seawall.Process{Args: []string{"ls"}}}
	if !c.Holds(ev) || c.Holds(other) || !c.Holds(ev) || c.Holds(&seawall.Event{Kind: seawall.EventExit}) {
		t.Error("the condition chooses wrongly")
	}
	if _, err := ParseCondition(`process.nothing == 1`); err == nil {
		t.Error("an unknown field was taken")
	}
	if _, err := ParseCondition(`process.exe`); err == nil {
		t.Error("a text was taken for a condition")
	}
}

func TestTool(t *testing.T) {
	tests := []struct {
		exe, comm string
		args      []string
		want      string
	}{
		{"/usr/bin/curl", "x", []string{"wget"}, "curl"},
		{"", "curl", nil, "curl"},
		{"/bin/busybox", "nc", []string{"nc", "-l"}, "nc"},
		{"/bin/busybox", "exe", []string{"/usr/bin/nc"}, "nc"},
		{"/bin/busybox", "busybox", []string{"busybox", "nc"}, "nc"},
		{"/bin/busybox.static", "x", []string{"/tmp/busybox", "/bin/nc"}, "nc"},
		{"/bin/busybox", "sh", []string{"-sh"}, "sh"},
		{"/bin/busybox", "cat", []string{"sh", "-c", "cat x"}, "sh"},
		{"/bin/busybox", "busybox", []string{"busybox", "--list"}, "busybox"},
		{"/bin/busybox", "busybox", []string{"busybox"}, "busybox"},
		{"/bin/busybox", "crond", nil, "crond"},
		{"/bin/busybox", "busybox", []string{""}, "busybox"},
		{"/bin/toybox", "id", []string{"id"}, "id"},
		{"/usr/bin/coreutils", "cat", []string{"cat"}, "cat"},
		{"/usr/bin/coreutils2", "cat", []string{"cat"}, "coreutils2"},
	}
	for _, tt := range tests {
		if got := tool(&seawall.Process{Exe: tt.exe, Comm: tt.comm, Args: tt.args}); got != tt.want {
			t.Errorf("%s %q: got %s, want %s", tt.exe, tt.args, got, tt.want)
		}
	}
}
