package packet

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"seawall/internal/packet/craft"
)

// What is no header is cut off, whatever the headers are.
func TestHeadersLen(t *testing.T) {
	const eth = craft.EthernetLen
	payload := bytes.Repeat([]byte("payload!"), 8)
	pppoe := func(proto uint16, packet []byte) []byte {
		b := append(make([]byte, 12), 0x88, 0x64, 0x11, 0, 0, 1)
		b = binary.BigEndian.AppendUint16(b, uint16(len(packet)+2))
		return append(binary.BigEndian.AppendUint16(b, proto), packet...)
	}
	arp := append(append(make([]byte, 12), 8, 6), payload...)
	four, six := v4(craft.Frame{Payload: payload}).Bytes(), v6(craft.Frame{Payload: payload}).Bytes()
	for _, c := range []struct {
		name  string
		frame []byte
		want  int
	}{
		{"TCP", four, eth + 20 + 20},
		{"TCP over IPv6", six, eth + 40 + 20},
		{"TCP options", v4(craft.Frame{TCPOptions: make([]byte, 40), Payload: payload}).Bytes(), eth + 20 + 60},
		{"IPv4 options", v4(craft.Frame{Options: make([]byte, 40), Payload: payload}).Bytes(), eth + 60 + 20},
		{"tags", v4(craft.Frame{Tags: []uint16{1, 2, 3}, Payload: payload}).Bytes(), eth + 12 + 20 + 20},
		{"UDP", v4(craft.Frame{Proto: craft.UDP, Payload: payload}).Bytes(), eth + 20 + 8},
		{"ICMP", v4(craft.Frame{Proto: craft.ICMP, Kind: 3, Payload: payload}).Bytes(), eth + 20 + 8},
		{"ICMPv6", v6(craft.Frame{Proto: craft.ICMPv6, Kind: 128, Payload: payload}).Bytes(), eth + 40 + 8},
		{"extension headers", v6(craft.Frame{Proto: craft.UDP, Extensions: []byte{craft.HopByHop, craft.Routing, craft.Destinations}, Payload: payload}).Bytes(), eth + 40 + 24 + 8},
		{"a first fragment", v4(craft.Frame{Proto: craft.UDP, More: true, Payload: payload}).Bytes(), eth + 20 + 8},
		{"a later fragment", v4(craft.Frame{Offset: 1480, Payload: payload}).Bytes(), eth + 20},
		{"a first fragment of IPv6", v6(craft.Frame{More: true, Payload: payload}).Bytes(), eth + 40 + 8 + 20},
		{"a later fragment of IPv6", v6(craft.Frame{Proto: craft.UDP, Offset: 1232, Payload: payload}).Bytes(), eth + 40 + 8},
		{"GRE", v4(craft.Frame{Proto: 47, Payload: payload}).Bytes(), eth + 20},
		{"ESP", v6(craft.Frame{Proto: 50, Payload: payload}).Bytes(), eth + 40},
		{"padding", append(v4(craft.Frame{Proto: craft.UDP}).Bytes(), "padding of a short frame"...), eth + 20 + 8},
		{"PPPoE", pppoe(0x21, four[eth:]), eth + 8 + 20 + 20},
		{"PPPoE, IPv6", pppoe(0x57, six[eth:]), eth + 8 + 40 + 20},
		{"PPPoE, nothing that we know", pppoe(0xc021, payload), eth + 8},
		{"ARP", arp, eth},
		{"TCP that promises more header than there is", patched(v4(craft.Frame{Payload: []byte("12345678")}).Bytes(), tcp4+12, 0xf0), eth + 20 + 20},
		{"TCP with less header than there must be", patched(v4(craft.Frame{Payload: payload}).Bytes(), tcp4+12, 0x10), eth + 20 + 20},
		{"half a TCP header", v4(craft.Frame{}).Bytes()[:tcp4+19], eth + 20},
		{"IPv4 that promises less than its header", patched(v4(craft.Frame{Payload: payload}).Bytes(), ip4+2, 0, 19), eth + 20},
		{"IPv4 with less header than there must be", patched(v4(craft.Frame{Payload: payload}).Bytes(), ip4, 0x44), eth + 20},
		{"an IPv4 header cut short", four[:ip4+19], eth},
		{"no IPv4 in it", patched(v4(craft.Frame{Payload: payload}).Bytes(), ip4, 0x65), eth},
		{"extension header that promises more than there is", patched(v6(craft.Frame{Extensions: []byte{craft.HopByHop}, Payload: payload}).Bytes(), tcp6+1, 255), eth + 40},
		{"a tag cut short", append(make([]byte, 12), 0x81, 0, 1), eth},
		{"Ethernet cut short", make([]byte, 13), 0},
		{"nothing", nil, 0},
	} {
		if got := headersLen(c.frame); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
	}
}

// Whatever carries it, and however much of the frame is shown, no byte of the
// payload is kept. The payload's bytes are such that no header has them.
func TestNoPayloadIsKept(t *testing.T) {
	const marker = 0xa7
	random := rand.New(rand.NewPCG(1, 2))
	some := func(most int) []byte {
		b := make([]byte, random.IntN(most+1))
		for i := range b {
			b[i] = byte(random.IntN(marker))
		}
		return b
	}
	kept := 0
	for i := range 200_000 {
		f := craft.Frame{
			Options: some(40), TCPOptions: some(40), TTL: 1 + byte(random.IntN(marker-1)),
			Proto: []byte{craft.TCP, craft.UDP, craft.ICMP, craft.ICMPv6, 47, 50}[random.IntN(6)],
			SPort: 1, DPort: 443, Window: 1, Flags: craft.ACK,
			Payload: bytes.Repeat([]byte{marker}, random.IntN(300)),
		}
		for range random.IntN(4) {
			f.Tags = append(f.Tags, uint16(random.IntN(marker)))
		}
		switch random.IntN(4) {
		case 0:
			f.More = true
		case 1:
			f.Offset = 8 * random.IntN(20)
		}
		var b []byte
		if random.IntN(2) == 0 {
			b = v4(f).Bytes()
		} else {
			for range random.IntN(12) {
				f.Extensions = append(f.Extensions, []byte{craft.HopByHop, craft.Routing, craft.Destinations}[random.IntN(3)])
			}
			b = v6(f).Bytes()
		}
		payloadAt := len(b) - len(f.Payload)
		// Padding of a short frame, and what somebody hides in it.
		b = append(b, bytes.Repeat([]byte{marker}, random.IntN(20))...)
		if random.IntN(8) == 0 {
			b[12+random.IntN(2)] ^= byte(1 << random.IntN(8)) // what Ethernet carries is said wrong
		}
		n := headersLen(b[:min(len(b), mostHeaders)])
		if n > payloadAt || n < 0 {
			t.Fatalf("frame %d: %d bytes are kept of %d of headers: %x", i, n, payloadAt, b)
		}
		if n == payloadAt {
			kept++
		}
	}
	if kept < 20_000 {
		t.Errorf("only %d times all headers were kept", kept)
	}
}

func FuzzHeadersLen(f *testing.F) {
	for _, p := range ordinary() {
		f.Add(p.frame)
	}
	for _, pictures := range odd() {
		for _, p := range pictures {
			f.Add(p.frame)
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		n := headersLen(frame)
		if n < 0 || n > len(frame) {
			t.Fatalf("%d bytes of %d", n, len(frame))
		}
		// What comes behind the headers does not make them longer.
		if again := headersLen(frame[:n]); again > n {
			t.Fatalf("%d bytes of headers, and %d of these", n, again)
		}
		// A plain reading of the same bytes finds where a packet's payload begins.
		if p, ours := read(frame); ours && p.PayloadLen > 0 && !bytes.HasPrefix(frame[n:], p.Payload[:p.PayloadLen]) {
			t.Fatalf("%d bytes of headers; the payload begins with %x", n, p.Payload[:p.PayloadLen])
		}
	})
}
