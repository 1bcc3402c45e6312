package match

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"seawall/internal/traffic"
)

type op uint8

// The operations, cheapest first: All evaluates them in this order.
const (
	opNumber   op = iota // the field's number is one of numbers
	opWithin             // the client is within prefix
	opEqual              // the text is one of texts
	opPrefix             // the text starts with texts[0]
	opSuffix             // the text ends with texts[0]
	opContains           // the text contains texts[0]

	opPacketNumber  // the packet's number is one of numbers
	opPacketRange   // the packet's number is from packet.least to packet.most
	opPacketWithin  // the packet's source is within prefix
	opPacketPayload // the packet's payload has packet.bytes at packet.offset
)

// Test is one condition on one field of a Visit or of a Packet, or its negation.
type Test struct {
	field   traffic.Field
	op      op
	not     bool
	numbers []uint64
	texts   []string
	prefix  netip.Prefix
	packet  packetTest // valid iff onPacket
}

// Field tells which field of a visit the test looks at; Fields iff it is a test
// of packets.
func (t *Test) Field() traffic.Field { return t.field }

// Not returns the negation of t.
func Not(t Test) Test {
	t.not = !t.not
	return t
}

// Within tests that the client's address is within p, which must be valid.
// Addresses in 4-in-6 form count as IPv4.
func Within(p netip.Prefix) Test {
	p = p.Masked()
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return Test{field: traffic.FieldClient, op: opWithin, prefix: p}
}

// OneOf tests that the field's key (as traffic.Visit.Key writes it) is one of
// keys. FieldClient takes a single prefix or address, see Within.
func OneOf(f traffic.Field, keys ...string) (Test, error) {
	if len(keys) == 0 {
		return Test{}, fmt.Errorf("%s: an empty list matches nothing", f)
	}
	if f == traffic.FieldClient {
		if len(keys) != 1 {
			return Test{}, fmt.Errorf("client takes one prefix, not %d: write one match for each", len(keys))
		}
		p, err := parsePrefix(keys[0])
		if err != nil {
			return Test{}, err
		}
		return Within(p), nil
	}
	if isText(f) {
		for _, k := range keys {
			if !utf8.ValidString(k) {
				return Test{}, errNotUTF8(f)
			}
		}
		return Test{field: f, op: opEqual, texts: slices.Clone(keys)}, nil
	}
	t := Test{field: f, op: opNumber}
	for _, k := range keys {
		n, err := number(f, k)
		if err != nil {
			return Test{}, err
		}
		t.numbers = append(t.numbers, n)
	}
	return t, nil
}

// StartsWith tests that a text field starts with s.
func StartsWith(f traffic.Field, s string) (Test, error) { return textTest(f, opPrefix, s) }

// EndsWith tests that a text field ends with s.
func EndsWith(f traffic.Field, s string) (Test, error) { return textTest(f, opSuffix, s) }

// Contains tests that a text field contains s.
func Contains(f traffic.Field, s string) (Test, error) { return textTest(f, opContains, s) }

func textTest(f traffic.Field, o op, s string) (Test, error) {
	switch {
	case f == traffic.FieldClient:
		return Test{}, fmt.Errorf("client is an address: use client.within(\"198.51.100.0/24\")")
	case !isText(f):
		return Test{}, fmt.Errorf("%s is compared whole: use ==, != or in", f)
	case !utf8.ValidString(s):
		return Test{}, errNotUTF8(f)
	}
	return Test{field: f, op: o, texts: []string{s}}, nil
}

// errNotUTF8 is for text that no expression can hold, so that a match with it
// could be neither written down nor shown.
func errNotUTF8(f traffic.Field) error {
	return fmt.Errorf("%s cannot be tested for text that is not UTF-8", f)
}

// isText says whether a field is compared as text; the others are numbers to
// the machine, however they are written.
func isText(f traffic.Field) bool {
	switch f {
	case traffic.FieldMethod, traffic.FieldHost, traffic.FieldPath, traffic.FieldUserAgent, traffic.FieldJA4:
		return true
	}
	return false
}

// number turns a key of a number field into the number that Hits compares.
func number(f traffic.Field, key string) (uint64, error) {
	var (
		n    uint64
		ok   bool
		hint string
	)
	switch f {
	case traffic.FieldNetwork:
		v, err := strconv.ParseUint(key, 10, 32)
		n, ok, hint = v, err == nil, "a network's number such as 64496, 0 for unknown"
	case traffic.FieldCountry:
		var c traffic.Country
		if key == "??" {
			ok = true
		} else {
			c, ok = traffic.ParseCountry(key)
		}
		n, hint = countryNumber(c), `two letters such as "GB", or "??" for unknown`
	case traffic.FieldQueryShape, traffic.FieldHeaderOrder, traffic.FieldOpeningHTTP2:
		n, ok = traffic.ParseFingerprint(key)
		hint = `16 hexadecimal digits, or "" for none`
	case traffic.FieldKind:
		var k traffic.Kind
		k, ok = traffic.ParseKind(key)
		n, hint = uint64(k), "page, asset, feed or api"
	case traffic.FieldClearance:
		var c traffic.Clearance
		c, ok = traffic.ParseClearance(key)
		n, hint = uint64(c), "none, proven or known"
	case traffic.FieldStanding:
		var s traffic.Standing
		s, ok = traffic.ParseStanding(key)
		n, hint = uint64(s), "new, good, shy, greedy or thin"
	case traffic.FieldHTTP:
		var v traffic.HTTPVersion
		v, ok = traffic.ParseHTTPVersion(key)
		n, hint = uint64(v), "1.0, 1.1, 2, 3 or unknown"
	}
	if !ok {
		return 0, fmt.Errorf("%s cannot be %q: it is %s", f, key, hint)
	}
	return n, nil
}

func countryNumber(c traffic.Country) uint64 { return uint64(c[0])<<8 | uint64(c[1]) }

func (t *Test) hits(v *traffic.Visit) bool {
	var hit bool
	switch t.op {
	case opNumber:
		hit = slices.Contains(t.numbers, t.numberOf(v))
	case opWithin:
		// A zone names a link of this machine; no prefix contains one.
		hit = t.prefix.Contains(v.Client.Unmap().WithZone(""))
	case opEqual:
		hit = slices.Contains(t.texts, t.textOf(v))
	case opPrefix:
		hit = strings.HasPrefix(t.textOf(v), t.texts[0])
	case opSuffix:
		hit = strings.HasSuffix(t.textOf(v), t.texts[0])
	case opContains:
		hit = strings.Contains(t.textOf(v), t.texts[0])
	}
	return hit != t.not
}

func (t *Test) numberOf(v *traffic.Visit) uint64 {
	switch t.field {
	case traffic.FieldNetwork:
		return uint64(v.Network)
	case traffic.FieldCountry:
		return countryNumber(v.Country)
	case traffic.FieldQueryShape:
		return v.QueryShape
	case traffic.FieldHeaderOrder:
		return v.HeaderOrder
	case traffic.FieldKind:
		return uint64(v.Kind)
	case traffic.FieldClearance:
		return uint64(v.Clearance)
	case traffic.FieldStanding:
		return uint64(v.Standing)
	case traffic.FieldHTTP:
		return uint64(v.HTTP)
	case traffic.FieldOpeningHTTP2:
		return v.OpeningHTTP2
	}
	return 0
}

func (t *Test) textOf(v *traffic.Visit) string {
	switch t.field {
	case traffic.FieldMethod:
		return v.Method
	case traffic.FieldHost:
		return v.Host
	case traffic.FieldPath:
		return v.Path
	case traffic.FieldUserAgent:
		return v.UserAgent
	case traffic.FieldJA4:
		return v.JA4
	}
	return ""
}

// key writes one of numbers the way expressions show it.
func (t *Test) key(n uint64) string {
	v := traffic.Visit{}
	switch t.field {
	case traffic.FieldNetwork:
		return strconv.FormatUint(n, 10)
	case traffic.FieldCountry:
		if n != 0 {
			v.Country = traffic.Country{byte(n >> 8), byte(n)}
		}
	case traffic.FieldQueryShape:
		v.QueryShape = n
	case traffic.FieldHeaderOrder:
		v.HeaderOrder = n
	case traffic.FieldKind:
		v.Kind = traffic.Kind(n)
	case traffic.FieldClearance:
		v.Clearance = traffic.Clearance(n)
	case traffic.FieldStanding:
		v.Standing = traffic.Standing(n)
	case traffic.FieldHTTP:
		v.HTTP = traffic.HTTPVersion(n)
	case traffic.FieldOpeningHTTP2:
		v.OpeningHTTP2 = n
	}
	return strconv.Quote(v.Key(t.field))
}

// String writes the test as an expression.
func (t *Test) String() string {
	if t.onPacket() {
		return t.packetString()
	}
	bang := ""
	if t.not {
		bang = "!"
	}
	call := func(name string) string {
		return fmt.Sprintf("%s%s.%s(%s)", bang, t.field, name, strconv.Quote(t.texts[0]))
	}
	switch t.op {
	case opWithin:
		return fmt.Sprintf("%sclient.within(%q)", bang, t.prefix)
	case opPrefix:
		return call("startsWith")
	case opSuffix:
		return call("endsWith")
	case opContains:
		return call("contains")
	}
	var keys []string
	for _, n := range t.numbers {
		keys = append(keys, t.key(n))
	}
	for _, s := range t.texts {
		keys = append(keys, strconv.Quote(s))
	}
	if len(keys) == 1 {
		if t.not {
			return fmt.Sprintf("%s != %s", t.field, keys[0])
		}
		return fmt.Sprintf("%s == %s", t.field, keys[0])
	}
	in := fmt.Sprintf("%s in [%s]", t.field, strings.Join(keys, ", "))
	if t.not {
		return "!(" + in + ")"
	}
	return in
}

func sorted(tests []Test) []Test {
	out := slices.Clone(tests)
	slices.SortStableFunc(out, func(a, b Test) int { return int(a.op) - int(b.op) })
	return out
}

func parsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address and no prefix: write 198.51.100.7 or 198.51.100.0/24", s)
	}
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen()), nil
}
