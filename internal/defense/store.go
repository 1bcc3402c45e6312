package defense

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"seawall/internal/defense/baseline"
	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/journal"
	"seawall/internal/mitigation"
)

const (
	journalName  = "mitigations.journal"
	baselineName = "baseline"
	// journalMost holds 20,000 bans, with their ends, several times over.
	journalMost = 32 << 20
	// compactFrom is the size below which the journal is left to grow.
	compactFrom = 4 << 20
)

// store keeps decisions and the baseline on disk. Without a folder it does
// nothing. For the loop's goroutine only, but for sync.
type store struct {
	dir     string
	journal *journal.Journal // nil: nothing is kept
	trouble string           // why nothing is kept, though it should be
	small   int64            // bytes after the last compaction

	saving sync.WaitGroup // of the baseline
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

// saveBaselineLater writes in the background, so that a slow disk does not hold
// up the loop. It returns how the save before went.
func (s *store) saveBaselineLater(b *baseline.Baseline) error {
	if s.dir == "" {
		return nil
	}
	data, err := b.MarshalBinary()
	if err != nil {
		return err
	}
	if !s.mu.TryLock() {
		return errors.New("the disk is too slow to keep the baseline")
	}
	last := s.saved
	s.saving.Go(func() {
		defer s.mu.Unlock()
		s.saved = s.write(data)
	})
	return last
}

func (s *store) saveBaseline(b *baseline.Baseline) error {
	if s.dir == "" {
		return nil
	}
	data, err := b.MarshalBinary()
	if err != nil {
		return err
	}
	s.wait()
	return s.write(data)
}

func (s *store) wait() { s.saving.Wait() }

// write replaces the file by renaming, so that a crash leaves the old one or
// the new one.
func (s *store) write(data []byte) error {
	path := filepath.Join(s.dir, baselineName)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("save the baseline: %w", err)
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
		return fmt.Errorf("save the baseline: %w", err)
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
