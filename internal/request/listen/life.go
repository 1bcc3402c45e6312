package listen

import (
	"context"
	"io"
	"sync"
	"time"
)

// life is a request's context: it ends when the client leaves, or when the request
// was answered; that of a Straight is its connection's, or its stream's, and goes on. It
// costs nothing as long as nobody waits for it.
type life struct {
	mu    sync.Mutex
	err   error
	done  chan struct{}      // nil until somebody asks
	hooks map[*hook]struct{} // nil until there are two
	one   *hook              // the first of them
	held  io.Closer          // see Hold
}

type hook struct{ f func() }

// Deadline says that there is none.
func (l *life) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value knows nothing: no facts travel in contexts here.
func (l *life) Value(any) any { return nil }

// Done returns a channel that is closed at the end.
func (l *life) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.err != nil {
			close(l.done)
		}
	}
	return l.done
}

// Err returns context.Canceled after the end.
func (l *life) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// AfterFunc runs f on a goroutine of its own at the end, unless stop is called
// before. Package context finds it by name, and then needs no goroutine to wait.
func (l *life) AfterFunc(f func()) (stop func() bool) {
	h := &hook{f}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		go f()
		return func() bool { return false }
	case l.one == nil:
		l.one = h
	default:
		if l.hooks == nil {
			l.hooks = map[*hook]struct{}{}
		}
		l.hooks[h] = struct{}{}
	}
	return func() bool { return l.unhook(h) }
}

func (l *life) unhook(h *hook) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.one == h {
		l.one = nil
		return true
	}
	_, there := l.hooks[h]
	delete(l.hooks, h)
	return there
}

// Hold has c closed at the end, unless Drop is called before. It holds one thing at a
// time, and costs less than AfterFunc.
func (l *life) Hold(c io.Closer) {
	l.mu.Lock()
	over := l.err != nil
	if !over {
		l.held = c
	}
	l.mu.Unlock()
	if over {
		go c.Close()
	}
}

// Drop takes Hold back. It returns false where that is too late.
func (l *life) Drop() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.held != nil
	l.held = nil
	return was
}

// end ends it. Only the first call counts.
func (l *life) end() {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = context.Canceled
	if l.done != nil {
		close(l.done)
	}
	one, hooks, held := l.one, l.hooks, l.held
	l.one, l.hooks, l.held = nil, nil, nil
	l.mu.Unlock()
	if held != nil {
		go held.Close()
	}
	if one != nil {
		go one.f()
	}
	for h := range hooks {
		go h.f()
	}
}

var _ context.Context = (*life)(nil)
