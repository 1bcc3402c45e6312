package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func open(t testing.TB, path string, o Options) *Journal {
	t.Helper()
	j, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func records(t testing.TB, j *Journal) []string {
	t.Helper()
	var out []string
	if err := j.Each(func(rec []byte) error { out = append(out, string(rec)); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func add(t testing.TB, j *Journal, recs ...string) {
	t.Helper()
	for _, r := range recs {
		if err := j.Append([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
}

func want(t testing.TB, j *Journal, recs ...string) {
	t.Helper()
	if got := records(t, j); !slices.Equal(got, recs) {
		t.Fatalf("records %q, want %q", got, recs)
	}
}

func TestRecordsComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	j := open(t, path, Options{})
	long := strings.Repeat("x", MaxRecord)
	add(t, j, "one", "", long, "four")
	want(t, j, "one", "", long, "four")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	j = open(t, path, Options{})
	if r := j.Recovered(); r != (Recovery{Records: 4}) || !r.Whole() || r.String() != "4 records" {
		t.Errorf("Recovered %v", r)
	}
	add(t, j, "five")
	want(t, j, "one", "", long, "four", "five")
	if err := j.Append(make([]byte, MaxRecord+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long a record: %v", err)
	}
	stop := errors.New("enough")
	if err := j.Each(func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Each hides its function's error: %v", err)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
}

func TestCommitWithinFlushEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "bans")
		j, err := Open(path, Options{FlushEvery: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		for i := range 3 {
			add(t, j, "x")
			time.Sleep(LongestFlush)
			synctest.Wait()
			st, err := os.Stat(path)
			if err != nil || st.Size() != int64(headSize+(i+1)*(frameSize+1)) {
				t.Fatalf("after %v the file has %d bytes, %v", LongestFlush, st.Size(), err)
			}
		}
	})
}

func TestFull(t *testing.T) {
	limit := int64(headSize + 3*(frameSize+10))
	j := open(t, filepath.Join(t.TempDir(), "bans"), Options{MaxBytes: limit})
	for range 3 {
		add(t, j, "ten bytes.")
	}
	if err := j.Append(nil); !errors.Is(err, ErrFull) {
		t.Fatalf("past MaxBytes: %v", err)
	}
	if used, max := j.Size(); used != limit || max != limit {
		t.Errorf("Size = %d of %d, want %d", used, max, limit)
	}
	err := j.Compact(func(add func([]byte) error) error {
		for {
			if err := add([]byte("ten bytes.")); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, ErrFull) {
		t.Errorf("a snapshot past MaxBytes: %v", err)
	}
	want(t, j, "ten bytes.", "ten bytes.", "ten bytes.")
	if err := j.Compact(func(add func([]byte) error) error { return add([]byte("one")) }); err != nil {
		t.Fatal(err)
	}
	add(t, j, "two")
	want(t, j, "one", "two")
}

func TestCompact(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bans")
	j := open(t, path, Options{})
	add(t, j, "old", "older")
	err := j.Compact(func(snap func([]byte) error) error {
		add(t, j, "meanwhile", "")
		return snap([]byte("kept"))
	})
	if err != nil {
		t.Fatal(err)
	}
	add(t, j, "later")
	want(t, j, "kept", "meanwhile", "", "later")

	failed := errors.New("no snapshot today")
	err = j.Compact(func(add func([]byte) error) error {
		if err := add(make([]byte, MaxRecord+1)); !errors.Is(err, ErrTooLong) {
			t.Errorf("too long a record: %v", err)
		}
		return errors.Join(add([]byte("half")), failed)
	})
	if !errors.Is(err, failed) {
		t.Errorf("Compact hides its function's error: %v", err)
	}
	j.Close()
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("left in the folder: %v", all)
	}
	j = open(t, path, Options{})
	want(t, j, "kept", "meanwhile", "", "later")
}

// TestCompactInterrupted puts the folder in each state that a crash in the
// middle of Compact can leave.
func TestCompactInterrupted(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bans")
	j := open(t, path, Options{})
	add(t, j, "old", "older")
	j.Close()
	m := mark{1, 2, 3, 4}
	whole := appendFrame(appendFrame(appendHead(nil, m), m, []byte("new")), m, []byte("newer"))
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(path+newSuffix, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, path, Options{})
		want(t, j, "old", "older")
		if err := j.Compact(func(add func([]byte) error) error { return errors.Join(add([]byte("old")), add([]byte("older"))) }); err != nil {
			t.Fatal(err)
		}
		want(t, j, "old", "older")
		j.Close()
		if all, _ := os.ReadDir(dir); len(all) != 1 {
			t.Fatalf("cut at %d: left in the folder: %v", cut, all)
		}
	}
	if err := os.WriteFile(path+newSuffix, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		t.Fatal(err)
	}
	want(t, open(t, path, Options{}), "new", "newer")
}

func TestOneOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	j := open(t, path, Options{})
	if _, err := Open(path, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	if err := j.Compact(empty); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice after Compact: %v", err)
	}
	j.Close()
	open(t, path, Options{})
}

func TestClosed(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "bans"), Options{})
	j.Close()
	for name, err := range map[string]error{
		"Append":  j.Append(nil),
		"Sync":    j.Sync(),
		"Each":    j.Each(func([]byte) error { return nil }),
		"Compact": j.Compact(empty),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "missing", "bans"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Open(dir, Options{}); err == nil {
		t.Error("a folder in place of the file, no error")
	}
	m := mark{1, 2, 3, 4}
	head := appendHead(nil, m)
	for i := range head {
		bad := slices.Clone(head)
		bad[i] ^= 4
		path := filepath.Join(dir, fmt.Sprint("bad", i))
		for _, text := range [][]byte{bad, head[:max(i, 1)]} {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, Options{}); !errors.Is(err, ErrDamaged) {
				t.Errorf("head %x: %v", text, err)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, text) {
				t.Errorf("head %x: the file was touched", text)
			}
		}
	}
	path := filepath.Join(dir, "empty")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, open(t, path, Options{}))
}

// badDisk is a file whose disk gives out.
type badDisk struct {
	file
	failWrite, failSync bool
}

var errDisk = errors.New("disk gave out")

func (d *badDisk) WriteAt(b []byte, at int64) (int, error) {
	if d.failWrite {
		n, _ := d.file.WriteAt(b[:len(b)/2], at)
		return n, errDisk
	}
	return d.file.WriteAt(b, at)
}

func (d *badDisk) Sync() error {
	if d.failSync {
		return errDisk
	}
	return d.file.Sync()
}

func TestDiskError(t *testing.T) {
	for _, fail := range []badDisk{{failWrite: true}, {failSync: true}} {
		path := filepath.Join(t.TempDir(), "bans")
		j := open(t, path, Options{})
		add(t, j, "safe")
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
		bad := fail
		j.disk.Lock()
		bad.file, j.f = j.f, &bad
		j.disk.Unlock()
		add(t, j, "lost")
		if err := j.Sync(); !errors.Is(err, errDisk) {
			t.Fatalf("%+v: Sync says %v", fail, err)
		}
		bad.failWrite, bad.failSync = false, false
		if err := j.Sync(); !errors.Is(err, errDisk) {
			t.Errorf("%+v: a second Sync says %v", fail, err)
		}
		if err := j.Append([]byte("x")); !errors.Is(err, errDisk) || !strings.Contains(err.Error(), path) {
			t.Errorf("%+v: Append says %v", fail, err)
		}
		want(t, j, "safe")
		if err := j.Compact(func(add func([]byte) error) error { return add([]byte("all")) }); err != nil {
			t.Fatal(err)
		}
		add(t, j, "more")
		want(t, j, "all", "more")
	}
}

// TestConcurrentUse is for the race detector; the records of each writer must
// come back whole and in order.
func TestConcurrentUse(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "bans"), Options{FlushEvery: time.Millisecond})
	done := make(chan struct{})
	for w := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 200 {
				if err := j.Append(fmt.Appendf(nil, "%d %d", w, i)); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for n := 0; n < 4; {
		select {
		case <-done:
			n++
		default:
			var kept [][]byte
			if err := j.Each(func(rec []byte) error { kept = append(kept, slices.Clone(rec)); return nil }); err != nil {
				t.Error(err)
			}
			_ = j.Sync()
		}
	}
	var next [4]int
	for _, rec := range records(t, j) {
		var w, i int
		if _, err := fmt.Sscan(rec, &w, &i); err != nil || i != next[w] {
			t.Fatalf("record %q, want number %d", rec, next[w])
		}
		next[w]++
	}
	if next != [4]int{200, 200, 200, 200} {
		t.Errorf("came back: %v", next)
	}
}

func BenchmarkAppend(b *testing.B) {
	j := open(b, filepath.Join(b.TempDir(), "bans"), Options{MaxBytes: 1 << 40})
	rec := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Append(rec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	m := mark{1, 2, 3, 4}
	var data []byte
	for range 10_000 {
		data = appendFrame(data, m, make([]byte, 200))
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := read(bytes.NewReader(data), m, func([]byte) error { return nil }); err != nil || r.Records != 10_000 {
			b.Fatal(r, err)
		}
	}
}
