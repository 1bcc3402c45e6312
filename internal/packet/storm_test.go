package packet

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"seawall/internal/packet/craft"
)

// Whatever is sent, with cookies armed and somebody listening, the program
// answers, and what it sends back is a SYN-ACK of ours to whoever asked.
func TestStorm(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		f := made(t, "")
		defer f.Close()
		attach(t, f)
		greeter(t, ownAddr+":80")
		greeter(t, "[2001:db8::1]:80")
		udp, err := net.ListenPacket("udp", ownAddr+":443")
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
		if err := f.Arm(true); err != nil {
			t.Fatal(err)
		}
		at, err := net.InterfaceByName(ownLink)
		if err != nil {
			t.Fatal(err)
		}
		d := rand.New(rand.NewPCG(1, 2))
		replies, whole := 0, 0
		for range 200_000 {
			frame := stormy(d)
			out, err := f.Answer(at, frame)
			if err != nil {
				t.Fatalf("%v: %x", err, frame)
			}
			if out == nil {
				continue
			}
			replies++
			if isReply(out) {
				whole++
			}
		}
		if replies < 1000 || whole != replies {
			t.Errorf("%d of %d replies are SYN-ACKs with right checksums", whole, replies)
		}
	})
}

// stormy is a frame to the server of which some bytes may be anything.
func stormy(d *rand.Rand) []byte {
	f := craft.Frame{
		Source: netip.AddrFrom4([4]byte{198, 18, 0, byte(d.IntN(250) + 3)}), Dest: netip.MustParseAddr(ownAddr),
		SPort: uint16(d.IntN(65535) + 1), DPort: 80, Flags: craft.SYN,
		Tags: make([]uint16, max(0, d.IntN(6)-3)), Payload: make([]byte, d.IntN(40)),
	}
	if d.IntN(2) == 0 {
		f.Source, f.Dest = netip.MustParseAddr("2001:db8::77"), netip.MustParseAddr("2001:db8::1")
	}
	if d.IntN(3) > 0 {
		f.TCPOptions = []byte{2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, byte(d.IntN(16))}
		f.TCPOptions = f.TCPOptions[:d.IntN(6)*4]
	}
	switch d.IntN(8) {
	case 0:
		f.Proto, f.DPort = craft.UDP, 443
	case 1:
		f.Extensions = []byte{craft.HopByHop, craft.Destinations}
	case 2:
		f.Flags = byte(d.IntN(64))
	case 3:
		f.Options = make([]byte, d.IntN(10)*4)
	}
	b := f.Bytes()
	if d.IntN(2) == 0 {
		for range d.IntN(4) {
			b[12+d.IntN(len(b)-12)] = byte(d.Uint32())
		}
	}
	if d.IntN(8) == 0 {
		b = b[:max(craft.EthernetLen, d.IntN(len(b)))]
	}
	return b
}

// isReply reads a frame that was sent back: it is a SYN-ACK from port 80 whose
// checksums are right.
func isReply(b []byte) bool {
	p, _ := read(b)
	at := craft.EthernetLen
	for b[at-2] == 0x81 && b[at-1] == 0 || b[at-2] == 0x88 && b[at-1] == 0xa8 {
		at += 4
	}
	if p.Protocol != craft.TCP || p.SourcePort != 80 || p.Flags != craft.SYN|craft.ACK {
		return false
	}
	head, from := 40, 8
	if p.Source.Is4() {
		head, from = 20, 12
		if craft.Checksum(0, b[at:at+head]) != 0 {
			return false
		}
	}
	segment := b[at+head:]
	pseudo := append([]byte(nil), b[at+from:at+head]...)
	pseudo = append(pseudo, 0, craft.TCP, byte(len(segment)>>8), byte(len(segment)))
	return craft.Checksum(^craft.Checksum(0, pseudo), segment) == 0
}
