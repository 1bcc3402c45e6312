package defense

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"seawall/internal/defense/baseline"
)

// Who goes first is kept for the next process, and only for one that follows soon.
func TestFirstComeIsKept(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	if _, ok, err := s.loadFirst(now); ok || err != nil {
		t.Errorf("from an empty folder: %v, %v", ok, err)
	}
	since := now.Add(-time.Hour)
	if err := s.saveNow(baseline.New(baseline.DefaultConfig()), firstCome{Since: since, At: now}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {time.Minute, true}, {firstStays - 1, true}, {firstStays, false}, {-time.Second, false}, {-2 * time.Hour, false}} {
		got, ok, err := s.loadFirst(now.Add(c.after))
		if ok != c.want || err != nil || !got.Equal(since) {
			t.Errorf("%v later: %v, %v, %v; want %v, %v", c.after, got, ok, err, since, c.want)
		}
	}
	if err := s.saveLater(baseline.New(baseline.DefaultConfig()), firstCome{At: now}); err != nil {
		t.Fatal(err)
	}
	s.wait()
	if _, ok, err := s.loadFirst(now); ok || err != nil {
		t.Errorf("when nobody goes first: %v, %v", ok, err)
	}
	if err := os.WriteFile(filepath.Join(dir, firstName), []byte("{\"since\":"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.loadFirst(now); ok || err == nil {
		t.Errorf("from a broken file: %v, %v", ok, err)
	}
	s.close()
	l, err := New(DefaultConfig(), deps(dir)) // works on without it
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.press.last != 0 {
		t.Error("somebody goes first")
	}
}
