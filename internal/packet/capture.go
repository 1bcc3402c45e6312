package packet

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"seawall/internal/packet/filter"
)

// Why nothing can be captured.
var (
	// ErrCapturing: another capture is running.
	ErrCapturing = errors.New("packets are being captured already, and one capture at a time is allowed: wait until it is over, or end it")
	// ErrNoFilter: no packets are seen.
	ErrNoFilter = errors.New("there is no packet filter, which shows the packets: name interfaces under packet.interfaces, or look in the log why it could not be had")
	// ErrOff: packets pass unseen.
	ErrOff = errors.New("no packets are seen while Seawall is off: `seawall on` defends again")
)

// Want is what is to be captured.
type Want struct {
	Stopped, Passed bool
	Most            int64 // bytes that may be written, all in all
}

// Record is a sampled packet without what it carried.
type Record struct {
	At      time.Time // wall time
	Length  int       // of the whole frame on the wire, bytes
	Every   uint32    // it stands for so many
	Reason  filter.Reason
	headers [mostHeaders]byte
	kept    uint8
}

// mostHeaders is how much of a frame the filter shows.
const mostHeaders = 160

// Headers is the frame up to the end of its TCP, UDP or ICMP header, see
// headersLen.
func (r *Record) Headers() []byte { return r.headers[:r.kept] }

// Stopped says whether the packet was stopped.
func (r *Record) Stopped() bool { return r.Reason >= filter.StopLength }

// Capture gets the samples that Cut reads for the control loop, once a second or
// twice, at most mostSamples of them; nothing is read twice, and nothing is done while
// nobody captures. It begins with the window that the next Cut ends, so up to a
// second early, and ends up to a second early as well.
type Capture struct {
	want    Want
	began   time.Time
	records chan Record

	counted atomic.Uint64 // wanted packets, sampled or not
	sampled atomic.Uint64 // of these, sampled
	lost    atomic.Uint64 // samples of any kind that the kernel had no room for, and wanted ones that had none here
}

// Capture begins a capture, which ends with ctx. There is one at a time.
func (p *Packet) Capture(ctx context.Context, want Want) (*Capture, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.capture != nil:
		return nil, ErrCapturing
	case p.filter != nil && p.off:
		return nil, ErrOff
	case p.filter == nil || len(p.at) == 0:
		return nil, ErrNoFilter
	}
	c := &Capture{want: want, began: time.Now(), records: make(chan Record, mostSamples)}
	p.capture = c
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.capture = nil
		close(c.records) // all that sends to it holds the lock
	})
	return c, nil
}

// Records yields what is captured; it is closed at the end. It holds what one Cut
// reads: whoever does not take that within a second loses what comes after, and
// the loss is counted.
func (c *Capture) Records() <-chan Record { return c.records }

// take keeps a sample, if it is wanted. monotonic and wall are one moment on two
// clocks. It never waits.
func (c *Capture) take(s *filter.Sample, monotonic uint64, wall time.Time) {
	r := Record{
		At:     wall.Add(-time.Duration(monotonic - s.At)),
		Length: s.Length, Every: s.Every, Reason: s.Reason,
	}
	if r.Stopped() && !c.want.Stopped || !r.Stopped() && !c.want.Passed {
		return
	}
	c.sampled.Add(1)
	if r.Reason == filter.PassOther {
		c.counted.Add(uint64(r.Every)) // the counters do not tell these from packets that are no business of ours
	}
	r.kept = uint8(copy(r.headers[:], s.Frame[:headersLen(s.Frame)]))
	select {
	case c.records <- r:
	default:
		c.lost.Add(1)
	}
}

// window is told what a window counted.
func (c *Capture) window(stopped, passed, lost uint64) {
	if c.want.Stopped {
		c.counted.Add(stopped)
	}
	if c.want.Passed {
		c.counted.Add(passed)
	}
	c.lost.Add(lost)
}
