package defense

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"seawall/internal/defense/baseline"
	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/journal"
	"seawall/internal/mitigation"
)

const (
	journalName  = "mitigations.journal"
	baselineName = "baseline"
	samplesName  = "ordinary" // samples of ordinary requests
	firstName    = "first.json"
	// samplesEvery is how often samples are saved: they are of days, and ten times as
	// large as the rest.
	samplesEvery = 10 * time.Minute
	// firstStays is how long after a restart it holds who went first before: twice
	// the time between two saves.
	firstStays = 2 * saveEvery
	// journalMost holds 20,000 bans, with their ends, several times over.
	journalMost = 32 << 20
	// compactFrom is the size below which the journal is left to grow.
	compactFrom = 4 << 20
)

// store keeps decisions, the baseline and who goes first on disk. Without a folder it
// does nothing. For the loop's goroutine only, but for sync.
type store struct {
	dir     string
	journal *journal.Journal // nil: nothing is kept
	trouble string           // why nothing is kept, though it should be
	small   int64            // bytes after the last compaction

	days []byte // what the letter tells, for the next save; nil: nothing

	saving sync.WaitGroup // of what is learnt
	mu     sync.Mutex     // one save at a time
	saved  error          // how the last save in the background went
}

// openStore fails only where going on would do harm: another Seawall uses the
// same folder.
func openStore(dir string) (*store, error) {
	s := &store{dir: dir}
	if dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.trouble = err.Error()
		return s, nil
	}
	j, err := journal.Open(filepath.Join(dir, journalName), journal.Options{MaxBytes: journalMost})
	if errors.Is(err, journal.ErrInUse) {
		return nil, fmt.Errorf("open the journal of mitigations: %w", err)
	}
	if err != nil {
		s.trouble = err.Error()
		return s, nil
	}
	s.journal = j
	s.small, _ = j.Size()
	return s, nil
}

func (s *store) each(f func(rec []byte) error) error {
	if s.journal == nil {
		return nil
	}
	return s.journal.Each(f)
}

// append writes events; they are on the disk within 100 ms.
func (s *store) append(now decide.Moment, d *decide.Decider, events []decide.Event) error {
	if s.journal == nil {
		return nil
	}
	for i := range events {
		rec, err := events[i].Encode()
		if err != nil {
			return fmt.Errorf("write an event: %w", err)
		}
		if err := s.journal.Append(rec); err != nil {
			// A snapshot holds what these events say, and makes room; after a
			// disk error it is also the way back.
			return s.compact(now, d)
		}
	}
	if used, limit := s.journal.Size(); used > compactFrom && used > min(4*s.small, limit/2) {
		return s.compact(now, d)
	}
	return nil
}

// sync waits until what was appended is on the disk. Any goroutine may call it.
func (s *store) sync() error {
	if s.journal == nil {
		return nil
	}
	return s.journal.Sync()
}

func (s *store) compact(now decide.Moment, d *decide.Decider) error {
	if s.journal == nil {
		return nil
	}
	err := s.journal.Compact(func(add func([]byte) error) error {
		return d.Snapshot(now, func(e decide.Event) error {
			rec, err := e.Encode()
			if err != nil {
				return err
			}
			return add(rec)
		})
	})
	s.small, _ = s.journal.Size()
	return err
}

func (s *store) close() error {
	s.wait()
	if s.journal == nil {
		return nil
	}
	return s.journal.Close()
}

// firstCome is who goes first in an attack or a crowd, as it stands on disk: who has
// been here since. At is when that held.
type firstCome struct {
	Since time.Time `json:"since,omitzero"`
	At    time.Time `json:"at"`
}

// loadFirst tells who went first a short while ago, if anybody did.
func (s *store) loadFirst(now time.Time) (since time.Time, ok bool, err error) {
	if s.dir == "" {
		return since, false, nil
	}
	data, err := os.ReadFile(filepath.Join(s.dir, firstName))
	if errors.Is(err, fs.ErrNotExist) {
		return since, false, nil
	}
	var f firstCome
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil {
		return since, false, fmt.Errorf("read who goes first: %w", err)
	}
	ago := now.Sub(f.At)
	return f.Since, !f.Since.IsZero() && !f.Since.After(now) && ago >= 0 && ago < firstStays, nil
}

func (s *store) loadBaseline(b *baseline.Baseline) error {
	if s.dir == "" {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(s.dir, baselineName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return b.UnmarshalBinary(data)
}

// loadSamples takes over the samples of the last day and week.
func (s *store) loadSamples(b *baseline.Baseline) error {
	if s.dir == "" {
		return nil
	}
	f, err := os.Open(filepath.Join(s.dir, samplesName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, baseline.MostSamples+1))
	if err != nil {
		return err
	}
	return b.UnmarshalSamples(data)
}

// saveLater writes in the background, so that a slow disk does not hold up the loop.
// It returns how the save before went.
func (s *store) saveLater(b *baseline.Baseline, first firstCome, withSamples bool) error {
	return s.save(b, first, withSamples, func(write func() error) error {
		if !s.mu.TryLock() {
			return errors.New("the disk is too slow to keep what is learnt")
		}
		last := s.saved
		s.saving.Go(func() {
			defer s.mu.Unlock()
			s.saved = write()
		})
		return last
	})
}

// saveNow is saveLater for the end.
func (s *store) saveNow(b *baseline.Baseline, first firstCome) error {
	return s.save(b, first, true, func(write func() error) error {
		s.wait()
		return write()
	})
}

func (s *store) save(b *baseline.Baseline, first firstCome, withSamples bool, do func(write func() error) error) error {
	if s.dir == "" {
		return nil
	}
	learnt, err := b.MarshalBinary()
	if err != nil {
		return err
	}
	who, err := json.Marshal(first)
	if err != nil {
		return err
	}
	var samples []byte
	if withSamples {
		samples = b.MarshalSamples()
	}
	days := s.days
	return do(func() error {
		err := errors.Join(s.write(baselineName, learnt), s.write(firstName, who))
		if withSamples {
			err = errors.Join(err, s.write(samplesName, samples))
		}
		if days != nil {
			err = errors.Join(err, s.write(daysName, days))
		}
		return err
	})
}

// giveAway makes the folder's owner that of the files in it.
func (s *store) giveAway() error {
	of, err := os.Stat(s.dir)
	if err != nil {
		return err
	}
	owner := of.Sys().(*syscall.Stat_t)
	if os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	for _, name := range []string{journalName, baselineName, samplesName, firstName, daysName} {
		if err := os.Lchown(filepath.Join(s.dir, name), int(owner.Uid), int(owner.Gid)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s *store) wait() { s.saving.Wait() }

// write replaces a file by renaming, so that a crash leaves the old one or the new
// one.
func (s *store) write(name string, data []byte) error {
	path := filepath.Join(s.dir, name)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	_, err = f.Write(data)
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return nil
}

// Past is what the journal of a Seawall that does not run tells.
type Past struct{ d *decide.Decider }

// ReadPast reads the journal in a data folder. It fails with
// journal.ErrInUse while a Seawall runs on it: ask that one.
func ReadPast(dir string) (*Past, error) {
	p := &Past{d: decide.New(decide.DefaultConfig())}
	path := filepath.Join(dir, journalName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	j, err := journal.Open(path, journal.Options{MaxBytes: journalMost})
	if err != nil {
		return nil, fmt.Errorf("read the journal of mitigations: %w", err)
	}
	defer j.Close()
	clk := clock.New()
	at := clk.Now()
	if _, _, err := p.d.Restore(decide.Moment{At: at, Wall: clk.Wall(at)}, j.Each); err != nil {
		return nil, err
	}
	return p, nil
}

// Find looks a mitigation up. Active means that it would be in force if
// Seawall ran.
func (p *Past) Find(id mitigation.ID) (m mitigation.Mitigation, active, known bool) {
	k, ok := p.d.Find(id)
	return k.Mitigation, k.Active, ok
}
