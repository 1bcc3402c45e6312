package packet

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"seawall/internal/kit/clock"
	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
	"seawall/internal/traffic"
)

// Samples say what the packets were, whatever they were wrapped in.
func TestSamples(t *testing.T) {
	f := load(t, nil)
	if err := f.SampleEvery(1); err != nil {
		t.Fatal(err)
	}
	payload := []byte(strings.Repeat("seawall!", 40))
	syn := v4(craft.Frame{Flags: craft.SYN, TTL: 51, Window: 1024, TCPOptions: []byte{2, 4, 5, 180}})
	for _, c := range []struct {
		frame craft.Frame
		want  string
	}{
		{syn, "syn 6 40000>443 flags 2 window 1024 ttl 51 length 44 payload 0 pass_ours false"},
		{v6(craft.Frame{Tags: []uint16{7, 8}, Extensions: []byte{craft.HopByHop, craft.Destinations}, Payload: payload}),
			"other 6 40000>443 flags 16 window 64240 ttl 64 length 396 payload 32 pass_ours false"},
		{v4(craft.Frame{Options: []byte{148, 4, 0, 0}, Payload: []byte("abc")}), "other 6 40000>443 flags 16 window 64240 ttl 64 length 47 payload 3 pass_ours false"},
		{v4(craft.Frame{Proto: craft.UDP, SPort: 53, Payload: payload}), "udp 17 53>443 flags 0 window 0 ttl 64 length 348 payload 32 reflected true"},
		{v6(craft.Frame{Proto: craft.UDP, Offset: 1232, Payload: payload}), "fragment 17 0>0 flags 0 window 0 ttl 64 length 368 payload 0 pass_other false"},
		{v4(craft.Frame{Proto: craft.ICMP, Kind: 8, Payload: payload}), "icmp 1 0>0 flags 0 window 0 ttl 64 length 348 payload 0 pass_other false"},
	} {
		if _, err := f.Try(c.frame.Bytes()); err != nil {
			t.Fatal(err)
		}
		n := 0
		err := f.Samples(10, func(s *filter.Sample) {
			n++
			p, ok := s.Packet()
			got := fmt.Sprintf("%s %d %d>%d flags %d window %d ttl %d length %d payload %d %s %t",
				p.Kind, p.Protocol, p.SourcePort, p.DestPort, p.Flags, p.Window, p.TTL, p.Length, p.PayloadLen, p.Reason, p.Stopped)
			if !ok || got != c.want || p.Source != c.frame.Source || p.Dest != c.frame.Dest {
				t.Errorf("%s from %s\nwant %s", got, p.Source, c.want)
			}
		})
		if n == 0 || err != nil {
			t.Errorf("%s: %d samples, %v", c.want, n, err)
		}
	}
	// What is not for us is not looked at.
	_, _ = f.Try(v4(craft.Frame{DPort: 22}).Bytes())
	if err := f.Samples(10, func(*filter.Sample) { t.Error("a packet of sshd's was sampled") }); err != nil {
		t.Error(err)
	}
}

// However much comes in, a window has some samples and no more, and they stand
// for what came.
func TestSamplesKeepPace(t *testing.T) {
	f := load(t, func(c *filter.Config) { c.Budget = filter.Off })
	sign(t, f, filter.Signature{ID: 7, Match: expression(t, `packet.flags == "S"`)})
	p := New(DefaultConfig(), nil)
	p.filter, p.at = f, map[string]filter.How{"none": filter.Generic}
	second := int64(1e9)
	frame := v4(craft.Frame{Flags: craft.SYN}).Bytes()
	if yet := p.Yet(); yet != [traffic.PacketKinds]uint64{} {
		t.Errorf("before the first window: %v", yet)
	}
	p.Cut(clock.Instant(second))
	var w traffic.Packets
	for i := range 3 {
		if _, _, err := f.TryOften(frame, 400_000); err != nil {
			t.Fatal(err)
		}
		if yet := p.Yet(); yet[traffic.PacketSyn] != 400_000 || yet[traffic.PacketUDP] != 0 {
			t.Errorf("before the window is cut: %v", yet)
		}
		w = p.Cut(clock.Instant(second * int64(i+2)))
		if yet := p.Yet(); yet[traffic.PacketSyn] != 0 {
			t.Errorf("after it: %v", yet)
		}
	}
	if w.Kinds[traffic.PacketSyn] != 400_000 || w.Passed.Packets != 400_000 || w.Reasons["pass_ours"].Packets != 400_000 {
		t.Errorf("counted %+v", w)
	}
	if w.Hits[7] != 400_000 {
		t.Errorf("hits: %v", w.Hits)
	}
	stands := float64(len(w.Samples)) * float64(w.Every)
	if n := len(w.Samples); n < aimed/2 || n > mostSamples || stands < 300_000 || stands > 500_000 {
		t.Errorf("%d samples of every %d packets stand for %.0f", n, w.Every, stands)
	}
	if !w.Filtered || w.Samples[0].At > clock.Instant(second*4) {
		t.Errorf("%+v", w.Samples[0])
	}
}

// A small site has samples from the first second on, though packets came before
// anybody asked for them.
func TestSamplesOfFewPackets(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Interfaces, cfg.Pins = []string{ownLink}, bpffs(t)
		p := New(cfg, slog.New(slog.DiscardHandler))
		p.Start([]uint16{80})
		defer p.Close()
		greeter(t, ownAddr+":80")
		second, samples := int64(1e9), 0
		for i := range 2 {
			for range 50 { // fewer than 512 packets
				if !reaches(t, ownAddr+":80", soon) {
					t.Fatal("the site cannot be reached")
				}
			}
			samples += len(p.Cut(clock.Instant(second * int64(i+1))).Samples)
		}
		if samples == 0 {
			t.Error("no packet was sampled")
		}
	})
}
