package filelock

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

func TestLockExcludes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sub", "lock")
	unlock, err := Lock(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	waited := 0
	if _, err := Lock(ctx, name, func() { waited++ }); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("second lock: %v, want %v", err, context.DeadlineExceeded)
	}
	if waited != 1 {
		t.Errorf("told %d times to be waiting, want once", waited)
	}

	unlock()
	again, err := Lock(t.Context(), name, nil)
	if err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	again()
}
