package defense

import (
	"errors"
	"fmt"
	"time"

	"seawall/internal/defense/baseline"
	"seawall/internal/traffic"
)

// Shelf is a data folder on which something learnt is left, for a Seawall that starts
// there later. Nobody else uses the folder until it is closed.
type Shelf struct{ store *store }

// NewShelf takes a data folder. It fails where a Seawall runs on it.
func NewShelf(dir string) (*Shelf, error) {
	s, err := openStore(dir)
	if err == nil && s.trouble != "" {
		err = errors.New(s.trouble)
	}
	if err != nil {
		return nil, err
	}
	return &Shelf{s}, nil
}

// Leave puts what l has learnt in the place of what was learnt there before. What it
// writes belongs to whom the folder belongs to.
func (s *Shelf) Leave(l *Loop) error {
	learnt, err := l.baseline.MarshalBinary()
	if err == nil {
		err = errors.Join(s.store.write(baselineName, learnt), s.store.write(samplesName, l.baseline.MarshalSamples()))
	}
	if err != nil {
		return err
	}
	return s.store.giveAway()
}

// Close lets others use the folder.
func (s *Shelf) Close() error { return s.store.close() }

// ErrNothingLearnt says that there is nothing in a data folder that was learnt.
var ErrNothingLearnt = errors.New("nothing was learnt there yet")

// ReadLearnt sums up what is normal as it stands in a data folder, whether a Seawall runs
// on it or not. What is used before anything is known is the defaults'.
func ReadLearnt(dir string) (*traffic.Learnt, error) {
	s, b := &store{dir: dir}, baseline.New(baseline.DefaultConfig())
	if err := errors.Join(s.loadBaseline(b), s.loadSamples(b)); err != nil {
		return nil, fmt.Errorf("read what was learnt: %w", err)
	}
	l := b.Learnt(time.Time{})
	if l.At.IsZero() {
		return nil, ErrNothingLearnt
	}
	return &l, nil
}
