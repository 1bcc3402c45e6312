package match

import (
	"net/netip"
	"slices"
	"strings"

	"seawall/internal/traffic"
)

// Match is a conjunction of tests, of visits or of packets. A Match without tests
// hits every visit, and no packet.
type Match struct {
	tests   []Test // cheapest first
	packets int    // how many tests are on packets
	text    string
}

// All makes the match that hits when every test does. One that mixes tests of
// visits and of packets hits nothing.
func All(tests ...Test) *Match {
	m := &Match{tests: sorted(tests)}
	terms := make([]string, len(m.tests))
	for i := range m.tests {
		terms[i] = m.tests[i].String()
		if m.tests[i].onPacket() {
			m.packets++
		}
	}
	m.text = strings.Join(terms, " && ")
	if len(terms) == 0 {
		m.text = "true"
	}
	return m
}

// Client makes the match of every visit whose client is within p.
func Client(p netip.Prefix) *Match { return All(Within(p)) }

// Hits says whether v passes every test. It allocates nothing. A nil Match hits
// nothing, and one on packets no visit.
func (m *Match) Hits(v *traffic.Visit) bool {
	if m == nil || m.packets > 0 {
		return false
	}
	for i := range m.tests {
		if !m.tests[i].hits(v) {
			return false
		}
	}
	return true
}

// HitsPacket says whether p passes every test. It allocates nothing. Only a Match
// that is OnPackets hits packets. A test of a field that the packet does not have
// (ports of a later fragment, flags of UDP, more payload than there is) does not
// hit, negated or not.
func (m *Match) HitsPacket(p *traffic.Packet) bool {
	if !m.OnPackets() {
		return false
	}
	for i := range m.tests {
		if !m.tests[i].hitsPacket(p) {
			return false
		}
	}
	return true
}

// OnPackets says whether the match is about packets: it has tests, and all are.
func (m *Match) OnPackets() bool { return m != nil && m.packets > 0 && m.packets == len(m.tests) }

// OfConnection says whether the match can be judged before a connection's first
// request: it is about visits, and all its tests are of fields that a connection
// has.
func (m *Match) OfConnection() bool {
	if m == nil || m.packets > 0 {
		return false
	}
	for i := range m.tests {
		if !m.tests[i].field.OfConnection() {
			return false
		}
	}
	return true
}

// MayHit says whether m can hit a visit of a connection that shows what v does:
// whether every test of a field that a connection has passes. Hits of such a visit
// implies it.
func (m *Match) MayHit(v *traffic.Visit) bool {
	if m == nil || m.packets > 0 {
		return false
	}
	for i := range m.tests {
		if t := &m.tests[i]; t.field.OfConnection() && !t.hits(v) {
			return false
		}
	}
	return true
}

// Tests returns a copy of the tests.
func (m *Match) Tests() []Test { return slices.Clone(m.tests) }

// Equal says whether two matches are the same tests in the same order.
func (m *Match) Equal(o *Match) bool { return m.String() == o.String() }

// OnlyClient returns the prefix, iff the match is about exactly one prefix of
// client addresses and nothing else.
func (m *Match) OnlyClient() (netip.Prefix, bool) {
	if m == nil || len(m.tests) != 1 || m.tests[0].op != opWithin || m.tests[0].not {
		return netip.Prefix{}, false
	}
	return m.tests[0].prefix, true
}

// String returns the expression; Parse reads it back to an equal Match.
func (m *Match) String() string {
	if m == nil {
		return "none"
	}
	return m.text
}

// MarshalText writes the expression.
func (m *Match) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText parses an expression.
func (m *Match) UnmarshalText(b []byte) error {
	p, err := Parse(string(b))
	if err != nil {
		return err
	}
	*m = *p
	return nil
}
