package baseline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"seawall/internal/traffic"
)

const (
	// keptHead is the first line of the samples of a day and a week as they are saved:
	// the version and a checksum (CRC-32C) of the rest.
	keptHead = "seawall ordinary 1 %08x\n"
	// MostSamples bounds what UnmarshalSamples reads, bytes.
	MostSamples = 3 << 20
	// keptString is the longest string of a sample: traffic.Visit.Keep cuts them.
	keptString = 160
	// keptStrings is how many different ones there may be: five of each sample.
	keptStrings = 2 * mostSpan * 5
)

// MarshalSamples writes the samples of the last day and week, to outlive a restart.
// There are no addresses in them but prefixes (/24, /48), no queries and no clearance
// numbers; and a path that fewer than three networks asked for is left out (see
// Askers). Without its path a request still tells of everything else.
func (b *Baseline) MarshalSamples() []byte {
	w := sampleWriter{index: map[string]uint64{}}
	for _, s := range b.spans() {
		w.span(s)
	}
	body := binary.AppendUvarint(nil, uint64(len(w.strings)))
	for _, s := range w.strings {
		body = append(binary.AppendUvarint(body, uint64(len(s))), s...)
	}
	body = append(body, w.out...)
	return append(fmt.Appendf(nil, keptHead, checksum(body)), body...)
}

// UnmarshalSamples takes over what MarshalSamples wrote. Where it returns an error (one
// that wraps ErrDamaged), b is as it was before.
func (b *Baseline) UnmarshalSamples(data []byte) error {
	day, week := newDay(), newWeek()
	if err := readSamples(data, &day, &week); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	b.day, b.week, b.loaded = day, week, true
	b.day.show()
	b.week.show()
	b.publish()
	return nil
}

// sampleWriter writes each string once.
type sampleWriter struct {
	index   map[string]uint64
	strings []string
	out     []byte
}

func (w *sampleWriter) span(s *span) {
	slots := s.inOrder()
	paths := Askers{}
	for _, sl := range slots {
		for i := range sl.items {
			paths.Add(&sl.items[i].Visit)
		}
	}
	w.number(uint64(len(slots)))
	for _, sl := range slots {
		w.number(uint64(sl.number))
		w.number(uint64(sl.seen))
		w.number(uint64(len(sl.items)))
		for i := range sl.items {
			w.sample(&sl.items[i], paths.Path(sl.items[i].Visit.Path))
		}
	}
}

func (w *sampleWriter) sample(s *traffic.Sample, path string) {
	v := &s.Visit
	w.out = append(w.out, flag(v.Secure)|flag(s.Blind)<<1, byte(v.HTTP), byte(v.Kind), byte(v.Clearance), byte(v.Standing), v.Country[0], v.Country[1])
	for _, n := range []uint64{uint64(v.Network), v.OpeningHTTP2, v.HeaderOrder, v.QueryShape} {
		w.number(n)
	}
	for _, text := range []string{v.Method, v.Host, path, v.UserAgent, v.JA4} {
		w.text(text)
	}
	prefix := widePrefix(v.Client)
	w.out = append(append(w.out, byte(len(prefix))), prefix...)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// widePrefix is the first bytes of an address, as many as its wide prefix has.
func widePrefix(a netip.Addr) []byte {
	p := traffic.PrefixOf(a, traffic.LevelWide)
	if !p.IsValid() {
		return nil
	}
	return p.Addr().AsSlice()[:p.Bits()/8]
}

func (w *sampleWriter) number(n uint64) { w.out = binary.AppendUvarint(w.out, n) }

func (w *sampleWriter) text(s string) {
	s = s[:min(len(s), keptString)]
	at, ok := w.index[s]
	if !ok {
		at = uint64(len(w.strings))
		w.index[s] = at
		w.strings = append(w.strings, s)
	}
	w.number(at)
}

func readSamples(data []byte, spans ...*span) error {
	if len(data) > MostSamples {
		return fmt.Errorf("%d bytes are too many", len(data))
	}
	line, body, ok := bytes.Cut(data, []byte("\n"))
	if !ok || string(line)+"\n" != fmt.Sprintf(keptHead, checksum(body)) {
		return errors.New("its first line does not fit the rest")
	}
	r := &sampleReader{rest: body}
	n := r.number(keptStrings)
	for i := uint64(0); i < n && !r.bad; i++ {
		r.strings = append(r.strings, string(r.bytes(r.number(keptString))))
	}
	for _, s := range spans {
		r.span(s)
	}
	if r.bad || len(r.rest) > 0 {
		return errors.New("a sample in it cannot be read")
	}
	return nil
}

// sampleReader reads what sampleWriter wrote; bad once that failed.
type sampleReader struct {
	rest    []byte
	strings []string
	bad     bool
}

func (r *sampleReader) span(s *span) {
	slots, all := r.number(uint64(len(s.slots))), 0
	for range slots {
		sl := slot{number: int64(r.number(1 << 40)), seen: int(r.number(1 << 40))}
		n := int(r.number(mostSpan))
		all += n
		to := &s.slots[sl.number%int64(len(s.slots))]
		if r.bad || n == 0 || n > sl.seen || all > mostSpan || sl.number <= s.now {
			r.bad = true
			return
		}
		for range n {
			sl.items = append(sl.items, r.sample())
		}
		*to, s.now = sl, sl.number
	}
	// Until a stretch begins, its place is what the others leave.
	s.quota = mostSpan / max(int(slots), 1)
}

func (r *sampleReader) sample() traffic.Sample {
	head := r.bytes(7)
	if r.bad {
		return traffic.Sample{}
	}
	v := traffic.Visit{
		Secure: head[0]&1 != 0, HTTP: traffic.HTTPVersion(head[1]), Kind: traffic.Kind(head[2]), Clearance: traffic.Clearance(head[3]),
		Standing: traffic.Standing(head[4]), Country: traffic.Country{head[5], head[6]},
	}
	_, country := traffic.ParseCountry(string(head[5:7]))
	r.bad = head[0] > 3 || v.HTTP >= traffic.HTTPVersions || v.Kind >= traffic.Kinds || v.Clearance >= traffic.Clearances || v.Standing >= traffic.Standings ||
		!country && v.Country != traffic.Country{}
	v.Network = uint32(r.number(1<<32 - 1))
	v.OpeningHTTP2, v.HeaderOrder, v.QueryShape = r.number(1<<64-1), r.number(1<<64-1), r.number(1<<64-1)
	v.Method, v.Host, v.Path, v.UserAgent, v.JA4 = r.text(), r.text(), r.text(), r.text(), r.text()
	v.Client = r.address()
	s := v.Keep(traffic.Outcome{}, false) // no longer than what is kept of a request
	s.Blind = head[0]&2 != 0
	return s
}

func (r *sampleReader) address() netip.Addr {
	switch b := r.bytes(r.number(6)); len(b) {
	case 0:
		return netip.Addr{}
	case 3:
		return netip.AddrFrom4([4]byte{b[0], b[1], b[2]})
	case 6:
		var a [16]byte
		copy(a[:], b)
		return netip.AddrFrom16(a)
	}
	r.bad = true
	return netip.Addr{}
}

// number reads one that is at most most.
func (r *sampleReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > most {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *sampleReader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *sampleReader) text() string {
	if at := r.number(keptStrings); at < uint64(len(r.strings)) {
		return r.strings[at]
	}
	r.bad = true
	return ""
}
