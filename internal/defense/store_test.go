package defense

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
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
	if err := s.saveLater(baseline.New(baseline.DefaultConfig()), firstCome{At: now}, false); err != nil {
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

// Who went first before a restart does so after it, until it shows that nothing is
// wanted that cannot be served; and nothing is said that was not felt. What the next
// process is to know outlasts that.
func TestFirstComeIsResumed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		before, err := openStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		since := time.Now().Add(-2 * time.Hour)
		if err := before.saveNow(baseline.New(baseline.DefaultConfig()), firstCome{Since: since, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		before.close()
		s := newSim(t, dir)
		stop := s.start(t)
		s.clients = visitors(40, 2, 100)
		s.run(time.Second)
		s.mu.Lock()
		if !s.since.Equal(since) {
			t.Errorf("at first those go first who are here since %v, want %v", s.since, since)
		}
		s.mu.Unlock()
		s.run(pressStays)
		s.mu.Lock()
		if !s.since.IsZero() {
			t.Errorf("later still those who are here since %v", s.since)
		}
		s.mu.Unlock()
		var said []string
		for _, r := range s.loop.Status().Records {
			said = append(said, r.Text)
		}
		if all := strings.Join(said, "\n"); !strings.Contains(all, "Who went first before the restart") || strings.Contains(all, "the origin can serve") {
			t.Errorf("it says\n%s", all)
		}
		stop()
		after, err := openStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer after.close()
		if got, ok, err := after.loadFirst(time.Now()); !ok || err != nil || !got.Equal(since) {
			t.Errorf("the next process is told %v, %v, %v", got, ok, err)
		}
	})
}

// What is known of ordinary traffic, and the samples of it, are there again after a
// restart; a file that is damaged is left, and all else goes on.
func TestNormalIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, dir)
		if n := s.loop.Learnt(); n != nil {
			t.Error("who does not run tells what is normal")
		}
		stop := s.start(t)
		s.clients = visitors(40, 2, 100)
		s.run(3 * time.Minute)
		before := s.loop.Learnt()
		if before == nil || before.Frozen || before.Hour.Learned < 2*time.Minute || before.Hour.Requests.Usual < 50 || before.Day.Samples < 1000 || before.Now.Learned == 0 {
			t.Fatalf("%+v", before)
		}
		stop()
		s = newSim(t, dir)
		stop = s.start(t)
		s.run(2 * time.Second)
		after, n := s.loop.Learnt(), s.loop.Status().Normal
		if after.Hour.Learned < before.Hour.Learned || after.Hour.Requests != before.Hour.Requests || after.Day.Samples < before.Day.Samples || after.Week.Samples < before.Week.Samples {
			t.Errorf("%+v,\nbefore it was %+v", after.Hour, before.Hour)
		}
		if len(n.OrdinaryDay) != after.Day.Samples || len(n.OrdinaryWeek) != after.Week.Samples || len(n.Ordinary) > 200 {
			t.Errorf("samples: %d of the day, %d of the week, %d of the hour", len(n.OrdinaryDay), len(n.OrdinaryWeek), len(n.Ordinary))
		}
		stop()
		told, err := ReadLearnt(dir)
		if err != nil || told.Day.Samples < before.Day.Samples || told.Hour.Requests != before.Hour.Requests || told.At.IsZero() {
			t.Errorf("on disk are %+v, %v", told, err)
		}
		if i, err := os.Stat(filepath.Join(dir, samplesName)); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("others may read it: %v, %v", i.Mode(), err)
		}

		if err := os.WriteFile(filepath.Join(dir, samplesName), []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		s = newSim(t, dir)
		if st := s.loop.Status(); len(st.Normal.OrdinaryDay) != 0 || st.Normal.Learned == 0 || !strings.Contains(fmt.Sprint(st.Records), "they are gathered anew") {
			t.Errorf("%+v", st.Records)
		}
		if err := s.loop.Close(); err != nil {
			t.Error(err)
		}
		if _, err := ReadLearnt(dir); !errors.Is(err, baseline.ErrDamaged) {
			t.Errorf("of a damaged file: %v", err)
		}
		if _, err := ReadLearnt(t.TempDir()); !errors.Is(err, ErrNothingLearnt) {
			t.Errorf("of an empty folder: %v", err)
		}
	})
}

// Samples are saved each ten minutes, for who does not get to say goodbye.
func TestSamplesAreSavedNowAndThen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, dir)
		defer s.start(t)()
		s.clients = visitors(4, 1, 100)
		there := func() bool {
			_, err := os.Stat(filepath.Join(dir, samplesName))
			return err == nil
		}
		if s.run(9 * time.Minute); there() {
			t.Error("saved too early")
		}
		if s.run(3 * time.Minute); !there() {
			t.Error("not saved")
		}
	})
}
