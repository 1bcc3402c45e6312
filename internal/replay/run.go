package replay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"seawall/internal/attack"
	"seawall/internal/defense"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/figures"
	"seawall/internal/mitigation"
)

const (
	glance = 100 * time.Millisecond // between two steps of the loop
	// quietFor is how long nothing comes before time may be left out.
	quietFor = 1200 * time.Millisecond // a window ends within it
)

// runner is a replay under way.
type runner struct {
	o      Options
	w      *World
	report *Report
	hits   *hits
	done   map[mitigation.ID]*Done
	order  []*Done
	next   clock.Instant // when the loop is to step
	seen   map[string]bool
	crowd  bool                  // there is one
	goes   map[attack.Vector]int // of report.Findings, those that are found now

	tapes   tapes
	shift   clock.Instant // what is added to nanoseconds since 1970
	latest  int64         // of the packets, nanoseconds since 1970
	packets *Packets
	flooded map[string]bool // floods of packets that were written down
	failed  error           // why no more is played

	read, size, told int64
	head             headers
	group            group
}

// Run replays files.
func Run(ctx context.Context, files []string, o Options) (*Report, error) {
	began := time.Now()
	r := &runner{
		o: o, report: &Report{Attacks: []defense.Attack{}, Done: []Done{}, Findings: []Found{}}, hits: newHits(),
		done: map[mitigation.ID]*Done{}, seen: map[string]bool{}, goes: map[attack.Vector]int{}, flooded: map[string]bool{},
	}
	var all sources
	defer func() { all.end() }()
	defer func() { r.tapes.end() }()
	if err := r.setPace(ctx, files); err != nil {
		return nil, err
	}
	about, err := r.open(ctx, files, &all)
	if err != nil {
		return nil, err
	}
	if len(all)+len(r.tapes.list) == 0 {
		return nil, errNothing
	}
	for _, s := range slices.Clone(all) {
		if err := all.advance(ctx, s); err != nil {
			return nil, err
		}
	}
	if err := r.run(ctx, &all); err != nil {
		return nil, err
	}
	for _, f := range about {
		r.report.Files = append(r.report.Files, *f)
	}
	r.report.Requests, r.report.Hit = r.hits.requests, r.hits.hit()
	r.report.Took = time.Since(began)
	return r.report, nil
}

// open opens all files, logs and captures.
func (r *runner) open(ctx context.Context, files []string, logs *sources) (about []*File, err error) {
	for _, name := range files {
		if i, err := os.Stat(name); err == nil {
			r.size += i.Size()
		}
		s, err := open(ctx, name, r.o.Format, func(n int64) { r.read += n })
		if err == nil && s.tape != nil {
			err = r.takeUp(ctx, s)
		} else if err == nil {
			if *logs = append(*logs, s); r.o.Rate > 0 {
				return nil, errPaceLog
			}
		}
		var none *unread
		switch {
		case errors.As(err, &none) && len(files) > 1: // a log that was just begun, or another one
			about = append(about, &File{Name: name, Skipped: none.why})
		case err != nil:
			return nil, err
		default:
			about = append(about, s.about)
		}
	}
	return about, nil
}

var errNothing = errors.New("none of the lines could be read as a request, and none of the files as a capture of packets")

func (r *runner) run(ctx context.Context, all *sources) error {
	s := all.first()
	if s == nil && len(r.tapes.list) == 0 {
		return errNothing
	}
	var begins time.Time
	if s != nil {
		begins = s.entry.Time
	}
	if err := r.begin(begins, s != nil); err != nil {
		return err
	}
	defer func() { _ = r.w.Close() }()
	l := newLine(begins, func(sec time.Time, batch []held) { r.second(ctx, sec, batch) })
	for ; s != nil && r.failed == nil; s = all.first() {
		r.report.Late += l.take(&s.entry)
		r.tell(s.entry.Time)
		if err := all.advance(ctx, s); err != nil {
			return err
		}
	}
	l.rest()
	if late := r.report.Late; late > 100 && late > r.hits.requests.All/20 {
		return fmt.Errorf("%s of %s lines are more than a minute out of order: sort them by time first, or give the files one by one",
			figures.Thousands(late), figures.Thousands(late+r.hits.requests.All))
	}
	r.play(ctx, math.MaxInt64)
	r.until(ctx, r.w.Clock.Now().Add(time.Second))
	if r.failed != nil {
		return r.failed
	}
	if err := r.sorted(); err != nil {
		return err
	}
	r.collect()
	r.finish()
	return r.w.Keep()
}

// begin makes the world, where a request is the first of the logs, and there may be
// captures.
func (r *runner) begin(request time.Time, logs bool) (err error) {
	r.report.From = request
	start := request.Truncate(time.Second).Add(-together * time.Second)
	if s := r.tapes.first(); s != nil {
		first := time.Unix(0, s.tape.at).UTC()
		r.packets.From = first
		if !logs || first.Before(request) {
			r.report.From = first
		}
		if at := first.Truncate(time.Second); !logs || at.Before(start) {
			start = at
		}
	}
	if r.w, err = r.o.World(start); err != nil {
		return err
	}
	r.shift = r.w.Clock.At(time.Unix(0, 0))
	r.next = r.w.Clock.Now().Add(glance)
	return nil
}

// tell tells how far it is.
func (r *runner) tell(at time.Time) {
	if r.o.Progress == nil || r.read-r.told <= 1<<20 {
		return
	}
	r.told = r.read
	if p := r.tapes.pace; p != nil && p.long > 0 {
		r.o.Progress(at.UnixNano()-p.first, int64(p.long), at)
		return
	}
	r.o.Progress(r.read, r.size, at)
}

// second replays the requests of a second.
func (r *runner) second(ctx context.Context, sec time.Time, batch []held) {
	at := max(r.w.Clock.At(sec), r.w.Clock.Now())
	r.play(ctx, at)
	r.pass(ctx, at)
	// Where the log tells only the second, or lines are late, they come at even
	// distances.
	fine := false
	for i := range batch {
		fine = fine || batch[i].nanos != 0
	}
	for i := range batch {
		e := &batch[i]
		if i%Together == 0 {
			r.makeOut(batch[i:min(i+Together, len(batch))])
		}
		t := at.Add(time.Second * time.Duration(i) / time.Duration(len(batch)))
		if fine {
			t = at.Add(time.Duration(e.nanos))
		}
		r.until(ctx, t)
		r.w.Clock.Set(t)
		r.request(e, &r.group.visits[i%Together], r.group.of[i%Together])
	}
	r.report.To = sec
}

// pass lets time pass until at, before which no packet comes. Where nothing stands and
// nothing is expected, most of it is left out.
func (r *runner) pass(ctx context.Context, at clock.Instant) {
	r.until(ctx, min(at, r.w.Clock.Now().Add(quietFor)))
	for r.next <= at {
		if r.w.Loop.Still() {
			// The window that ends now holds nothing, however long it was.
			r.w.Clock.Set(at)
			r.step()
			r.next = at.Add(glance)
			return
		}
		r.until(ctx, min(at, r.next.Add(time.Second)))
	}
}

// until has the loop step up to t.
func (r *runner) until(ctx context.Context, t clock.Instant) {
	for r.next <= t {
		r.before(ctx, r.next)
		r.w.Clock.Set(r.next)
		r.step()
		r.next = r.next.Add(glance)
	}
}

func (r *runner) step() {
	before := len(*r.w.Steps)
	r.w.Loop.Step()
	for i := before; i < len(*r.w.Steps); i++ {
		// How long it took is no matter of what was recorded.
		delete((*r.w.Steps)[i].Numbers, "took_ms")
	}
	r.collect()
}

// finish writes down what there is at the end.
func (r *runner) finish() {
	st := r.w.Loop.Status()
	if st.Attack != nil {
		r.attack(*st.Attack)
	}
	r.finishPackets(&st)
	for _, d := range r.order {
		r.report.Done = append(r.report.Done, *d)
	}
	r.report.Steps = *r.w.Steps
}
