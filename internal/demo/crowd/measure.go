package crowd

import (
	"slices"
	"sync"
	"time"
)

// Felt is what visitors felt during a phase.
type Felt struct {
	Meant  uint64            `json:"meant"`  // requests that they meant to make
	Served uint64            `json:"served"` // got the right body
	Missed uint64            `json:"missed"` // could not even be made: the page before was still missing
	Sent   uint64            `json:"sent"`   // back to the page that was asked for, with a cookie
	Wrong  map[string]uint64 `json:"wrong,omitempty"`
	P50    time.Duration     `json:"p50"` // of the time to the whole answer, served ones only; nanoseconds
	P99    time.Duration     `json:"p99"`
	Span   time.Duration     `json:"span"` // how long the phase was
}

// Share is the share of requests served, 1 when none was meant.
func (f Felt) Share() float64 {
	if f.Meant == 0 {
		return 1
	}
	return float64(f.Served) / float64(f.Meant)
}

// What went wrong with a request that was not served.
const (
	wrongRefused = "refused"     // Seawall, or another server in front, turned it away
	wrongError   = "error"       // any other status than 200 and 304
	wrongBody    = "wrong body"  // 200, but not what was asked for
	wrongLate    = "gave up"     // no whole answer within patience
	wrongCut     = "cut off"     // the connection failed
	wrongMissed  = "not clicked" // the page before was still missing
	wrongOpen    = "waiting"     // on its way for over a second when Felt was asked
)

// mostTimes bounds how many latencies one record keeps; later ones are dropped.
const mostTimes = 1 << 20

type key struct{ phase, group string }

type record struct {
	felt  Felt
	times []time.Duration
}

func (r *record) note(wrong string, took time.Duration) {
	r.felt.Meant++
	if wrong == "" {
		r.felt.Served++
		if len(r.times) < mostTimes {
			r.times = append(r.times, took)
		}
		return
	}
	if r.felt.Wrong == nil {
		r.felt.Wrong = map[string]uint64{}
	}
	r.felt.Wrong[wrong]++
	if wrong == wrongMissed {
		r.felt.Missed++
	}
}

func (r *record) read() Felt {
	f := r.felt
	f.Wrong = make(map[string]uint64, len(r.felt.Wrong))
	for k, v := range r.felt.Wrong {
		f.Wrong[k] = v
	}
	times := slices.Clone(r.times)
	slices.Sort(times)
	f.P50, f.P99 = quantile(times, 0.50), quantile(times, 0.99)
	return f
}

// quantile is the smallest of sorted times that a share q of them do not
// exceed; 0 of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[max(0, min(i, len(sorted)-1))]
}

// measures keeps what was felt, by phase and group, and second by second.
type measures struct {
	mu     sync.Mutex
	open   map[uint64]open // requests on their way
	opened uint64          // requests ever begun
	marks  []mark          // phases, in order of time
	felt   map[key]*record
	recent []*second // the last few seconds, oldest first
}

type mark struct {
	at    time.Time
	phase string
}

// open is a request on its way.
type open struct {
	group string
	meant time.Time
}

// begin keeps a request as on its way until done is called with its number.
func (m *measures) begin(group string, meant time.Time) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened++
	m.open[m.opened] = open{group, meant}
	return m.opened
}

func (m *measures) done(n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, n)
}

// waiting counts the requests of a phase that have been on their way for so long
// that they must not be left out; group "" is all groups. Hold m.mu.
func (m *measures) waiting(phase, group string) uint64 {
	var n uint64
	for _, o := range m.open {
		if (group == "" || o.group == group) && time.Since(o.meant) > time.Second && m.phaseAt(o.meant) == phase {
			n++
		}
	}
	return n
}

// withWaiting adds n waiting requests to what was felt.
func (f Felt) withWaiting(n uint64) Felt {
	if n > 0 {
		f.Meant += n
		f.Wrong[wrongOpen] = n
	}
	return f
}

type second struct {
	at time.Time // its beginning
	record
}

// keepSeconds is how many seconds Now can look back.
const keepSeconds = 5

// phaseAt is the phase that a moment belongs to; hold m.mu.
func (m *measures) phaseAt(at time.Time) string {
	for i := len(m.marks) - 1; i >= 0; i-- {
		if !at.Before(m.marks[i].at) {
			return m.marks[i].phase
		}
	}
	return ""
}

// note puts a request down to the phase in which it was meant to be sent, and
// for Now to the second in which its fate was known.
func (m *measures) note(group string, meant time.Time, wrong string) {
	now := time.Now()
	took := now.Sub(meant)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record(group, meant).note(wrong, took)
	s := m.second(now)
	s.note(wrong, took)
}

// sent notes that an answer sent somebody back to what was meant to be asked for then.
func (m *measures) sent(group string, meant time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record(group, meant).felt.Sent++
}

// record is that of a group in the phase of a moment; hold m.mu.
func (m *measures) record(group string, at time.Time) *record {
	k := key{m.phaseAt(at), group}
	r := m.felt[k]
	if r == nil {
		r = &record{}
		m.felt[k] = r
	}
	return r
}

// second is the record of the second now; hold m.mu.
func (m *measures) second(now time.Time) *second {
	if n := len(m.recent); n > 0 && now.Sub(m.recent[n-1].at) < time.Second {
		return m.recent[n-1]
	}
	if len(m.recent) == keepSeconds {
		m.recent = m.recent[1:]
	}
	s := &second{at: now.Truncate(time.Second)}
	m.recent = append(m.recent, s)
	return s
}

func (m *measures) span(phase string) time.Duration {
	for i, k := range m.marks {
		if k.phase != phase {
			continue
		}
		if i+1 < len(m.marks) {
			return m.marks[i+1].at.Sub(k.at)
		}
		return time.Since(k.at)
	}
	return 0
}
