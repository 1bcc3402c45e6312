package peers

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// atOnce is how many connections are being made at a time.
const atOnce = 16

// newcomers make connections for some seconds, each with a handshake of its own,
// one request, and an address of its own.
func newcomers(s *stand, p *shield, o options, from *atomic.Int64) (tally, error) {
	var made atomic.Int64
	end := time.Now().Add(time.Duration(o.seconds) * time.Second)
	err := each(atOnce, func() error {
		for time.Now().Before(end) {
			l, err := dial(p, nth(int(from.Add(1))))
			if err != nil {
				return err
			}
			err = l.ask(s, o.accept, true)
			l.c.Close()
			if err != nil {
				return err
			}
			made.Add(1)
		}
		return nil
	})
	n := tally{answers: int(made.Load())}
	if !s.refuses {
		n.good = n.answers
	}
	return n, err
}

// each runs f in n goroutines and returns the first error.
func each(n int, f func() error) error {
	var all sync.WaitGroup
	var once sync.Once
	var first error
	for range n {
		all.Go(func() {
			if err := f(); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	all.Wait()
	return first
}

// idle opens HTTPS connections, each from an address of its own, that ask once
// and stay, and returns the resident memory that each of them takes, in bytes.
// None may be closed meanwhile.
func idle(s *stand, p *shield, o options) (float64, error) {
	warm := make([]line, 0, 200)
	for i := range cap(warm) {
		l, err := dial(p, nth(i))
		if err != nil {
			return 0, err
		}
		warm = append(warm, l)
		if err := l.ask(s, o.accept, true); err != nil {
			return 0, err
		}
	}
	for _, l := range warm {
		l.c.Close()
	}
	time.Sleep(o.settle)
	before, err := p.resident()
	if err != nil {
		return 0, err
	}
	lines := make([]line, o.idle)
	defer func() {
		for _, l := range lines {
			if l.c != nil {
				l.c.Close()
			}
		}
		clear(lines)
		runtime.GC() // before the next of them is measured
	}()
	ask := func(f func(i int) error) error {
		var next atomic.Int64
		return each(atOnce, func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(lines) {
					return nil
				}
				if err := f(i); err != nil {
					return fmt.Errorf("connection %d of %d: %w", i+1, len(lines), err)
				}
			}
		})
	}
	if err := ask(func(i int) error {
		l, err := dial(p, nth(i))
		if err != nil {
			return err
		}
		lines[i] = l
		return l.ask(s, o.accept, false)
	}); err != nil {
		return 0, err
	}
	time.Sleep(o.settle)
	after, err := p.resident()
	if err != nil {
		return 0, err
	}
	if err := ask(func(i int) error { return lines[i].ask(s, o.accept, false) }); err != nil {
		return 0, fmt.Errorf("asked again: %w", err)
	}
	return float64(after-before) / float64(len(lines)), nil
}

// roomFor lets this process, and what it starts, have files for as many
// connections, or skips.
func roomFor(t testing.TB, connections int) {
	t.Helper()
	need := uint64(connections + 2000)
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	l.Max = max(l.Max, need) // root may
	l.Cur = l.Max
	// What a program sets itself, and only that, its children inherit.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Skipf("%d connections need as many open files (ulimit -n): %v", connections, err)
	}
}
