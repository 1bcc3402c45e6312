package defense

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"seawall/internal/defense/decide"
)

const (
	mostRecords     = 100
	mostSubscribers = 64
	backlog         = 64 // records that a slow subscriber may lag behind
)

// Record is one step of the loop, told once.
type Record struct {
	At      time.Time          `json:"at"`
	Step    string             `json:"step"` // baseline, detect, sign, decide, enforce, order
	Text    string             `json:"text"` // one plain sentence
	Numbers map[string]float64 `json:"numbers"`
}

// records keeps the last steps and hands them on. Safe for concurrent use.
type records struct {
	log *slog.Logger

	mu     sync.Mutex
	last   []Record // oldest first
	subs   map[chan Record]struct{}
	closed bool
}

func newRecords(log *slog.Logger) *records {
	return &records{log: log, subs: make(map[chan Record]struct{})}
}

func (r *records) add(rec Record, warn bool) {
	if rec.Numbers == nil {
		rec.Numbers = map[string]float64{}
	}
	r.mu.Lock()
	if len(r.last) >= mostRecords {
		r.last = append(r.last[:0:0], r.last[len(r.last)-mostRecords+1:]...)
	}
	r.last = append(r.last, rec)
	for c := range r.subs {
		select {
		case c <- rec:
		default: // it reads too slowly: this one is lost to it
		}
	}
	r.mu.Unlock()

	level := slog.LevelInfo
	if warn {
		level = slog.LevelWarn
	}
	attrs := make([]slog.Attr, 0, len(rec.Numbers)+1)
	attrs = append(attrs, slog.String("step", rec.Step))
	names := make([]string, 0, len(rec.Numbers))
	for name := range rec.Numbers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		attrs = append(attrs, slog.Float64(name, rec.Numbers[name]))
	}
	r.log.LogAttrs(context.Background(), level, rec.Text, attrs...)
}

func (r *records) list() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.last)
}

func (r *records) subscribe(ctx context.Context) <-chan Record {
	c := make(chan Record, backlog)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.subs) >= mostSubscribers || ctx.Err() != nil {
		close(c)
		return c
	}
	r.subs[c] = struct{}{}
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.drop(c)
	})
	return c
}

// drop ends a subscription. The caller holds mu.
func (r *records) drop(c chan Record) {
	if _, ok := r.subs[c]; ok {
		delete(r.subs, c)
		close(c)
	}
}

func (r *records) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for c := range r.subs {
		r.drop(c)
	}
}

// Subscribe streams records from now on until ctx or the loop ends. A reader
// that is too slow loses some. The channel is closed at once when there are
// too many readers.
func (l *Loop) Subscribe(ctx context.Context) <-chan Record { return l.records.subscribe(ctx) }

func (l *Loop) record(now decide.Moment, step, text string, numbers map[string]float64, warn bool) {
	r := Record{At: now.Wall, Step: step, Text: text, Numbers: numbers}
	l.records.add(r, warn)
	if l.deps.Tell != nil {
		l.deps.Tell(r)
	}
	l.changed = true
}

// trouble notes what does not work, once for each kind until it works again.
func (l *Loop) trouble(now decide.Moment, what, text string) {
	if l.troubles[what] != "" {
		l.troubles[what] = text
		return
	}
	l.troubles[what] = text
	l.record(now, what, "Trouble: "+text+". Traffic passes meanwhile.", nil, true)
}
