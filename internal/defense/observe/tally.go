package observe

import (
	"seawall/internal/kit/sketch"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// places is 26 * 26 countries by their letters, and [0] for unknown.
const places = 1 + 26*26

// tally is one shard's part of one window: everything that needs a lock.
// Whoever holds the shard's lock, or has taken the tally out of its shard, owns
// it.
type tally struct {
	reasons   [mitigation.Reasons]uint64
	ruled     uint64 // refused by rules
	status    [6]uint64
	bytesIn   uint64
	bytesOut  uint64
	standing  [traffic.Standings]uint64
	http      [traffic.HTTPVersions]uint64
	offeredIn [places]uint64
	refusedIn [places]uint64
	stopped   [stops]stopped
	hits      *sketch.Numbers // by mitigation ID
	cleared   *sketch.Numbers // of hits, those with a clearance
	felt      [traffic.Clearances]sketch.Quantiles
	origin    sketch.Quantiles

	clients *sketch.Distinct
	client  *sketch.Numbers // by traffic.ClientKey
	network *sketch.Numbers
	query   *sketch.Numbers
	header  *sketch.Numbers
	opening *sketch.Numbers // of HTTP/2
	method  *sketch.Strings
	host    *sketch.Strings
	path    *sketch.Strings
	agent   *sketch.Strings
	ja4     *sketch.Strings

	kept *sketch.Reservoir[slot] // nil in the sum
	coin uint64                  // state of a xorshift generator, never 0
}

func newTally(c Config, seed sketch.Seed, samples int, draw uint64) *tally {
	few := max(c.Keys/4, 16)
	t := &tally{
		// As many mitigations as the door works with, 256, are counted exactly, and
		// 128 of those that a clearance met.
		hits:    sketch.NewNumbers(171, seed),
		cleared: sketch.NewNumbers(86, seed),
		stopped: ofWindow(seed),
		clients: sketch.NewDistinct(seed),
		client:  sketch.NewNumbers(2*c.Keys, seed),
		network: sketch.NewNumbers(c.Keys, seed),
		query:   sketch.NewNumbers(c.Keys/2, seed),
		header:  sketch.NewNumbers(c.Keys, seed),
		opening: sketch.NewNumbers(few, seed),
		method:  sketch.NewStrings(16, keepMethod, seed),
		host:    sketch.NewStrings(few, keepHost, seed),
		path:    sketch.NewStrings(c.Keys, keepPath, seed),
		agent:   sketch.NewStrings(c.Keys, keepAgent, seed),
		ja4:     sketch.NewStrings(c.Keys, keepJA4, seed),
		coin:    draw | 1,
	}
	if samples > 0 {
		t.kept = newSlots(samples, draw, c.Stays)
	}
	return t
}

// add counts one request; its fields are counted one time in step, step times.
func (t *tally) add(v *traffic.Visit, d mitigation.Verdict, o *traffic.Outcome, f fate, step uint64) {
	if int(d.Reason) < len(t.reasons) {
		t.reasons[d.Reason]++
	}
	if d.ID != 0 {
		t.hits.Add(uint64(d.ID), 1)
		if v.Clearance != traffic.ClearanceNone {
			t.cleared.Add(uint64(d.ID), 1)
		}
	}
	refused := !d.LetsIn() && d.Action != mitigation.Challenge
	if d.Reason == mitigation.ReasonRule && refused {
		t.ruled++
	}
	t.status[hundreds(o.Status)]++
	t.bytesIn += uint64(max(o.BytesIn, 0))
	t.bytesOut += uint64(max(o.BytesOut, 0))
	t.standing[min(v.Standing, traffic.Standings-1)]++
	t.http[min(v.HTTP, traffic.HTTPVersions-1)]++
	place := placeOf(v.Country)
	t.offeredIn[place]++
	if refused {
		t.refusedIn[place]++
	}
	if f.served() && o.Status != 101 {
		t.felt[min(v.Clearance, traffic.Clearances-1)].Add(o.Took)
	}
	if o.Reached && o.OriginTime > 0 {
		t.origin.Add(o.OriginTime)
	}
	client, known := traffic.ClientKey(v.Client)
	if known {
		t.clients.Add(client)
	}
	t.stop(v, d, client, known)
	if s := t.kept.Offer(); s != nil {
		s.keep(v, o, refused)
	}
	if step > 1 && t.toss()%step != 0 {
		return
	}
	if known {
		t.client.Add(client, step)
	}
	t.network.Add(uint64(v.Network), step)
	t.query.Add(v.QueryShape, step)
	t.header.Add(v.HeaderOrder, step)
	t.method.Add(v.Method, step)
	t.host.Add(v.Host, step)
	t.path.Add(v.Path, step)
	t.agent.Add(v.UserAgent, step)
	t.ja4.Add(v.JA4, step)
	t.opening.Add(v.OpeningHTTP2, step)
}

// turnedAway counts what is known of a connection without a request.
func (t *tally) turnedAway(v *traffic.Visit, d mitigation.Verdict, step uint64) {
	if int(d.Reason) < len(t.reasons) {
		t.reasons[d.Reason]++
	}
	if d.ID != 0 {
		t.hits.Add(uint64(d.ID), 1)
	}
	if d.Reason == mitigation.ReasonRule {
		t.ruled++
	}
	place := placeOf(v.Country)
	t.offeredIn[place]++
	t.refusedIn[place]++
	client, known := traffic.ClientKey(v.Client)
	if known {
		t.clients.Add(client)
	}
	t.stop(v, d, client, known)
	if step > 1 && t.toss()%step != 0 {
		return
	}
	if known {
		t.client.Add(client, step)
	}
	t.network.Add(uint64(v.Network), step)
	t.ja4.Add(v.JA4, step)
}

// toss returns a random number (xorshift64: Marsaglia, J. Stat. Soft. 8(14),
// 2003).
func (t *tally) toss() uint64 {
	x := t.coin
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	t.coin = x
	return x
}

// merge adds all that o counted, except its samples.
func (t *tally) merge(o *tally) {
	sum(t.reasons[:], o.reasons[:])
	t.ruled += o.ruled
	for i := range t.stopped {
		t.stopped[i].merge(&o.stopped[i])
	}
	sum(t.status[:], o.status[:])
	sum(t.standing[:], o.standing[:])
	sum(t.http[:], o.http[:])
	sum(t.offeredIn[:], o.offeredIn[:])
	sum(t.refusedIn[:], o.refusedIn[:])
	t.bytesIn += o.bytesIn
	t.bytesOut += o.bytesOut
	for i := range t.felt {
		t.felt[i].Merge(&o.felt[i])
	}
	t.origin.Merge(&o.origin)
	t.clients.Merge(o.clients)
	for i, n := range t.numbers() {
		n.Merge(o.numbers()[i])
	}
	for i, s := range t.strings() {
		s.Merge(o.strings()[i])
	}
}

func (t *tally) numbers() [7]*sketch.Numbers {
	return [7]*sketch.Numbers{t.hits, t.cleared, t.client, t.network, t.query, t.header, t.opening}
}

func (t *tally) strings() [5]*sketch.Strings {
	return [5]*sketch.Strings{t.method, t.host, t.path, t.agent, t.ja4}
}

func (t *tally) reset() {
	clear(t.reasons[:])
	t.ruled = 0
	for i := range t.stopped {
		t.stopped[i].reset()
	}
	clear(t.status[:])
	clear(t.standing[:])
	clear(t.http[:])
	clear(t.offeredIn[:])
	clear(t.refusedIn[:])
	t.bytesIn, t.bytesOut = 0, 0
	for i := range t.felt {
		t.felt[i].Reset()
	}
	t.origin.Reset()
	t.clients.Reset()
	for _, n := range t.numbers() {
		n.Reset()
	}
	for _, s := range t.strings() {
		s.Reset()
	}
	if t.kept != nil {
		t.kept.Reset()
	}
}

func sum(to, from []uint64) {
	for i, n := range from {
		to[i] += n
	}
}

func hundreds(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status / 100
}

func placeOf(c traffic.Country) int {
	a, b := c[0]-'A', c[1]-'A'
	if a > 25 || b > 25 {
		return 0
	}
	return 1 + int(a)*26 + int(b)
}

func countryAt(place int) traffic.Country {
	if place == 0 {
		return traffic.Country{}
	}
	place--
	return traffic.Country{'A' + byte(place/26), 'A' + byte(place%26)}
}

// clientName writes the prefix of a key as traffic.Visit.Key does.
func clientName(key uint64) string { return traffic.ClientPrefix(key).String() }
