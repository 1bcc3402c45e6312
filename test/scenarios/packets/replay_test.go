package packets

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Captured floods come at 20,000 packets a second.
const captureRate = 20_000

// captured is a flood that others captured.
type captured struct {
	name, vector string
	file         string
}

func capturedFloods() []captured {
	return []captured{
		{"SYNs, spoofed", "syn-flood", "pkt.TCP.synflood.spoofed.pcap.gz"},
		{"SYN-ACKs, reflected", "reflection", "amp.TCP.reflection.SYNACK.pcap.gz"},
		{"ISAKMP, reflected", "reflection", "amp.UDP.isakmp.pcap.gz"},
		{"SNMP, reflected", "reflection", "amp.UDP.snmp.src161.pcapng.gz"},
	}
}

const (
	// regulars is how many visitors come in a second: fewer than what a new site
	// takes for a flood of requests (thrice the 20 that are usual anywhere), from
	// which nothing would be learnt.
	regulars = 40
	// learns is how long visitors come before a capture is replayed: a signature
	// is only counted before it was tested on 300 ordinary packets (least_ordinary),
	// and a second of them, of which 200 are kept, is learnt from when it is three
	// seconds old.
	learns = 7 * time.Second
	// foundWithin is how long after its beginning a flood is to be known, and
	// enough of it stopped.
	foundWithin = time.Second
	enough      = 0.99 // share of the flood that is to be stopped from then on
)

// replayWindow is what was measured while a capture was replayed.
type replayWindow struct {
	window
	capture replayed
	look    looked
}

// replay measures while a capture comes, and visitors beside it.
func (s *stage) replay(path string, lasts time.Duration) (w replayWindow, err error) {
	if err := s.host.tell(order{Do: "counts"}, &w.before); err != nil {
		return w, err
	}
	var all sync.WaitGroup
	errs := make([]error, 4)
	all.Go(func() { errs[0] = s.lookout.tell(order{Do: "look", Lasts: lasts + lasts/10}, &w.look) })
	all.Go(func() {
		errs[1] = s.gunner.tell(order{Do: "replay", Name: path, Rate: captureRate, Lasts: lasts}, &w.capture)
	})
	all.Go(func() { errs[2] = s.world.tell(order{Do: "visit", Rate: regulars, Lasts: lasts}, &w.seen) })
	all.Go(func() { errs[3] = s.host.tell(order{Do: "own", Lasts: lasts}, &w.owned) })
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return w, err
		}
	}
	w.fired = fired{Sent: w.capture.Sent, Took: w.capture.Took}
	return w, s.host.tell(order{Do: "counts"}, &w.after)
}

// calm lets visitors come, and the host do its own.
func (s *stage) calm(lasts time.Duration) error {
	var both sync.WaitGroup
	errs := make([]error, 2)
	both.Go(func() { errs[0] = s.world.tell(order{Do: "visit", Rate: regulars, Lasts: lasts}, new(seen)) })
	both.Go(func() { errs[1] = s.host.tell(order{Do: "own", Lasts: lasts}, new(owned)) })
	both.Wait()
	return errors.Join(errs...)
}

// stopped is the share of the capture that did not get past the filter in a
// part of the window, from its beginning.
func (w replayWindow) stopped(from, to time.Duration) float64 {
	a, b := w.capture.Marks[0].At.Add(from), w.capture.Marks[0].At.Add(to)
	sent := w.capture.Marks.until(b) - w.capture.Marks.until(a)
	if sent == 0 {
		return 0
	}
	return 1 - float64(w.look.Past.until(b)-w.look.Past.until(a))/float64(sent)
}

// seconds is the share that was stopped in each whole second.
func (w replayWindow) seconds() (out []float64) {
	for at := time.Second; at <= w.capture.Took; at += time.Second {
		out = append(out, w.stopped(at-time.Second, at))
	}
	return out
}

// enoughFrom is from when on enough is stopped in every tenth of a second.
func (w replayWindow) enoughFrom() (from time.Duration) {
	const part = 100 * time.Millisecond
	for at := part; at <= w.capture.Took; at += part {
		if w.stopped(at-part, at) < enough {
			from = at
		}
	}
	return from
}

// found is how long after the flood's beginning Seawall said of it; false: it
// never did.
func (w replayWindow) found(vector string) (announced, time.Duration, bool) {
	for _, f := range w.look.Said {
		if f.Vector == vector {
			return f, f.First.Sub(w.capture.Marks[0].At), true
		}
	}
	return announced{}, 0, false
}

// missedReplay says what is not as asked. Nobody honest may lose anything: what
// is allowed for the machine's sake elsewhere is not here.
func (w replayWindow) missedReplay(c captured) (out []string) {
	out = w.missed(captureRate, bars{})
	if n := w.Visits.Repeated; n == slack { // more is in it already
		out = append(out, "a visitor repeated its SYN")
	}
	if n := w.Visits.All - w.Visits.Served; n == slack {
		out = append(out, "a visitor had no answer: "+w.Visits.First)
	}
	if _, after, ok := w.found(c.vector); !ok {
		out = append(out, fmt.Sprintf("%s is not found: %v", c.vector, w.look.Said))
	} else if after > foundWithin {
		out = append(out, fmt.Sprintf("found after %s", after.Round(time.Millisecond)))
	}
	if len(w.look.Said) > 1 {
		out = append(out, fmt.Sprintf("one flood is taken for several: %v", w.look.Said))
	}
	if from := w.enoughFrom(); from > foundWithin {
		out = append(out, fmt.Sprintf("enough is stopped only after %s", from))
	}
	if share := w.stopped(foundWithin, w.capture.Took); share < enough {
		out = append(out, fmt.Sprintf("after %s only %.2f %% are stopped", foundWithin, 100*share))
	}
	past := w.look.Past.until(w.look.Past[len(w.look.Past)-1].At)
	if all := float64(w.kept() + past); all < 0.99*float64(w.capture.Sent) {
		out = append(out, fmt.Sprintf("only %.0f of %d packets were seen", all, w.capture.Sent))
	}
	return out
}
