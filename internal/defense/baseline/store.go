package baseline

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"seawall/internal/traffic"
)

const (
	// head is the first line of what is saved: the version and a checksum
	// (CRC-32C) of the rest.
	head = "seawall baseline 1 %08x\n"
	// mostSaved bounds what is read, and so what is written, bytes. Full of everything
	// it is 576,000 (TestSavedSizeIsBounded).
	mostSaved = 1 << 20
	// What is saved of shares: keys so common that they say nothing about one
	// visitor.
	savedKeys   = 64
	savedShare  = 0.01
	savedLength = 200
	// leastCounted is how many samples it takes to know shares better than
	// they were saved.
	leastCounted = 500
)

// ErrDamaged says that saved state is not what MarshalBinary wrote.
var ErrDamaged = errors.New("saved baseline is damaged or of another version")

// saved is the form on disk. Rolling numbers are two bytes a window.
type saved struct {
	At       time.Time                     `json:"at"` // of the last window learnt, wall time
	Learned  float64                       `json:"learned_s"`
	Requests []byte                        `json:"requests"`
	Clients  []byte                        `json:"clients"`
	Busiest  []byte                        `json:"busiest"`
	P50      []byte                        `json:"origin_p50"`
	P95      []byte                        `json:"origin_p95"`
	Seen     float64                       `json:"seen"`
	Assets   float64                       `json:"assets"`
	Cleared  float64                       `json:"cleared"`
	Day      []savedMinute                 `json:"day"`
	Week     []savedHour                   `json:"week"`
	Shares   map[string]map[string]float64 `json:"shares"`
	Packets  *savedPackets                 `json:"packets,omitempty"` // nil: nothing was learnt
	Links    *savedPackets                 `json:"links,omitempty"`   // of connections; nil as above
}

// Rows of numbers may become longer: an older version leaves out what it does not know,
// and a newer one takes what is not there for 0.
type (
	savedMinute [4 + detailNumbers]float64 // minute number, seconds, requests, capacity, detail
	savedHour   [4 + weekNumbers]float64   // hour of the week, weeks, median, peak, weekDetail
)

// savedPackets is what is saved of packets, by packetState's rings, or of
// connections, by linkState's.
type savedPackets struct {
	Learned float64           `json:"learned_s"`
	Rings   map[string][]byte `json:"rings"`
}

// MarshalBinary writes what was learnt, without addresses and samples.
func (b *Baseline) MarshalBinary() ([]byte, error) {
	s := saved{
		At: time.Unix(b.calendar.now*60, 0).UTC(), Learned: b.learned.Seconds(),
		Requests: b.requests.pack(), Clients: b.clients.pack(), Busiest: b.busiest.pack(),
		P50: b.p50.pack(), P95: b.p95.pack(),
		Seen: short(b.seen), Assets: short(b.assets), Cleared: short(b.cleared),
		Shares: map[string]map[string]float64{},
	}
	s.Day, s.Week = b.calendar.rows()
	s.Packets, s.Links = b.packet.save(), b.link.save()
	n := b.Normal()
	for f, share := range n.Share {
		// A key's share of few samples says too much about one visitor.
		if len(n.Ordinary) < leastCounted {
			share = b.shares[f]
		}
		if traffic.Field(f) != traffic.FieldClient && len(share) > 0 {
			s.Shares[traffic.Field(f).String()] = common(share)
		}
	}
	body, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("save baseline: %w", err)
	}
	return seal(body)
}

// seal puts the head before body. It refuses what parse would refuse.
func seal(body []byte) ([]byte, error) {
	data := append(fmt.Appendf(nil, head, checksum(body)), body...)
	if len(data) > mostSaved {
		return nil, fmt.Errorf("save baseline: what was learnt is %d bytes, and more than %d could not be read again: it is not saved, and the file stays as it was", len(data), mostSaved)
	}
	return data, nil
}

// rows writes the calendar.
func (c *calendar) rows() (day []savedMinute, week []savedHour) {
	for i := range c.day {
		if m := &c.day[i]; m.seconds > 0 {
			row := savedMinute{float64(m.number), short(m.seconds), short(m.requests), short(m.capacity)}
			for j, v := range c.dayDetail[i].numbers() {
				row[4+j] = short(v)
			}
			day = append(day, row)
		}
	}
	for i, h := range c.week {
		if h.weeks > 0 {
			row := savedHour{float64(i), float64(h.weeks), short(h.median), short(h.peak)}
			for j, v := range c.weekDetail[i].numbers() {
				row[4+j] = short(v)
			}
			week = append(week, row)
		}
	}
	return day, week
}

func short(v float64) float64 { return math.Round(v*1000) / 1000 }

// common picks the keys that may be written to disk.
func common(share map[string]float64) map[string]float64 {
	var keys []string
	for k, v := range share {
		if v >= savedShare && len(k) <= savedLength && utf8.ValidString(k) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(share[b], share[a]), cmp.Compare(a, b)) })
	out := map[string]float64{}
	for _, k := range keys[:min(len(keys), savedKeys)] {
		out[k] = share[k]
	}
	return out
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// UnmarshalBinary takes over what MarshalBinary wrote. Where it returns an
// error (one that wraps ErrDamaged), b is as it was before.
func (b *Baseline) UnmarshalBinary(data []byte) error {
	s, err := parse(data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	b.state = *s.state
	b.saved = s.at
	b.publish()
	return nil
}

type parsed struct {
	state *state
	at    time.Time
}

func parse(data []byte) (parsed, error) {
	if len(data) > mostSaved {
		return parsed{}, fmt.Errorf("%d bytes are too many", len(data))
	}
	line, body, ok := bytes.Cut(data, []byte("\n"))
	if !ok || string(line)+"\n" != fmt.Sprintf(head, checksum(body)) {
		return parsed{}, errors.New("its first line does not fit the rest")
	}
	var in saved
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return parsed{}, err
	}
	st := &state{
		learned: time.Duration(in.Learned * float64(time.Second)),
		seen:    in.Seen, assets: in.Assets, cleared: in.Cleared,
	}
	if !sane(100*365*86400, in.Learned) || !sane(1e15, in.Seen, in.Assets, in.Cleared) || in.Assets > in.Seen || in.Cleared > in.Seen {
		return parsed{}, errors.New("its sums are out of range")
	}
	for _, r := range []struct {
		name string
		to   *rolling
		from []byte
	}{
		{"requests", &st.requests, in.Requests}, {"clients", &st.clients, in.Clients},
		{"busiest", &st.busiest, in.Busiest}, {"origin_p50", &st.p50, in.P50}, {"origin_p95", &st.p95, in.P95},
	} {
		if err := r.to.unpack(r.from); err != nil {
			return parsed{}, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	if err := st.calendar.restore(in); err != nil {
		return parsed{}, err
	}
	if err := st.restoreShares(in.Shares); err != nil {
		return parsed{}, err
	}
	if err := st.packet.restore(in.Packets); err != nil {
		return parsed{}, err
	}
	if err := st.link.restore(in.Links); err != nil {
		return parsed{}, err
	}
	return parsed{st, in.At}, nil
}

func (c *calendar) restore(in saved) error {
	if len(in.Day) > dayMinutes || len(in.Week) > weekHours {
		return errors.New("its day or week is too long")
	}
	for _, m := range in.Day {
		if !sane(1e9, m[:]...) || m[0] != math.Trunc(m[0]) {
			return errors.New("a minute of its day is out of range")
		}
		at := int64(m[0]) % dayMinutes
		c.day[at] = minute{int64(m[0]), m[1], m[2], m[3]}
		c.dayDetail[at] = detailOf([detailNumbers]float64(m[4:]))
		c.now = max(c.now, int64(m[0]))
	}
	for _, h := range in.Week {
		if !sane(1e9, h[:]...) || h[0] != math.Trunc(h[0]) || h[0] >= weekHours || h[1] != math.Trunc(h[1]) {
			return errors.New("an hour of its week is out of range")
		}
		c.week[int(h[0])] = weekHour{int(h[1]), h[2], h[3]}
		c.weekDetail[int(h[0])] = weekDetailOf([weekNumbers]float64(h[4:]))
	}
	c.survey()
	return nil
}

func (s *state) restoreShares(in map[string]map[string]float64) error {
	for name, share := range in {
		f, ok := traffic.ParseField(name)
		if !ok || f == traffic.FieldClient || len(share) > savedKeys {
			return fmt.Errorf("shares of %q do not belong in it", name)
		}
		for k, v := range share {
			if len(k) > savedLength || !sane(1, v) {
				return fmt.Errorf("a share of %s is out of range", name)
			}
		}
		s.shares[f] = share
	}
	return nil
}

// save returns nil where nothing was learnt.
func (s *packetState) save() *savedPackets {
	if s.passed.n == 0 && s.learned == 0 {
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
func (s *packetState) restore(in *savedPackets) error {
	if in == nil {
		return nil
	}
	if !sane(100*365*86400, in.Learned) {
		return errors.New("its time of packets is out of range")
	}
	s.learned = time.Duration(in.Learned * float64(time.Second))
	rings := s.rings()
	for name, packed := range in.Rings {
		r := rings[name]
		if r == nil {
			return fmt.Errorf("there is no number of packets called %q", name)
		}
		if err := r.unpack(packed); err != nil {
			return fmt.Errorf("packets, %s: %w", name, err)
		}
	}
	return nil
}

// sane says that all values are numbers from 0 to most.
func sane(most float64, values ...float64) bool {
	for _, v := range values {
		if !(v >= 0 && v <= most) {
			return false
		}
	}
	return true
}
