package observe

import (
	"strings"

	"seawall/internal/kit/sketch"
	"seawall/internal/traffic"
)

// How many bytes of a request's strings are kept: as many as traffic.Visit.Keep
// keeps (a test compares).
const (
	keepMethod = 16
	keepHost   = 80
	keepPath   = 160
	keepQuery  = 160
	keepAgent  = 160
	keepJA4    = 36
	keepAll    = keepMethod + keepHost + keepPath + keepQuery + keepAgent + keepJA4
)

// slot is a place for one sampled request with room for its strings, so that
// keeping one allocates nothing.
type slot struct {
	sample traffic.Sample // its strings are empty; they are in text
	length [6]uint8       // of method, host, path, query, user agent, JA4 in text
	text   *[keepAll]byte // nil: the strings stay as they are, and are the sample's own
}

// newSlots makes room for samples, all of it at once. stays: their strings need none.
func newSlots(samples int, draw uint64, stays bool) *sketch.Reservoir[slot] {
	r := sketch.NewReservoir[slot](samples, draw)
	if !stays {
		texts := make([][keepAll]byte, samples)
		for i := range texts {
			r.Offer().text = &texts[i]
		}
		r.Reset()
	}
	return r
}

// keep puts a request into the slot.
func (s *slot) keep(v *traffic.Visit, o *traffic.Outcome, refused bool) {
	s.sample.Visit = *v
	s.sample.Outcome = *o
	s.sample.Refused = refused
	kept := &s.sample.Visit
	if s.text == nil {
		cut(&kept.Method, keepMethod)
		cut(&kept.Host, keepHost)
		cut(&kept.Path, keepPath)
		cut(&kept.RawQuery, keepQuery)
		cut(&kept.UserAgent, keepAgent)
		cut(&kept.JA4, keepJA4)
		return
	}
	// The request's own memory must not stay reachable.
	kept.Method, kept.Host, kept.Path, kept.RawQuery, kept.UserAgent, kept.JA4 = "", "", "", "", "", ""
	at := 0
	put := func(i int, text string, most int) {
		n := copy(s.text[at:at+most], text)
		s.length[i] = uint8(n)
		at += n
	}
	put(0, v.Method, keepMethod)
	put(1, v.Host, keepHost)
	put(2, v.Path, keepPath)
	put(3, v.RawQuery, keepQuery)
	put(4, v.UserAgent, keepAgent)
	put(5, v.JA4, keepJA4)
}

// cut shortens a string that stays. What is cut off does not stay for it.
func cut(text *string, most int) {
	if len(*text) > most {
		*text = strings.Clone((*text)[:most])
	}
}

// release writes the slot's request to a sample of its own. Its strings share
// one allocation, of their length and no more.
func (s *slot) release(to *traffic.Sample) {
	*to = s.sample
	if s.text == nil {
		return
	}
	all := 0
	for _, n := range s.length {
		all += int(n)
	}
	text := string(s.text[:all])
	v := &to.Visit
	for i, field := range [6]*string{&v.Method, &v.Host, &v.Path, &v.RawQuery, &v.UserAgent, &v.JA4} {
		n := s.length[i]
		*field, text = text[:n], text[n:]
	}
}
