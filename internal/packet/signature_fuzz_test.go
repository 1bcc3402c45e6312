package packet

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"seawall/internal/match"
	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
	"seawall/internal/traffic"
)

// dice makes random frames, and matches that hit some of them.
type dice struct{ *rand.Rand }

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

// frame is any frame: most are for a protected port and well formed.
func (d dice) frame() []byte {
	f := craft.Frame{
		TTL: pick[byte](d, 1, 52, 53, 54, 64, 128, 255), Proto: pick[byte](d, 6, 6, 6, 17, 17, 1, 58, 47),
		SPort: pick[uint16](d, 53, 161, 1024, 40000, 65535), DPort: pick[uint16](d, 443, 443, 443, 80, 80, 22),
		Flags: pick[byte](d, 2, 2, 16, 18, 24, 4, 17, 63, 0), Window: pick[uint16](d, 0, 1, 1024, 1025, 65535),
		Kind: 8, Payload: make([]byte, pick(d, 0, 0, 1, 3, 4, 8, 31, 32, 33, 64, 500, 1400)),
	}
	for i := range f.Payload {
		f.Payload[i] = pick(d, 0, 0x30, 0x82, byte(i))
	}
	if d.IntN(3) > 0 {
		f.Source, f.Dest = netip.AddrFrom4([4]byte{198, byte(18 + d.IntN(2)), byte(d.IntN(2)), byte(d.IntN(4))}), server4
		f.Options = make([]byte, pick(d, 0, 0, 0, 4, 40))
	} else {
		a := client6.As16()
		a[6], a[7], a[15] = byte(d.IntN(2)), byte(d.IntN(3)), byte(d.IntN(4))
		if d.IntN(20) == 0 {
			a = netip.AddrFrom4([4]byte{198, 18, 0, byte(d.IntN(4))}).As16() // whoever has sent that
		}
		f.Source, f.Dest = netip.AddrFrom16(a), server6
		for range pick(d, 0, 0, 0, 1, 2, 8, 9) {
			f.Extensions = append(f.Extensions, pick[byte](d, craft.HopByHop, craft.Routing, craft.Destinations))
		}
	}
	f.Tags = make([]uint16, pick(d, 0, 0, 0, 1, 2, 3))
	f.TCPOptions = make([]byte, pick(d, 0, 0, 12, 20, 40))
	f.More = d.IntN(8) == 0
	f.Offset = pick(d, 0, 0, 0, 0, 0, 0, 0, 64)
	if f.Source.Is4In6() {
		b := v6(craft.Frame{Proto: f.Proto, SPort: f.SPort, DPort: f.DPort, Flags: f.Flags, Payload: f.Payload}).Bytes()
		a := f.Source.As16()
		return patched(b, ip4+8, a[:]...)
	}
	b := f.Bytes()
	switch d.IntN(10) {
	case 0: // cut
		b = b[:craft.EthernetLen+d.IntN(len(b)-craft.EthernetLen+1)]
	case 1: // changed somewhere in the headers
		b[12+d.IntN(min(len(b)-12, 100))] = byte(d.IntN(256))
	case 2: // padded
		b = append(b, make([]byte, d.IntN(40))...)
	}
	return b
}

// match is one that hits like, or nearly.
func (d dice) match(like *traffic.Packet) *match.Match {
	var tests []match.Test
	for range 1 + d.IntN(4) {
		if t, err := d.test(like); err == nil {
			if d.IntN(4) == 0 {
				t = match.Not(t)
			}
			tests = append(tests, t)
		}
	}
	if len(tests) == 0 {
		return d.match(like)
	}
	return match.All(tests...)
}

func (d dice) test(like *traffic.Packet) (match.Test, error) {
	f := traffic.PacketField(d.IntN(int(traffic.PacketFields)))
	switch f {
	case traffic.PacketSource:
		a := like.Source
		if !a.IsValid() || d.IntN(10) == 0 {
			a = pick(d, client4, client6, netip.MustParseAddr("::"), netip.MustParseAddr("::ffff:0:0"))
		}
		p, err := a.Prefix(d.IntN(a.BitLen() + 1))
		if err != nil {
			return match.Test{}, err
		}
		return match.PacketWithin(p), nil
	case traffic.PacketPayload:
		from := d.IntN(traffic.PayloadKept)
		b := make([]byte, 1+d.IntN(traffic.PayloadKept-from))
		copy(b, like.Payload[from:])
		if d.IntN(4) == 0 {
			b[d.IntN(len(b))] ^= 1 << d.IntN(8)
		}
		return match.PacketPayload(from, b), nil
	case traffic.PacketProtocol, traffic.PacketFlags, traffic.PacketFragmented:
		return match.PacketIs(f, like.Key(f), pick(d, like.Key(f), pick(d, "tcp", "S", "true", "")))
	}
	n := like.Number(f)
	switch d.IntN(3) {
	case 0:
		least, most := n-min(n, d.Uint64N(20)), n+d.Uint64N(20)
		return match.PacketRange(f, pick(d, 0, least), pick(d, most, 1<<63))
	case 1:
		return match.PacketRange(f, n, n)
	}
	var keys []string
	for range 1 + d.IntN(5) {
		other := *like
		other.SourcePort += uint16(d.IntN(4))
		other.DestPort += uint16(d.IntN(4))
		other.Length += uint16(d.IntN(4))
		other.TTL += uint8(d.IntN(4))
		other.Window += uint16(d.IntN(4))
		keys = append(keys, other.Key(f))
	}
	return match.PacketIs(f, keys...)
}

// alone turns off all rungs but that of signatures.
func alone(c *filter.Config) {
	for rung := range filter.Signatures {
		set(rung, filter.Off)(c)
	}
}

// agree shows frames to the program with random signatures, and to the matches
// themselves, and returns how many pairs it compared and how many hit.
func agree(t testing.TB, f *filter.Filter, seed uint64, frames [][]byte) (pairs, hit int) {
	t.Helper()
	d := dice{rand.New(rand.NewPCG(seed, 1))}
	for range 100 {
		frames = append(frames, d.frame())
	}
	var list []filter.Signature
	for i := range filter.SignaturesMost {
		like, _ := read(frames[d.IntN(len(frames))])
		list = append(list, filter.Signature{ID: uint32(i + 1), Match: d.match(&like), Enforce: d.IntN(3) == 0})
	}
	if err := f.SetSignatures(list); err != nil {
		t.Fatal(err)
	}
	before, err := f.Hits()
	if err != nil {
		t.Fatal(err)
	}
	for _, frame := range frames {
		passes, err := f.Try(frame)
		if err != nil {
			t.Fatal(err)
		}
		after, err := f.Hits()
		if err != nil {
			t.Fatal(err)
		}
		p, ours := read(frame)
		stops := false
		for _, s := range list {
			want := uint64(0)
			if ours && s.Match.HitsPacket(&p) {
				want = 1
				stops = stops || s.Enforce
			}
			pairs++
			hit += int(want)
			if got := after[s.ID].Packets - before[s.ID].Packets; got != want {
				t.Fatalf("seed %d: %s hits %d times, the program %d\n%+v\n%x", seed, s.Match, want, got, p, frame)
			}
			if got := after[s.ID].Bytes - before[s.ID].Bytes; got != want*uint64(len(frame)) {
				t.Fatalf("seed %d: %d bytes are counted of a frame of %d", seed, got, len(frame))
			}
		}
		if passes == stops {
			t.Fatalf("seed %d: passes %v, though enforced signatures hit: %v\n%+v\n%x", seed, passes, stops, p, frame)
		}
		before = after
	}
	return pairs, hit
}

// What signatures are compiled to says of packets what the matches say.
func TestSignaturesAreTheirMatches(t *testing.T) {
	f := load(t, alone)
	pairs, hit := 0, 0
	for seed := range uint64(20) {
		n, h := agree(t, f, seed, nil)
		pairs, hit = pairs+n, hit+h
	}
	if hit < pairs/20 || hit > pairs*19/20 {
		t.Errorf("%d of %d pairs hit: the random matches say little", hit, pairs)
	}
}

// FuzzSignatures does so for any frame, and any number of random ones.
func FuzzSignatures(f *testing.F) {
	for i, p := range ordinary() {
		f.Add(uint64(i), p.frame)
	}
	for _, pictures := range odd() {
		for i, p := range pictures {
			f.Add(uint64(1000+i), p.frame)
		}
	}
	shield := load(f, alone)
	f.Fuzz(func(t *testing.T, seed uint64, frame []byte) {
		if len(frame) < craft.EthernetLen || len(frame) > 3000 {
			return // no network card hands these over
		}
		agree(t, shield, seed, [][]byte{frame})
	})
}
