package baseline

import (
	"errors"
	"fmt"
	"time"

	"seawall/internal/traffic"
)

// linkState is what is learnt of connections and outlives a restart.
type linkState struct {
	learned                                       time.Duration
	opened, unused, begun, unmade, odd, malformed rolling // a second
	silent, laggards                              rolling // at a time
}

// rings lists the numbers that are kept, by the names they have on disk.
func (s *linkState) rings() map[string]*rolling {
	return map[string]*rolling{
		"opened": &s.opened, "unused": &s.unused, "begun": &s.begun, "unmade": &s.unmade,
		"odd": &s.odd, "malformed": &s.malformed, "silent": &s.silent, "laggards": &s.laggards,
	}
}

// linkDigest is what is learnt from a window's connections.
type linkDigest struct {
	some                                          bool // they were counted, there were some, and hardly any was turned away
	opened, unused, begun, unmade, odd, malformed float64
	silent, laggards                              float64
}

// digestLinks needs how many handshakes waited for us when the window began.
func digestLinks(w *traffic.Window, waited int) linkDigest {
	l := &w.Links
	if !l.Counted || l.Opened == 0 && l.Open == 0 || w.Span <= 0 || (l.Full+l.Crowded)*10 > l.Opened {
		return linkDigest{}
	}
	return linkDigest{
		some:   true,
		opened: w.Rate(l.Opened), unused: w.Rate(l.Unused + l.Handshakes.Unused), begun: w.Rate(l.Handshakes.Begun),
		unmade: w.Rate(l.Handshakes.Unmade(waited)), odd: w.Rate(l.Oddly()), malformed: w.Rate(l.Malformed),
		silent: float64(l.Silent()), laggards: float64(l.Laggards()),
	}
}

// absorb learns from a window that has waited long enough.
func (s *linkState) absorb(d *linkDigest, span time.Duration) {
	s.learned += span
	s.opened.addRate(d.opened)
	s.unused.addRate(d.unused)
	s.begun.addRate(d.begun)
	s.unmade.addRate(d.unmade)
	s.odd.addRate(d.odd)
	s.malformed.addRate(d.malformed)
	s.silent.addRate(d.silent)
	s.laggards.addRate(d.laggards)
}

// forget drops the short memory.
func (s *linkState) forget() { *s = linkState{learned: s.learned} }

func (s *linkState) normal() traffic.LinkNormal {
	rates := func(r *rolling) traffic.Rates {
		return traffic.Rates{Usual: r.rate(0.5), Peak: r.rate(0.95)}
	}
	return traffic.LinkNormal{
		Learned: s.learned,
		Opened:  rates(&s.opened), Unused: rates(&s.unused), Begun: rates(&s.begun), Unmade: rates(&s.unmade),
		Odd: rates(&s.odd), Malformed: rates(&s.malformed), Silent: rates(&s.silent), Laggards: rates(&s.laggards),
	}
}

// save returns nil where nothing was learnt.
func (s *linkState) save() *savedPackets {
	if s.opened.n == 0 && s.learned == 0 {
		return nil
	}
	out := &savedPackets{Learned: s.learned.Seconds(), Rings: map[string][]byte{}}
	for name, r := range s.rings() {
		out.Rings[name] = r.pack()
	}
	return out
}

// restore reads what save wrote into an empty s. A ring that is not there stays
// empty.
func (s *linkState) restore(in *savedPackets) error {
	if in == nil {
		return nil
	}
	if !sane(100*365*86400, in.Learned) {
		return errors.New("its time of connections is out of range")
	}
	s.learned = time.Duration(in.Learned * float64(time.Second))
	rings := s.rings()
	for name, packed := range in.Rings {
		r := rings[name]
		if r == nil {
			return fmt.Errorf("there is no number of connections called %q", name)
		}
		if err := r.unpack(packed); err != nil {
			return fmt.Errorf("connections, %s: %w", name, err)
		}
	}
	return nil
}
