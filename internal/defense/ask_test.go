package defense

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/defense/decide"
)

// A question on which the loop breaks is answered with that, and nobody waits for ever.
func TestBrokenQuestionsAreAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, "")
		l := s.loop
		defer s.start(t)()
		s.run(time.Second)
		for name, ask := range map[string]func() bool{
			"Known":       func() bool { _, ok := l.Known(1); return !ok },
			"Find":        func() bool { _, _, ok := l.Find(1); return !ok },
			"Mitigations": func() bool { return l.Mitigations() == nil },
			"Learnt":      func() bool { return l.Learnt() == nil },
			"Letter":      func() bool { got, err := l.Letter(7); return errors.Is(err, ErrFailed) && got.Days == nil },
			"Rules":       func() bool { return errors.Is(l.Rules(nil), ErrFailed) },
			"Order": func() bool {
				_, err := l.Order(decide.Order{Verb: decide.Off})
				return errors.Is(err, ErrFailed)
			},
		} {
			// Nobody can look anything up in nothing. The loop's own work breaks on it
			// as well, and goes on when it is mended.
			d, b, o := l.decider, l.baseline, l.observer
			if err := l.do(func(decide.Moment) { l.decider, l.baseline, l.observer, l.days.today = nil, nil, nil, "another" }); err != nil {
				t.Fatal(err)
			}
			c := make(chan bool, 1)
			go func() { c <- ask() }()
			select {
			case ok := <-c:
				if !ok {
					t.Errorf("%s: broken, and does not say so", name)
				}
			case <-time.After(2 * patience):
				t.Fatalf("%s: no answer", name)
			}
			if err := l.do(func(decide.Moment) { l.decider, l.baseline, l.observer = d, b, o }); err != nil {
				t.Fatal(err)
			}
		}
		if got := l.Mitigations(); got == nil {
			t.Error("mended, and no answer")
		}
	})
}
