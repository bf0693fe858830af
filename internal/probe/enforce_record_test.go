package probe

import (
	"bytes"
	"testing"
	"unsafe"

	"seawall.io/seawall"
)

// Rules have names that go through JSON.
func TestRules(t *testing.T) {
	for _, r := range Rules() {
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Rule
		if err := back.UnmarshalText(text); err != nil || back != r || len(text) == 0 || len(programsOf[r]) == 0 {
			t.Errorf("%d: %q %v %v", r, text, back, err)
		}
	}
	var r Rule
	if err := r.UnmarshalText([]byte("nonsense")); err == nil {
		t.Error("nonsense is a rule")
	}
}

// Whatever bytes a record of the programs has, decoding it ends, with an error where it is too short.
func FuzzDecodeEnforced(f *testing.F) {
	whole := make([]byte, unsafe.Sizeof(enforceSignalEnforced{}))
	f.Add(whole)
	f.Add(whole[:100])
	full := bytes.Repeat([]byte{0xff}, len(whole))
	f.Add(full)
	f.Fuzz(func(t *testing.T, raw []byte) {
		ev := &seawall.Event{}
		// The reader's memory begins at a multiple of eight.
		words := make([]uint64, len(raw)/8+1)
		aligned := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(raw))
		copy(aligned, raw)
		err := decodeEnforced(aligned, ev)
		if (err != nil) != (len(raw) < len(whole)) {
			t.Errorf("%d bytes: %v", len(raw), err)
		}
		if err == nil && (ev.Verdict == nil || ev.Verdict.Rule == "") {
			t.Errorf("%+v", ev)
		}
	})
}
