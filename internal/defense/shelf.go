package defense

import "errors"

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
		err = s.store.write(baselineName, learnt)
	}
	if err != nil {
		return err
	}
	return s.store.giveAway()
}

// Close lets others use the folder.
func (s *Shelf) Close() error { return s.store.close() }
