package sign

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"seawall/internal/match"
	"seawall/internal/traffic"
)

// fields are those that signatures are made of, the most telling first: ties
// go to the earlier one.
var fields = [...]traffic.Field{
	traffic.FieldPath, traffic.FieldKind, traffic.FieldClearance, traffic.FieldStanding,
	traffic.FieldHeaderOrder, traffic.FieldJA4, traffic.FieldOpeningHTTP2,
	traffic.FieldQueryShape, traffic.FieldUserAgent, traffic.FieldMethod, traffic.FieldHTTP,
	traffic.FieldHost, traffic.FieldCountry, traffic.FieldNetwork,
}

const (
	concentrated  = 0.05 // share of the flood that a key must carry to be a trait
	traitsAField  = 8    // traits kept of one field
	clippedAgent  = 160  // bytes at which a Sample cuts user agent and path
	clippedHost   = 80
	commonplace   = 0.95 // share of ordinary traffic from which a trait narrows nothing
	enoughToJudge = 50   // ordinary samples from which commonplace is judged
	// mostThin is the share of ordinary requests that may be thin for the word to be a
	// trait. Beyond it, what narrows it until it hits none of the samples does so by
	// chance, and many such signatures together hit more than any of them shows.
	mostThin = 10 * clean
)

// trait is one test that part of the flood passes, with who passes it. Of each
// field, a conjunction takes one.
type trait struct {
	field  int // traffic.Field, or traffic.PacketField in a table of packets
	rank   int // of the field
	keys   []string
	flood  bitset // samples of the window
	usual  bitset // ordinary samples
	first  bitset // ordinary samples, were they first visits; ordinary openings
	common bool   // nearly all ordinary traffic has it too
	width  uint64 // of packets: how much of the field it takes in
	weak   bool   // it may narrow, but describes nothing by itself
	place  bool   // about where an address is: it may narrow and makes nothing
	// fleeting: the flood's own requests end it. It narrows only where that spares somebody.
	fleeting bool
	test     func() (match.Test, error)
}

// whole is a clipped key without the part of a letter at its end.
func whole(k string) string {
	for n := 0; n < utf8.UTFMax-1 && !utf8.ValidString(k); n++ {
		k = k[:len(k)-1]
	}
	return k
}

// oneOf makes the condition that a field has one of keys.
func oneOf(f traffic.Field, keys []string) (match.Test, error) {
	if len(keys) == 1 {
		switch k := keys[0]; f {
		case traffic.FieldPath, traffic.FieldUserAgent:
			if len(k) >= clippedAgent {
				return match.StartsWith(f, whole(k))
			}
		case traffic.FieldHost:
			if len(k) >= clippedHost {
				return match.StartsWith(f, whole(k))
			}
		}
	}
	return match.OneOf(f, keys...)
}

// table holds everything that is known about one window.
type table struct {
	samples  int     // of the window
	ordinary int     // tested against
	pages    bitset  // ordinary samples that are page requests; ordinary openings
	pageN    int     // how many
	usual    float64 // samples of ordinary traffic that the window would hold
	flood    float64 // samples of the window that are the flood's, estimated
	traits   []*trait
	doubt    func(flood bitset) bool // some samples may be one visitor's; nil: none are
	limits
}

// limits are what differs between requests and packets.
type limits struct {
	welcoming float64 // of first visits, or of openings, that may be hit
	free      float64 // share of coverage that a trait must keep to be added for nothing
	leastPart float64 // share of the flood that a signature must cover
	enough    float64 // share of the flood after which the rest is left
	near      float64 // parts of the flood that differ by no more count as the same
	spill     float64 // of packets, in place of free: samples that may be lost by all such traits together
}

// ofRequests allows what decide asks of signatures of requests.
func ofRequests() limits {
	return limits{welcoming: welcoming, free: 0.98, leastPart: 0.05, enough: 0.95, near: 0.01}
}

func newTable(flood, ordinary []traffic.Sample, q float64) *table {
	t := &table{samples: len(flood), ordinary: len(ordinary), usual: q * float64(len(flood)), flood: float64(len(flood)) * (1 - q), limits: ofRequests()}
	t.pages = newBits(len(ordinary))
	for i := range ordinary {
		if ordinary[i].Visit.Kind == traffic.KindPage {
			t.pages.set(i)
		}
	}
	t.pageN = t.pages.count()
	for rank, f := range fields {
		t.addField(f, rank, flood, ordinary)
	}
	return t
}

func (t *table) addField(f traffic.Field, rank int, flood, ordinary []traffic.Sample) {
	keys := make([]string, len(flood))
	counts := make(map[string]int)
	for i := range flood {
		keys[i] = traitKey(&flood[i].Visit, f)
		counts[keys[i]]++
	}
	// A field may have thousands of keys; only those that carry enough to
	// matter get sets.
	keep := t.flood * concentrated
	byKey := make(map[string]*trait)
	var found []*trait
	for i, key := range keys {
		if float64(counts[key]) < keep || unknown(f, key) || earned(f, key) {
			continue
		}
		tr := byKey[key]
		if tr == nil {
			keys := keysOf(f, key)
			tr = &trait{
				field: int(f), rank: rank, keys: keys, flood: newBits(len(flood)), usual: newBits(len(ordinary)),
				place:    f == traffic.FieldCountry || f == traffic.FieldNetwork,
				fleeting: f == traffic.FieldStanding && key == traffic.StandingNew.String(),
				test:     func() (match.Test, error) { return oneOf(f, keys) },
			}
			byKey[key] = tr
			// What cannot be written down, such as bytes that are no UTF-8, is no trait:
			// it would spoil a signature that others make.
			if _, err := tr.test(); err == nil {
				found = append(found, tr)
			}
		}
		tr.flood.set(i)
	}
	if len(found) == 0 {
		return
	}
	for i := range ordinary {
		if tr := byKey[traitKey(&ordinary[i].Visit, f)]; tr != nil {
			tr.usual.set(i)
		}
	}
	found = slices.DeleteFunc(found, func(tr *trait) bool {
		return t.excess(tr.flood.count(), tr.usual.count()) < keep || t.saysLittle(tr)
	})
	slices.SortFunc(found, func(a, b *trait) int {
		return cmp.Or(cmp.Compare(b.flood.count(), a.flood.count()), slices.Compare(a.keys, b.keys))
	})
	for _, tr := range found[:min(len(found), traitsAField)] {
		tr.first = asFirstVisit(tr, ordinary)
		tr.common = t.ordinary >= enoughToJudge && float64(tr.usual.count()) >= commonplace*float64(t.ordinary)
		t.traits = append(t.traits, tr)
	}
}

// saysLittle says that a trait is that of thin visits, at a site where many are.
func (t *table) saysLittle(tr *trait) bool {
	return traffic.Field(tr.field) == traffic.FieldStanding && tr.keys[0] == traffic.StandingThin.String() &&
		t.ordinary >= enoughToJudge && float64(tr.usual.count()) > mostThin*float64(t.ordinary)
}

// rare says that hardly anybody asked lately for what hits of n samples show: a page that was
// put up today, or a letter's links. Whoever is new may come for it, and the sample cannot
// speak for them.
func rare(hits, n int) bool { return float64(hits) < 0.005*float64(n) }

// asFirstVisit tells which ordinary samples would show the trait if nothing
// were known of their senders.
func asFirstVisit(tr *trait, ordinary []traffic.Sample) bitset {
	n := len(ordinary)
	switch traffic.Field(tr.field) {
	case traffic.FieldPath, traffic.FieldQueryShape:
		if rare(tr.usual.count(), n) {
			return allBits(n)
		}
	case traffic.FieldClearance:
		if slices.Contains(tr.keys, traffic.ClearanceNone.String()) {
			return allBits(n)
		}
		return newBits(n)
	case traffic.FieldStanding:
		if slices.Contains(tr.keys, traffic.StandingNew.String()) {
			return allBits(n)
		}
		return newBits(n)
	case traffic.FieldCountry, traffic.FieldNetwork:
		return allBits(n) // somebody new can come from anywhere
	case traffic.FieldJA4:
		// Who comes back resumes a session of TLS and shows another fingerprint than
		// the first time: another number of extensions, and another hash of them.
		like := newBits(n)
		for i := range ordinary {
			if sameProgram(ordinary[i].Visit.JA4, tr.keys[0]) {
				like.set(i)
			}
		}
		return like
	case traffic.FieldUserAgent:
		// and with any browser: every one of them begins like this.
		if strings.HasPrefix(tr.keys[0], "Mozilla/5.0 (") {
			return allBits(n)
		}
	}
	return tr.usual
}

// sameProgram says whether two fingerprints may be one program's: whatever
// extensions it sends this time, its version of TLS, cipher suites and protocol
// are the same (t13d1516h2_8daaf6152771_e5627efa2ab1: the number of extensions is
// the second 16, and the last part tells which).
func sameProgram(a, b string) bool {
	const whole = 36
	if len(a) != whole || len(b) != whole {
		return a == b
	}
	return a[:6] == b[:6] && a[8:23] == b[8:23]
}

// ill stands for both poor standings: a client that is shy now is greedy soon,
// and a signature should outlast that.
const ill = "ill"

func traitKey(v *traffic.Visit, f traffic.Field) string {
	if f == traffic.FieldStanding && (v.Standing == traffic.StandingShy || v.Standing == traffic.StandingGreedy) {
		return ill
	}
	return v.Key(f)
}

func keysOf(f traffic.Field, key string) []string {
	if f == traffic.FieldStanding && key == ill {
		return []string{traffic.StandingShy.String(), traffic.StandingGreedy.String()}
	}
	return []string{key}
}

// unknown says that the key stands for "not known", which is no trait. A
// missing user agent or query is one.
func unknown(f traffic.Field, key string) bool {
	switch f {
	case traffic.FieldCountry:
		return key == "??"
	case traffic.FieldNetwork:
		return key == "0"
	case traffic.FieldHeaderOrder, traffic.FieldPath, traffic.FieldHost, traffic.FieldJA4, traffic.FieldOpeningHTTP2:
		return key == ""
	case traffic.FieldHTTP:
		return key == traffic.HTTPUnknown.String()
	}
	return false
}

// earned says that visitors have to earn the key. Nothing that people earned is
// ever held against them; besides, who is known is told apart from who is
// proven during attacks only, so that ordinary traffic could not testify.
func earned(f traffic.Field, key string) bool {
	return f == traffic.FieldClearance && key != traffic.ClearanceNone.String() ||
		f == traffic.FieldStanding && key == traffic.StandingGood.String()
}

// excess estimates how many of the flood's samples are among seen ones, when
// usual of the ordinary samples are like them.
func (t *table) excess(seen, usual int) float64 {
	e := float64(seen)
	if t.ordinary > 0 {
		e -= t.usual * float64(usual) / float64(t.ordinary)
	}
	return max(e, 0)
}
