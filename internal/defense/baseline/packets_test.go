package baseline

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"seawall/internal/traffic"
)

// filtered adds to a window what a packet filter saw: so many SYNs and ten
// times as many others, and a flood's SYNs.
func filtered(w *traffic.Window, rng *rand.Rand, syns, flood int) *traffic.Window {
	p := &w.Packets
	p.Filtered, p.Every = true, 1
	p.Kinds[traffic.PacketSyn] = uint64(syns + flood)
	p.Kinds[traffic.PacketOther] = uint64(10 * syns)
	p.Passed = traffic.Counted{Packets: uint64(11*syns + flood), Bytes: uint64(1100*syns + 60*flood)}
	for i := range min(11*syns+flood, 2000) {
		s := traffic.Packet{
			Source:   netip.AddrFrom4([4]byte{192, 0, byte(rng.IntN(256)), byte(rng.IntN(256))}),
			Protocol: 6, Ports: true, PayloadLen: traffic.PayloadKept, TTL: 57,
		}
		copy(s.Payload[:], "GET /search?q=secret HTTP/1.1\r\n")
		if i%11 == 0 || i >= 11*syns {
			s.Kind = traffic.PacketSyn
		}
		if i >= 11*syns {
			s.TTL = 244
		}
		p.Samples = append(p.Samples, s)
	}
	return w
}

func TestLearnsPackets(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for i := range 60 {
		b.Learn(filtered(s.second(80, 0), s.rng, 20+i%3, 0), false)
	}
	n := b.Normal().Packets
	near(t, "learned", n.Learned.Seconds(), 50, 4)
	near(t, "SYNs", n.Kinds[traffic.PacketSyn].Usual, 21, 1)
	near(t, "SYNs at peak", n.Kinds[traffic.PacketSyn].Peak, 22, 1)
	near(t, "others", n.Kinds[traffic.PacketOther].Usual, 210, 10)
	near(t, "packets", n.Packets.Usual, 231, 11)
	near(t, "passed", n.Passed.Usual, 231, 11)
	near(t, "bytes", n.Bytes.Usual, 23100, 1000)
	if len(n.Ordinary) != mostPackets || len(n.Openings) < 500 || len(n.Openings) > mostOpenings {
		t.Errorf("%d ordinary packets, %d openings", len(n.Ordinary), len(n.Openings))
	}
	for _, p := range n.Openings {
		if p.Kind != traffic.PacketSyn {
			t.Fatal("an opening opens nothing")
		}
	}
	for _, p := range n.Ordinary {
		if p.Source.As4()[3] != 0 {
			t.Fatalf("%s is kept", p.Source)
		}
		if bytes.Contains(p.Payload[:], []byte("secret")) {
			t.Fatal("a payload is kept")
		}
	}

	// A flood that is found three seconds late leaves no trace.
	for range 3 {
		b.Learn(filtered(s.second(80, 0), s.rng, 20, 20000), false)
	}
	for range 30 {
		b.Learn(filtered(s.second(80, 0), s.rng, 20, 20000), true)
	}
	after := b.Normal().Packets
	near(t, "SYNs after a flood", after.Kinds[traffic.PacketSyn].Peak, n.Kinds[traffic.PacketSyn].Peak, 0.5)
	for _, p := range after.Ordinary {
		if p.TTL == 244 {
			t.Fatal("the flood is in the ordinary sample")
		}
	}

	// What was published stays as it was, though the sample rolls on.
	before := append([]traffic.Packet(nil), after.Ordinary...)
	for range 40 {
		b.Learn(filtered(s.second(80, 0), s.rng, 20, 0), false)
	}
	if !reflect.DeepEqual(before, after.Ordinary) {
		t.Error("what was published has changed")
	}
	if reflect.DeepEqual(before, b.Normal().Packets.Ordinary) {
		t.Error("the sample does not roll on")
	}
}

// Packets without visits are learnt; a site without a filter learns none.
func TestPacketsWithoutVisits(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for range 20 {
		b.Learn(filtered(s.second(0, 0), s.rng, 2, 0), false)
	}
	n := b.Normal()
	if n.Packets.Learned < 15*time.Second || n.Learned != 0 || n.Requests != 20 {
		t.Errorf("learned %v of packets, %v of requests", n.Packets.Learned, n.Learned)
	}
	b, s = New(DefaultConfig()), newSite()
	for range 20 {
		b.Learn(s.second(80, 0), false)
	}
	if n = b.Normal(); !reflect.DeepEqual(n.Packets, traffic.PacketNormal{Ordinary: n.Packets.Ordinary, Openings: n.Packets.Openings}) {
		t.Errorf("learnt without a filter: %+v", n.Packets)
	}
}

// Where much is stopped, only what was let through is learnt.
func TestMostlyStopped(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for i := range 40 {
		w := filtered(s.second(80, 0), s.rng, 20, 0)
		if i >= 10 {
			w.Packets.Stopped.Packets, w.Packets.Kinds[traffic.PacketSynAck] = 500, 500
			for j := range w.Packets.Samples {
				w.Packets.Samples[j].Stopped = j%2 == 0
			}
		}
		b.Learn(w, false)
	}
	n := b.Normal().Packets
	if n.Kinds[traffic.PacketSynAck].Peak != 0 || n.Learned > 10*time.Second || n.Passed.Usual < 200 {
		t.Errorf("%+v", n.Kinds)
	}
	for _, p := range n.Ordinary {
		if p.Stopped {
			t.Fatal("a packet that was stopped counts as ordinary")
		}
	}
}

func TestPacketsAreSaved(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for i := range 60 {
		b.Learn(filtered(s.second(80, 0), s.rng, 20+i%3, 0), false)
	}
	data, err := b.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := New(DefaultConfig())
	if err := c.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	got, want := c.Normal().Packets, b.Normal().Packets
	if got.Ordinary != nil || got.Openings != nil {
		t.Error("packets were saved")
	}
	want.Ordinary, want.Openings = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("loaded %+v,\nsaved %+v", got, want)
	}
	again, err := c.MarshalBinary()
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("saved again: %d bytes, were %d, %v", len(again), len(data), err)
	}
	// After days off the short memory is gone.
	s.wall = s.wall.AddDate(0, 0, 3)
	c.Learn(filtered(s.second(80, 0), s.rng, 20, 0), false)
	if n := c.Normal().Packets; n.Kinds[traffic.PacketSyn].Peak != 0 {
		t.Errorf("old rates remain: %+v", n.Kinds)
	}
}
