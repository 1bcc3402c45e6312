package twin

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/pcap"
	"seawall/internal/match"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

func config() Config {
	return Config{
		TCP: []uint16{80, 443}, UDP: []uint16{443}, FragmentRate: 1000, ICMPRate: 1000, SourceRate: 20_000, SourceBytes: 64 << 20,
		InitialRate: 50, InitialsRate: 2000, StrayRate: 3000,
	}
}

// ip4 and ip6 are packets without a link. What protects is what package packet tests;
// here is what is around it.
func ip4(source, dest string, proto byte, body []byte) []byte {
	b := make([]byte, 20, 20+len(body))
	b[0], b[8], b[9] = 0x45, 60, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
	s, d := netip.MustParseAddr(source).As4(), netip.MustParseAddr(dest).As4()
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	return append(b, body...)
}

func ip6(source, dest string, proto byte, body []byte) []byte {
	b := make([]byte, 40, 40+len(body))
	b[0], b[6], b[7] = 0x60, proto, 60
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	s, d := netip.MustParseAddr(source).As16(), netip.MustParseAddr(dest).As16()
	copy(b[8:], s[:])
	copy(b[24:], d[:])
	return append(b, body...)
}

func tcp(sport, dport uint16, flags byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	b[12], b[13] = 0x50, flags
	return b
}

func udp(sport, dport uint16, n int) []byte {
	b := make([]byte, 8+n)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint16(b[4:], uint16(8+n))
	return b
}

func take(t *Twin, at clock.Instant, link pcap.Link, b []byte) {
	t.Take(at, &pcap.Packet{Link: link, Length: len(b), Bytes: b})
}

const (
	visitor, site    = "203.0.113.7", "198.51.100.1"
	visitor6, site6  = "2001:db8:9::7", "2001:db8::1"
	elsewhere, other = "192.0.2.9", "192.0.2.10"
)

// A SYN is a SYN, whatever it is wrapped in.
func TestLinks(t *testing.T) {
	four, six := ip4(visitor, site, 6, tcp(50000, 443, flagSYN)), ip6(visitor6, site6, 6, tcp(50000, 443, flagSYN))
	join := func(head string, b []byte) []byte { return append([]byte(head), b...) }
	for name, c := range map[string]struct {
		link pcap.Link
		b    []byte
		in   bool
	}{
		"Ethernet":                 {pcap.Ethernet, join("abcdefABCDEF\x08\x00", four), true},
		"Ethernet, IPv6":           {pcap.Ethernet, join("abcdefABCDEF\x86\xdd", six), true},
		"two tags":                 {pcap.Ethernet, join("abcdefABCDEF\x88\xa8\x00\x07\x81\x00\x00\x08\x08\x00", four), true},
		"PPPoE":                    {pcap.Ethernet, join("abcdefABCDEF\x88\x64\x11\x00\x00\x01\x00\x2a\x00\x21", four), true},
		"IP":                       {pcap.Raw, four, true},
		"IP of OpenBSD":            {pcap.RawOther, six, true},
		"IPv4":                     {pcap.IPv4, four, true},
		"IPv6":                     {pcap.IPv6, six, true},
		"cooked":                   {pcap.Cooked, join("\x00\x00\x00\x01\x00\x06abcdef\x00\x00\x08\x00", four), true},
		"cooked, a tag":            {pcap.Cooked, join("\x00\x00\x00\x01\x00\x06abcdef\x00\x00\x81\x00\x00\x07\x86\xdd", six), true},
		"cooked, sent":             {pcap.Cooked, join("\x00\x04\x00\x01\x00\x06abcdef\x00\x00\x08\x00", four), false},
		"cooked 2":                 {pcap.Cooked2, join("\x86\xdd\x00\x00\x00\x00\x00\x02\x00\x01\x00\x06abcdefgh", six), true},
		"cooked 2, sent":           {pcap.Cooked2, join("\x86\xdd\x00\x00\x00\x00\x00\x02\x00\x01\x04\x06abcdefgh", six), false},
		"loopback, little":         {pcap.Null, join("\x02\x00\x00\x00", four), true},
		"loopback, big":            {pcap.Null, join("\x00\x00\x00\x1e", six), true},
		"loopback, big, of 1":      {pcap.Null, join("\x00\x00\x00\x02", ip4("127.0.0.1", "127.0.0.1", 6, tcp(50000, 443, flagSYN))), true},
		"lo":                       {pcap.Ethernet, join("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x00", ip4("127.0.0.1", "127.0.0.1", 6, tcp(50000, 443, flagSYN))), true},
		"lo of -i any":             {pcap.Cooked, join("\x00\x00\x03\x04\x00\x06abcdef\x00\x00\x08\x00", ip4("127.0.0.1", "127.0.0.1", 6, tcp(50000, 443, flagSYN))), true},
		"loopback of OpenBSD, six": {pcap.Loop, join("\x00\x00\x00\x18", six), true},
	} {
		w := New(config())
		take(w, 1, c.link, c.b)
		got := w.Cut(1)
		if c.in != (got.Kinds[traffic.PacketSyn] == 1 && got.Passed.Packets == 1) || !c.in && w.Totals().Own != 1 || !Reads(c.link) {
			t.Errorf("%s: %+v, %+v", name, got, w.Totals())
		}
		for n := range c.b { // however it was cut, it is judged as a whole or not at all
			w := New(config())
			w.Take(1, &pcap.Packet{Link: c.link, Length: len(c.b), Bytes: c.b[:n]})
			if got := w.Cut(1); got.Stopped.Packets > 0 {
				t.Errorf("%s, %d bytes kept: %+v", name, n, got)
			}
		}
	}
	if Reads(127) {
		t.Error("Wi-Fi is read")
	}
}

// What is not coming in is left out, and said.
func TestWhatComesIn(t *testing.T) {
	syn := func(from, to string, sport, dport uint16) []byte { return ip4(from, to, 6, tcp(sport, dport, flagSYN)) }
	list := [][]byte{
		syn(visitor, site, 50000, 443),
		ip4(site, visitor, 6, tcp(443, 50000, flagSYN|flagACK)),
		syn(site, elsewhere, 50001, 25),
		syn(elsewhere, other, 50002, 443),
		syn(visitor, site, 50003, 25565), syn(visitor, site, 50004, 25565),
		ip4(visitor, site, 17, udp(50005, 53, 20)),
		ip4(site, visitor, 1, []byte{3, 3, 0, 0, 0, 0, 0, 0}),
		{0x05}, // no IP
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   Totals
	}{
		"ports": {func(*Config) {}, Totals{Judged: 3, Passed: 3, Own: 1, Other: 4, NotIP: 1}},
		"an address": {func(c *Config) { c.To = []netip.Prefix{netip.MustParsePrefix(site + "/32")} },
			Totals{Judged: 1, Passed: 1, Own: 3, Elsewhere: 1, Other: 3, NotIP: 1}},
		"any port": {func(c *Config) { c.AnyPort = true }, Totals{Judged: 8, Passed: 7, Stopped: 1, NotIP: 1}},
		"any port of an address": {func(c *Config) { c.AnyPort, c.To = true, []netip.Prefix{netip.MustParsePrefix(site + "/32")} },
			Totals{Judged: 4, Passed: 4, Own: 3, Elsewhere: 1, NotIP: 1}},
	} {
		cfg := config()
		c.change(&cfg)
		w := New(cfg)
		for i, b := range list {
			take(w, clock.Instant(i), pcap.Raw, b)
		}
		w.Cut(1)
		got := w.Totals()
		if name == "ports" && !slices.Equal(got.Ports, []Port{{false, 25565, 2}, {false, 25, 1}, {true, 53, 1}}) {
			t.Errorf("%s: %+v", name, got.Ports)
		}
		c.want.Read = uint64(len(list))
		got.Reasons, got.Hits, got.Ports = nil, nil, nil
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// An answer is one that somebody asked for, where the question was seen within a minute.
func TestAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		cfg              Config
		question, answer []byte
	}{
		"DNS, at QUIC's port": {config(), ip4(site, elsewhere, 17, udp(443, 53, 20)), ip4(elsewhere, site, 17, udp(53, 443, 300))},
		"TCP from port 80":    {config(), ip6(site6, visitor6, 6, tcp(80, 8080, flagSYN)), ip6(visitor6, site6, 6, tcp(8080, 80, flagSYN|flagACK))},
	} {
		w := New(c.cfg)
		stopped := func(at time.Duration) uint64 {
			take(w, clock.Instant(at), pcap.Raw, c.answer)
			return w.Cut(clock.Instant(at)).Stopped.Packets
		}
		if stopped(time.Second) != 1 {
			t.Errorf("%s: nobody has asked, and it passes", name)
		}
		take(w, clock.Instant(2*time.Second), pcap.Raw, c.question)
		if stopped(3*time.Second) != 0 || stopped(60*time.Second) != 0 {
			t.Errorf("%s: it was asked for, and is stopped", name)
		}
		if stopped(65*time.Second) != 1 {
			t.Errorf("%s: it was asked for long ago, and passes", name)
		}
	}
}

// Budgets, in the time that the capture tells.
func TestBudgets(t *testing.T) {
	initial := udp(50000, 443, 1300)
	initial[8], initial[12] = 0xc0, 1
	fragment := ip4(visitor, site, 17, make([]byte, 100))
	fragment[7] = 9
	for name, c := range map[string]struct {
		b      []byte
		reason string
		rate   float64 // let through a second
	}{
		"fragments":       {fragment, "fragments", 1000},
		"pings":           {ip4(visitor, site, 1, make([]byte, 8)), "icmp", 1000},
		"errors":          {ip4(visitor, site, 1, []byte{3, 0, 0, 0, 0, 0, 0, 0}), "icmp", 1000},
		"one source":      {ip4(visitor, site, 6, tcp(50000, 443, flagACK)), "budget", 20_000},
		"Initials of one": {ip4(visitor, site, 17, initial), "initials", 50},
	} {
		w := New(config())
		const seconds, rate = 4, 50_000
		for i := range seconds * rate {
			take(w, clock.Instant(i)*clock.Instant(time.Second)/rate, pcap.Raw, c.b)
		}
		got := w.Cut(seconds * clock.Instant(time.Second))
		through := float64(seconds*rate-got.Stopped.Packets) / seconds
		if got.Reasons[c.reason].Packets == 0 || through < c.rate || through > 1.15*c.rate {
			t.Errorf("%s: %.0f a second are let through; %v", name, through, got.Reasons)
		}
	}
}

// Samples are even, few, and the same each time; hits and counts add up over windows.
func TestSamples(t *testing.T) {
	drop, err := match.Parse(`packet.port == 80`)
	if err != nil {
		t.Fatal(err)
	}
	run := func() (out []string) {
		w := New(config())
		if got := w.Cut(0); got.Filtered {
			t.Error("there is a filter before there are packets")
		}
		if err := w.Apply(mitigation.Mitigation{ID: 9, Match: drop, Action: mitigation.Drop}); err != nil {
			t.Fatal(err)
		}
		hits, stood := uint64(0), [2]uint64{}
		const rate = 30_000
		for i := range 5 * rate {
			at := clock.Instant(i) * clock.Instant(time.Second) / rate
			source := fmt.Sprintf("203.0.%d.%d", i>>8&127, i&255)
			take(w, at, pcap.Raw, ip4(source, site, 6, tcp(50000, []uint16{80, 443, 443}[i%3], flagACK)))
			if (i+1)%rate > 0 {
				continue
			}
			got := w.Cut(at)
			hits += got.Hits[9]
			for i := range got.Samples {
				stood[0] += uint64(got.Every)
				if s := &got.Samples[i]; s.Stopped != (s.DestPort == 80) || s.Reason == "" || !s.Source.IsValid() || s.Kind != traffic.PacketOther {
					t.Fatalf("%+v", s)
				} else if s.Stopped {
					stood[1] += uint64(got.Every)
				}
			}
			if n := len(got.Samples); n > mostSamples || i > rate && (n < aimed/2 || n > 2*aimed) {
				t.Errorf("%d samples, every %d", n, got.Every)
			}
			if got.Kinds[traffic.PacketOther] != rate || got.Passed.Packets+got.Stopped.Packets != rate || got.Reasons["signature"].Packets != rate/3 {
				t.Errorf("%+v", got.Reasons)
			}
			out = append(out, fmt.Sprint(got.Samples, got.Every, got.Lost, got.Kinds))
		}
		if err := w.Withdraw(9); err != nil {
			t.Fatal(err)
		}
		if hits != 5*rate/3 || w.Totals().Hits[9] != hits || w.Totals().Reasons["signature"] != hits {
			t.Errorf("%d hits, %+v", hits, w.Totals())
		}
		if share := float64(stood[1]) / float64(stood[0]); share < 0.31 || share > 0.36 {
			t.Errorf("of the samples %.3f were stopped", share)
		}
		return out
	}
	if !slices.Equal(run(), run()) {
		t.Error("the same packets are sampled otherwise")
	}
}

// Bytes of whatever link are judged once, and break nothing.
func FuzzTake(f *testing.F) {
	f.Add(uint32(1), 60, append([]byte("abcdefABCDEF\x08\x00"), ip4(visitor, site, 6, tcp(50000, 443, flagSYN))...))
	f.Add(uint32(101), 200, ip6(visitor6, site6, 0, append([]byte{6, 0, 0, 0, 0, 0, 0, 0}, tcp(50000, 443, flagACK)...)))
	f.Add(uint32(276), 100, []byte("\x86\xdd\x00\x00\x00\x00\x00\x02\x00\x01\x04\x06abcdefgh"))
	cfg := config()
	cfg.Bogons = true
	w := New(cfg)
	m, err := match.Parse(`packet.payload.startsWith("00")`)
	if err != nil || w.Apply(mitigation.Mitigation{ID: 1, Match: m, Action: mitigation.Drop}) != nil {
		f.Fatal(err)
	}
	at := clock.Instant(0)
	f.Fuzz(func(t *testing.T, link uint32, length int, b []byte) {
		if len(b) > 4000 || length < len(b) || length > 1<<20 {
			return
		}
		at++
		before := w.totals
		w.Take(at, &pcap.Packet{Link: pcap.Link(link), Length: length, Bytes: b})
		w.Cut(at)
		n := w.totals
		if n.Passed+n.Stopped != n.Judged || n.Judged+n.Own+n.Elsewhere+n.Other+n.NotIP+n.Cut != n.Read || n.Read != before.Read+1 {
			t.Errorf("%+v, after %+v", n, before)
		}
	})
}

// BenchmarkTake judges small packets of many sources: with no signature, and with as
// many as the loop has at most, none of which hits.
func BenchmarkTake(b *testing.B) {
	var frames []pcap.Packet
	for i := range 4096 {
		f := append([]byte("abcdefABCDEF\x08\x00"), ip4(fmt.Sprintf("203.%d.%d.%d", i%100, i>>8, i&255), site, 6, tcp(uint16(20000+i), 443, flagSYN))...)
		frames = append(frames, pcap.Packet{Link: pcap.Ethernet, Length: 60, Bytes: append(f, make([]byte, 6)...)})
	}
	for _, signatures := range []int{0, 1, 16} {
		b.Run(fmt.Sprintf("signatures=%d", signatures), func(b *testing.B) {
			b.ReportAllocs()
			w := New(config())
			for i := range signatures {
				m, err := match.Parse(fmt.Sprintf(`packet.protocol == "tcp" && packet.flags == "S" && packet.length == 40 && packet.ttl == 60 && packet.window in [%d]`, 1000+i))
				if err != nil || w.Apply(mitigation.Mitigation{ID: mitigation.ID(i + 1), Match: m, Action: mitigation.Drop}) != nil {
					b.Fatal(err)
				}
			}
			at, n, before := clock.Instant(0), 0, cpu(b)
			for b.Loop() {
				at += 500
				w.Take(at, &frames[n&4095])
				if n++; n%1_000_000 == 0 {
					w.Cut(at)
				}
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(n), "cpu-ns/packet")
		})
	}
}

// cpu is how long this process has worked, on all processors.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
