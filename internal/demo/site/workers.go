package site

import (
	"sync/atomic"
	"time"
)

// workers are the hands that do the site's work, and the line in front of them.
type workers struct {
	free     chan struct{} // a token for each idle worker
	waiting  atomic.Int64  // in line now
	longest  int64         // the line's limit
	patience time.Duration
	work     time.Duration
}

func newWorkers(c Config) *workers {
	w := &workers{
		free:     make(chan struct{}, c.Workers),
		longest:  int64(c.Line),
		patience: c.Patience,
		work:     c.Work,
	}
	for range c.Workers {
		w.free <- struct{}{}
	}
	return w
}

// outcome of standing in line.
type outcome int

const (
	served  outcome = iota
	full            // the line was too long
	tooLate         // stood in it for longer than patience
)

// do takes a worker for weight times the work of a page and calls f meanwhile.
// Like most real sites it does not notice that whoever asked has gone: the work
// is done all the same. Requests are served in the order in which they came.
func (w *workers) do(weight int, f func()) outcome {
	select {
	case <-w.free:
	default:
		if w.waiting.Add(1) > w.longest {
			w.waiting.Add(-1)
			return full
		}
		t := time.NewTimer(w.patience)
		select {
		case <-w.free:
			t.Stop()
			w.waiting.Add(-1)
		case <-t.C:
			w.waiting.Add(-1)
			return tooLate
		}
	}
	defer func() { w.free <- struct{}{} }()
	begun := time.Now()
	f()
	if rest := time.Duration(weight)*w.work - time.Since(begun); rest > 0 {
		time.Sleep(rest)
	}
	return served
}
