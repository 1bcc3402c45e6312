package defense

import (
	"testing"

	"seawall/internal/attack"
	"seawall/internal/defense/baseline"
	"seawall/internal/defense/detect/httpflood"
	"seawall/internal/defense/detect/packetflood"
	"seawall/internal/defense/detect/reflection"
	"seawall/internal/defense/detect/synflood"
	"seawall/internal/traffic"
)

// Floods that others captured, at 20,000 packets a second beside ordinary
// visitors: found and named within the first second, and described so that the
// filter's rungs and the signatures stop at least 99 % and no visitor's packet.
func TestCaptures(t *testing.T) {
	for _, c := range []struct {
		name   string
		vector attack.Vector
	}{
		{"pkt.TCP.synflood.spoofed.pcap.gz", attack.SynFlood},
		{"amp.TCP.reflection.SYNACK.pcap.gz", attack.Reflection},
		{"amp.UDP.isakmp.pcap.gz", attack.Reflection},
		{"amp.UDP.snmp.src161.pcapng.gz", attack.Reflection},
	} {
		t.Run(c.name, func(t *testing.T) {
			flood := capture(t, c.name)
			w, crowd := newWire(), newPeople()
			base := baseline.New(baseline.DefaultConfig())
			detectors := []Detector{
				httpflood.New(httpflood.DefaultConfig()), synflood.New(synflood.DefaultConfig()),
				reflection.New(reflection.DefaultConfig()), packetflood.New(packetflood.DefaultConfig()),
			}
			detect := func(win *traffic.Window) (fs []attack.Finding) {
				for _, d := range detectors {
					fs = append(fs, d.Detect(win, base.Normal())...)
				}
				return fs
			}
			for range 60 {
				win := w.window(w.packets(crowd.some(1500), nil, nil), 150)
				if fs := detect(win); len(fs) > 0 {
					t.Fatalf("ordinary visitors: %+v", fs)
				}
				base.Learn(win, false)
			}
			// The second in the middle of which it begins.
			win := w.window(w.packets(crowd.some(1500), w.flood(flood, 10_000), nil), 150)
			fs := detect(win)
			if len(fs) != 1 || fs[0].Vector != c.vector {
				t.Fatalf("found %+v", fs)
			}
			t.Logf("%s: %s, %.0f a second, %v, confidence %.2f", fs[0].Vector, fs[0].What, fs[0].Rate, fs[0].Kinds, fs[0].Confidence)
			sigs := describe(&fs[0], win, base.Normal(), nil)
			for _, s := range sigs {
				t.Logf("  %s covers %.3f, collateral %.4f, openings %.4f", s.Match, s.Coverage, s.Collateral, s.Newcomers)
			}
			stopped, all := 0, 0
			for i := range flood {
				p := &flood[i]
				if own(p) {
					continue
				}
				if all++; p.Stopped || hitsPacket(sigs, p) {
					stopped++
				}
			}
			share := float64(stopped) / float64(all)
			t.Logf("%.4f of %d packets are stopped; %d are no flood's", share, all, len(flood)-all)
			if share < 0.99 {
				t.Errorf("only %.4f of the flood is stopped", share)
			}
			visitors := crowd.some(50_000)
			errors := 0
			for i := range visitors {
				switch p := &visitors[i]; {
				case !p.Stopped && !hitsPacket(sigs, p):
				case p.Kind == traffic.PacketICMP:
					errors++
				default:
					t.Fatalf("a visitor's packet is stopped: %+v", p)
				}
			}
			// An ICMP error is an ICMP error. The house's limit holds for them.
			if errors > len(visitors)/1000 {
				t.Errorf("%d of the visitors' ICMP errors are stopped", errors)
			}
		})
	}
}

// Ten times the visitors within seconds, from the first second on and on a site
// that is known: no flood of packets.
func TestCrowdIsNoPacketFlood(t *testing.T) {
	for _, known := range []int{0, 60} {
		w, crowd := newWire(), newPeople()
		base := baseline.New(baseline.DefaultConfig())
		detectors := []Detector{
			synflood.New(synflood.DefaultConfig()), reflection.New(reflection.DefaultConfig()), packetflood.New(packetflood.DefaultConfig()),
		}
		for i := range known + 10 {
			n := 1500
			if i >= known {
				n *= min(i-known+1, 10)
			}
			win := w.window(w.packets(crowd.some(n), nil, nil), n/10)
			for _, d := range detectors {
				if fs := d.Detect(win, base.Normal()); len(fs) > 0 {
					t.Fatalf("after %d seconds, a crowd of %d packets: %+v", known, n, fs[0])
				}
			}
			base.Learn(win, i >= known)
		}
	}
}

// own says that a packet is of the connections that the capturing machine had
// itself: a tunnel over UDP and a shell, 2 % of the SYN-ACK capture.
func own(p *traffic.Packet) bool {
	return p.Kind == traffic.PacketOther || p.Kind == traffic.PacketUDP && traffic.Amplifier(p.SourcePort) == ""
}

func hitsPacket(sigs []attack.Signature, p *traffic.Packet) bool {
	for i := range sigs {
		if s := &sigs[i]; s.Collateral <= 0.001 && s.Newcomers <= 0.001 && s.Match.HitsPacket(p) {
			return true
		}
	}
	return false
}
