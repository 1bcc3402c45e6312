package sealed

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestKeysAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	a, err := LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := b.Open(nil, string(a.Seal(nil, []byte("hello"), 1)), 1); !ok || string(got) != "hello" {
		t.Error("after a restart the keys are others")
	}
	if a.Hash(1, nil) != b.Hash(1, nil) {
		t.Error("after a restart Hash is another")
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	onlyFile(t, path)
}

func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	boxes := make([]*Box, 3)
	var err error
	if boxes[0], err = LoadOrCreate(path); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 3; i++ {
		if boxes[i], err = Rotate(path); err != nil {
			t.Fatal(err)
		}
	}
	now, err := LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, true} {
		if _, ok := now.Open(nil, string(boxes[i].Seal(nil, nil, 1)), 1); ok != want {
			t.Errorf("a text from before %d rotations opens: %v", 2-i, ok)
		}
	}
	onlyFile(t, path)
	if _, err := Rotate(path + "-missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Rotate without a file: %v", err)
	}
}

func TestFirstStartMadeTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	var wg sync.WaitGroup
	boxes := make([]*Box, 8)
	for i := range boxes {
		wg.Go(func() { boxes[i], _ = LoadOrCreate(path) })
	}
	wg.Wait()
	for i, b := range boxes {
		if b == nil || b.Hash(1, nil) != boxes[0].Hash(1, nil) {
			t.Fatalf("start %d has keys of its own", i)
		}
	}
	onlyFile(t, path)
}

func TestDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if _, err := LoadOrCreate(path); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadOrCreate(path)
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(text) {
			t.Errorf("%s: the file was touched", what)
		}
	}
	for i := range good {
		try("cut", good[:i])
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		try("flipped", bad)
	}
	try("longer", append(append([]byte(nil), good...), '\n'))
	try("much longer", append(good, make([]byte, 1<<16)...))
}

func TestFileCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadOrCreate(filepath.Join(dir, "missing", "keys")); err == nil {
		t.Error("no folder, no error")
	}
	if _, err := LoadOrCreate(dir); err == nil {
		t.Error("a folder in place of the file, no error")
	}
}

func TestOpenFileIsClosedToOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if _, err := LoadOrCreate(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreate(path); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
}

func FuzzParseFile(f *testing.F) {
	good := keyFile{testKey(1), testKey(2)}.text()
	f.Add(good)
	f.Add(good[:60])
	f.Add([]byte(fileHead))
	f.Fuzz(func(t *testing.T, text []byte) {
		if k, err := parseFile(text); err == nil && string(k.text()) != string(text) {
			t.Fatalf("%q was believed", text)
		}
	})
}

// onlyFile checks that nothing was left lying beside path.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	all, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(all) != 1 {
		t.Errorf("left in the folder: %v, %v", all, err)
	}
}
