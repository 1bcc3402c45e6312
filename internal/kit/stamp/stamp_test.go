package stamp

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStamp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	if Of(file) != (Stamp{}) {
		t.Error("a file that is not there has a stamp")
	}
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	first := Of(file)
	if first == (Stamp{}) || Of(file) != first {
		t.Error("a file that stays has changed")
	}
	write("another")
	if Of(file) == first {
		t.Error("a file of another size has not changed")
	}
	write("two")
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if Of(file) == first {
		t.Error("a file that was written again has not changed")
	}
}
