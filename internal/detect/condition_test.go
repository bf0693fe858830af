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
