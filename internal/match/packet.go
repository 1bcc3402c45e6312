package match

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"seawall/internal/traffic"
)

// packetTest is what a Test of a packet has besides.
//
// A test of a field that the packet does not have hits nothing, and neither does
// its negation: of a later fragment, whose ports nobody knows, one can say
// neither that its port is 53 nor that it is not. The same holds for bytes of
// the payload that are not there or were not kept. traffic.Packet.Has says which
// fields a packet has.
type packetTest struct {
	field       traffic.PacketField
	least, most uint64
	offset      int // of the bytes in the payload
	bytes       []byte
}

// PacketTest is a test of a packet, taken apart for whoever compiles it.
type PacketTest struct {
	Field traffic.PacketField
	Not   bool // of what follows; a field that is not there hits nothing either way

	Numbers     []uint64     // the field's number is one of them: sorted; nil: it has no such test
	Least, Most uint64       // else it is from Least to Most
	Prefix      netip.Prefix // valid iff Field is PacketSource
	Offset      int          // valid iff Field is PacketPayload: Bytes are there in the payload
	Bytes       []byte
}

// OnPacket says whether the test is one of packets, and takes it apart.
func (t *Test) OnPacket() (PacketTest, bool) {
	if !t.onPacket() {
		return PacketTest{}, false
	}
	return PacketTest{
		Field: t.packet.field, Not: t.not, Numbers: slices.Clone(t.numbers), Least: t.packet.least, Most: t.packet.most,
		Prefix: t.prefix, Offset: t.packet.offset, Bytes: slices.Clone(t.packet.bytes),
	}, true
}

func (t *Test) onPacket() bool { return t.op >= opPacketNumber }

func packetOnly(f traffic.PacketField, o op) Test {
	return Test{field: traffic.Fields, op: o, packet: packetTest{field: f}}
}

// PacketIs tests that the field's key (as traffic.Packet.Key writes it) is one
// of keys. PacketSource takes a single prefix or address, see PacketWithin, and
// PacketPayload the hexadecimal digits of a single beginning.
func PacketIs(f traffic.PacketField, keys ...string) (Test, error) {
	switch {
	case len(keys) == 0:
		return Test{}, fmt.Errorf("%s: an empty list matches nothing", f)
	case (f == traffic.PacketSource || f == traffic.PacketPayload) && len(keys) != 1:
		return Test{}, fmt.Errorf("%s takes one value, not %d: write one match for each", f, len(keys))
	case f == traffic.PacketSource:
		p, err := parsePrefix(keys[0])
		if err != nil {
			return Test{}, err
		}
		return PacketWithin(p), nil
	case f == traffic.PacketPayload:
		return payload(0, keys[0])
	}
	t := packetOnly(f, opPacketNumber)
	for _, k := range keys {
		n, err := packetNumbers(f, k)
		if err != nil {
			return Test{}, err
		}
		t.numbers = append(t.numbers, n...)
	}
	slices.Sort(t.numbers)
	t.numbers = slices.Compact(t.numbers)
	return t, nil
}

// PacketRange tests that a field that is a number (ports, length, ttl, window)
// is at least least and at most most.
func PacketRange(f traffic.PacketField, least, most uint64) (Test, error) {
	largest, ok := largest(f)
	switch {
	case !ok:
		return Test{}, fmt.Errorf("%s has no order: use ==, != or in", f)
	case least > largest:
		return Test{}, fmt.Errorf("%s is never %d: it is at most %d", f, least, largest)
	case least > most:
		return Test{}, fmt.Errorf("%s cannot be at least %d and at most %d", f, least, most)
	}
	t := packetOnly(f, opPacketRange)
	t.packet.least, t.packet.most = least, min(most, largest)
	return t, nil
}

// PacketPayload tests that the payload has these bytes at an offset from its
// beginning. They are at least one, and end within the traffic.PayloadKept bytes
// that are known of a payload; else the test hits nothing, and Parse does not
// take it.
func PacketPayload(offset int, bytes []byte) Test {
	t := packetOnly(traffic.PacketPayload, opPacketPayload)
	t.packet.offset, t.packet.bytes = offset, slices.Clone(bytes)
	return t
}

// PacketWithin tests that the source is within p, which must be valid. Addresses
// in 4-in-6 form count as IPv4.
func PacketWithin(p netip.Prefix) Test {
	t := packetOnly(traffic.PacketSource, opPacketWithin)
	t.prefix = Within(p).prefix
	return t
}

// payload makes a test of hexadecimal digits.
func payload(offset int64, digits string) (Test, error) {
	b, err := hex.DecodeString(digits)
	switch {
	case err != nil || len(b) == 0:
		return Test{}, fmt.Errorf("%q is no payload: it is pairs of hexadecimal digits such as \"3082\"", digits)
	case offset < 0 || offset+int64(len(b)) > traffic.PayloadKept:
		return Test{}, fmt.Errorf("bytes %d to %d of a payload are not known: only the first %d are", offset, offset+int64(len(b)), traffic.PayloadKept)
	}
	return PacketPayload(int(offset), b), nil
}

// largest is the largest value of a field that has an order.
func largest(f traffic.PacketField) (uint64, bool) {
	switch f {
	case traffic.PacketTTL:
		return 255, true
	case traffic.PacketSourcePort, traffic.PacketDestPort, traffic.PacketLength, traffic.PacketWindow:
		return 65535, true
	}
	return 0, false
}

// packetNumbers turns a key into the numbers that hits compares.
func packetNumbers(f traffic.PacketField, key string) (n []uint64, err error) {
	var hint string
	switch f {
	case traffic.PacketProtocol:
		for _, p := range traffic.ParseProtocol(key) {
			n = append(n, uint64(p))
		}
		hint = `"tcp", "udp", "icmp" or a number such as "47"`
	case traffic.PacketFlags:
		if flags, ok := traffic.ParseFlags(key); ok {
			n = append(n, uint64(flags))
		}
		hint = `letters of "FSRPAU", such as "S" or "PA"`
	case traffic.PacketFragmented:
		switch key {
		case "true":
			n = append(n, 1)
		case "false":
			n = append(n, 0)
		}
		hint = "true or false"
	default:
		most, ok := largest(f)
		if v, err := strconv.ParseUint(key, 10, 64); ok && err == nil && v <= most {
			n = append(n, v)
		}
		hint = fmt.Sprintf("a number from 0 to %d", most)
	}
	if n == nil {
		return nil, fmt.Errorf("%s cannot be %q: it is %s", f, key, hint)
	}
	return n, nil
}

func (t *Test) hitsPacket(p *traffic.Packet) bool {
	if !p.Has(t.packet.field) {
		return false
	}
	var hit bool
	switch t.op {
	case opPacketNumber:
		hit = slices.Contains(t.numbers, p.Number(t.packet.field))
	case opPacketRange:
		n := p.Number(t.packet.field)
		hit = n >= t.packet.least && n <= t.packet.most
	case opPacketWithin:
		hit = t.prefix.Contains(p.Source.Unmap().WithZone(""))
	case opPacketPayload:
		from, kept := t.packet.offset, int(min(p.PayloadLen, traffic.PayloadKept))
		if from < 0 || len(t.packet.bytes) == 0 || from+len(t.packet.bytes) > kept {
			return false
		}
		hit = string(p.Payload[from:from+len(t.packet.bytes)]) == string(t.packet.bytes)
	default:
		return false
	}
	return hit != t.not
}

// packetString writes a test of packets as an expression.
func (t *Test) packetString() string {
	f, bang := t.packet.field, ""
	if t.not {
		bang = "!"
	}
	switch t.op {
	case opPacketWithin:
		return fmt.Sprintf("%s%s.within(%q)", bang, f, t.prefix)
	case opPacketPayload:
		if t.packet.offset == 0 {
			return fmt.Sprintf(`%s%s.startsWith("%x")`, bang, f, t.packet.bytes)
		}
		return fmt.Sprintf(`%s%s_at(%d, "%x")`, bang, f, t.packet.offset, t.packet.bytes)
	case opPacketRange:
		s := t.rangeString()
		if t.not {
			return "!(" + s + ")"
		}
		return s
	}
	keys := t.packetKeys()
	if len(keys) == 1 {
		if t.not {
			return fmt.Sprintf("%s != %s", f, keys[0])
		}
		return fmt.Sprintf("%s == %s", f, keys[0])
	}
	in := fmt.Sprintf("%s in [%s]", f, strings.Join(keys, ", "))
	if t.not {
		return "!(" + in + ")"
	}
	return in
}

func (t *Test) rangeString() string {
	f, least, most := t.packet.field, t.packet.least, t.packet.most
	largest, _ := largest(f)
	switch {
	case most == largest:
		return fmt.Sprintf("%s >= %d", f, least)
	case least == 0:
		return fmt.Sprintf("%s <= %d", f, most)
	}
	return fmt.Sprintf("%s >= %d && %s <= %d", f, least, f, most)
}

// packetKeys writes the numbers the way expressions show them. Both of ICMP's
// numbers together are its name.
func (t *Test) packetKeys() (keys []string) {
	icmp := traffic.ParseProtocol("icmp")
	both := t.packet.field == traffic.PacketProtocol &&
		slices.Contains(t.numbers, uint64(icmp[0])) && slices.Contains(t.numbers, uint64(icmp[1]))
	for _, n := range t.numbers {
		switch t.packet.field {
		case traffic.PacketProtocol:
			switch isICMP := slices.Contains(icmp, uint8(n)); {
			case isICMP && both && uint8(n) == icmp[1]:
				continue
			case isICMP && !both:
				keys = append(keys, strconv.Quote(strconv.FormatUint(n, 10)))
				continue
			}
			keys = append(keys, strconv.Quote(traffic.ProtocolName(uint8(n))))
		case traffic.PacketFlags:
			keys = append(keys, strconv.Quote(traffic.FlagNames(uint8(n))))
		case traffic.PacketFragmented:
			keys = append(keys, strconv.FormatBool(n == 1))
		default:
			keys = append(keys, strconv.FormatUint(n, 10))
		}
	}
	return keys
}

// follows merges an upper bound with the lower one right before it, as one
// range is written; false where they are not the two sides of one.
func (t *Test) follows(before *Test) (Test, bool) {
	if t.op != opPacketRange || before.op != opPacketRange || t.not || before.not || t.packet.field != before.packet.field {
		return Test{}, false
	}
	largest, _ := largest(t.packet.field)
	if before.packet.least == 0 || before.packet.most != largest || t.packet.least != 0 || t.packet.most == largest ||
		t.packet.most < before.packet.least {
		return Test{}, false
	}
	merged := *before
	merged.packet.most = t.packet.most
	return merged, true
}
