package replay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/app"
	"seawall/internal/attack"
	"seawall/internal/config"
	"seawall/internal/packet/craft"
	"seawall/internal/replay"
)

const captureFolder = "../../../shared/data/pcap/"

// played replays captures.
func played(t testing.TB, setup app.ReplaySetup, pace func(*replay.Options), files ...string) *replay.Report {
	t.Helper()
	o := app.Replay(config.Default(), setup)
	if pace != nil {
		pace(&o)
	}
	r, err := replay.Run(t.Context(), files, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func said(t testing.TB, r *replay.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Floods that others captured are found and named, in the time that they tell of and
// played for longer, and most of each would have been stopped.
func TestReplayCaptures(t *testing.T) {
	for _, c := range []struct {
		name   string
		vector attack.Vector
		say    string
		packs  uint64
		share  float64 // of it that would have been stopped, at least
	}{
		{"pkt.TCP.synflood.spoofed.pcap.gz", attack.SynFlood, "A SYN flood: SYNs that lead to no connection, to port 25565", 37_841, 0.94},
		{"amp.TCP.reflection.SYNACK.pcap.gz", attack.Reflection, "A reflected flood: answers of TCP servers (port 80) and TCP servers (port 443)", 8000, 0.84}, // RSTs pass, and what the capturing machine had for itself
		{"amp.UDP.isakmp.pcap.gz", attack.Reflection, "A reflected flood: answers of ISAKMP servers (UDP port 4500)", 3984, 1},
		{"amp.UDP.snmp.src161.pcapng.gz", attack.Reflection, "A reflected flood: answers of SNMP servers (UDP port 161)", 4373, 0.94}, // ICMP within its budget passes
	} {
		t.Run(c.name, func(t *testing.T) {
			path := captureFolder + c.name
			if _, err := os.Stat(path); err != nil {
				t.Skipf("needs %s: %v", path, err)
			}
			for pace, set := range map[string]func(*replay.Options){
				"its own":  nil,
				"20,000/s": func(o *replay.Options) { o.Rate, o.For = 20_000, 10*time.Second },
			} {
				r := played(t, app.ReplaySetup{AnyPort: true}, set, path)
				text := said(t, r)
				if len(r.PacketAttacks) != 1 || r.PacketAttacks[0].Vector != c.vector || !strings.Contains(text, "1. "+c.say+"\n") || len(r.Attacks) > 0 {
					t.Fatalf("in %s pace %q is not said in\n%s", pace, c.say, text)
				}
				a := r.PacketAttacks[0]
				if late := a.Noticed.Sub(r.Packets.From); late > time.Second || a.Mitigated == nil {
					t.Errorf("in %s pace noticed after %v, held %v", pace, late, a.Mitigated)
				}
				share := float64(r.Packets.Stopped) / float64(r.Packets.Judged)
				t.Logf("in %s pace: %.4f of %d packets stopped, noticed after %v", pace, share, r.Packets.Judged, a.Noticed.Sub(a.Since))
				read := c.packs
				if set != nil {
					read = 200_000
				}
				slow := strings.Contains(text, "They were not played in the time that the capture tells of, but 20,000 a second")
				if r.Packets.Read != read || share < c.share || slow != (set != nil) {
					t.Errorf("in %s pace %.4f of %d packets would have been stopped:\n%s", pace, share, r.Packets.Read, text)
				}
			}
		})
	}
}

// Where a flood went to ports that nobody said are protected, what was left out is said,
// and how to say that they are; with the right one it is found.
func TestReplayOtherPorts(t *testing.T) {
	path := captureFolder + "pkt.TCP.synflood.spoofed.pcap.gz"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs %s: %v", path, err)
	}
	text := said(t, played(t, app.ReplaySetup{}, nil, path))
	for _, say := range []string{
		"0 came in for ports 80, 443, or without ports.\n", "37,839 were left out: to ports that are not protected, most to TCP 25565 (37,839).\n",
		"Were they meant? --ports says which ports are protected, or any; --to, which addresses are.\n", "No attack.\n", "No packet would have been stopped.\n",
	} {
		if !strings.Contains(text, say) {
			t.Errorf("%q is not said in\n%s", say, text)
		}
	}
	r := played(t, app.ReplaySetup{Ports: []uint16{25565}, To: []netip.Prefix{netip.MustParsePrefix("10.10.10.10/32")}}, nil, path)
	if text := said(t, r); len(r.PacketAttacks) != 1 || r.Packets.Judged != 37_841 || strings.Contains(text, "left out") || !strings.Contains(text, "for port 25565 of 10.10.10.10, ") {
		t.Errorf("with the port and the address:\n%s", text)
	}
}

// A flood among visitors is found within a second, named, and stopped by what it has in
// common, which no visitor's packet has.
func TestReplayFloodAmongVisitors(t *testing.T) {
	r := played(t, app.ReplaySetup{}, nil, capturing(t, "site.pcap", 20_000))
	begin := morning.Add(synsFrom * time.Second)
	if len(r.PacketAttacks) != 1 {
		t.Fatalf("%d attacks\n%s", len(r.PacketAttacks), said(t, r))
	}
	a := r.PacketAttacks[0]
	if a.Vector != attack.SynFlood || a.Target != "port 443" || a.Noticed.Sub(begin) > time.Second || a.Mitigated == nil || a.Mitigated.Sub(begin) > 1500*time.Millisecond ||
		a.Ended == nil || a.Ended.Before(begin.Add(10*time.Second)) || a.Ended.After(begin.Add(25*time.Second)) {
		t.Errorf("%+v", a)
	}
	if n := r.Packets.Stopped; n < 180_000 || n > 200_000 {
		t.Errorf("%d of 200,000 would have been stopped", n)
	}
	var met uint64
	for _, d := range r.Done {
		if met += d.Packets; d.Ordinary < 300 || d.Collateral > 0 || d.Openings > 0 || !d.OfPackets {
			t.Errorf("%+v", d)
		}
	}
	if met != r.Packets.Stopped {
		t.Errorf("what was done met %d packets, and %d were stopped", met, r.Packets.Stopped)
	}
	if r.Packets.Own != 4*40*capturedFor || r.Packets.Judged != 7*40*capturedFor+200_000 {
		t.Errorf("%+v", r.Packets)
	}
}

// Visitors alone are no attack, and nothing of theirs would have been stopped.
func TestReplayOrdinaryCapture(t *testing.T) {
	r := played(t, app.ReplaySetup{}, nil, capturing(t, "quiet.pcap", 0))
	if len(r.PacketAttacks)+len(r.Attacks)+len(r.Done)+r.Crowds > 0 || r.Packets.Stopped > 0 || r.Packets.Passed != 7*40*capturedFor {
		t.Errorf("%s", said(t, r))
	}
}

// The same capture gives the same report, byte for byte.
func TestReplayOfPacketsIsTheSame(t *testing.T) {
	path := capturing(t, "site.pcap", 5000)
	var first string
	for i := range 3 {
		r := played(t, app.ReplaySetup{}, nil, path)
		r.Files = nil
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _, _ := strings.Cut(said(t, r), lastOf(said(t, r)))
		switch all := string(b) + text; {
		case first == "":
			first = all
		case all != first:
			t.Fatalf("replay %d differs", i)
		}
	}
}

// A log and a capture of the same time are one story: where requests explain the
// connections, they are no flood.
func TestReplayLogWithCapture(t *testing.T) {
	b := newBook(t, "crowd.pcap")
	f, err := os.Create(filepath.Join(t.TempDir(), "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	l := &logbook{bufio.NewWriter(f), rand.New(rand.NewPCG(1, 2))}
	for s := range 40 {
		at, n := morning.Add(time.Duration(s)*time.Second), 40
		if s >= 25 {
			n = 1500
		}
		b.visitors(at, n)
		b.write(at.Add(time.Second))
		l.second(at, n/2)
	}
	if err := l.w.Flush(); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	capture := b.done(t)
	synfloods := func(r *replay.Report) (n int) {
		for _, a := range r.PacketAttacks {
			if a.Vector == attack.SynFlood {
				n++
			}
		}
		return n
	}
	if r := played(t, app.ReplaySetup{}, nil, capture); synfloods(r) != 1 {
		t.Errorf("alone, the capture of a crowd is known by its requests only:\n%s", said(t, r))
	}
	r := played(t, app.ReplaySetup{}, nil, f.Name(), capture)
	text := said(t, r)
	if synfloods(r) > 0 || r.Requests.All == 0 || r.Packets.Read != uint64(b.n) {
		t.Errorf("with the log that explains it:\n%s", text)
	}
	for _, say := range []string{"lines (combined)\n", "packets (pcap)\n", " requests from 2019-11-12 09:00:00", " packets from 2019-11-12 09:00:00", "lines and "} {
		if !strings.Contains(text, say) {
			t.Errorf("%q is not said in\n%s", say, text)
		}
	}
}

// What is a little out of order counts when it comes; what is much, is no flood of one
// moment, but left out, and where it is much, nothing is told.
func TestReplayOutOfOrder(t *testing.T) {
	disorder := func(visitors int) string {
		b := newBook(t, "mixed.pcap")
		for s := range 30 {
			b.visitors(morning.Add(time.Duration(s)*time.Second), 40)
			b.write(morning.Add(time.Duration(s+1) * time.Second))
			if s == 20 {
				for back := range 10 {
					b.visitors(morning.Add(time.Duration(back)*time.Second), visitors)
				}
				b.write(morning.Add(10 * time.Second))
			}
		}
		for i := range 2000 { // within a tenth of a second, backwards
			b.put(morning.Add(31*time.Second-time.Duration(i)*50*time.Microsecond), make([]byte, 60))
		}
		return b.done(t)
	}
	r := played(t, app.ReplaySetup{}, nil, disorder(3))
	if p := r.Packets; len(r.PacketAttacks) > 0 || p.Late == 0 || p.Late > 330 || p.Read+p.Late != 30*40*11+330+2000 {
		t.Errorf("%s", said(t, r))
	}
	o := app.Replay(config.Default(), app.ReplaySetup{})
	if _, err := replay.Run(t.Context(), []string{disorder(400)}, o); err == nil || !strings.Contains(err.Error(), "packets are more than a second out of order: sort them by time first") {
		t.Errorf("%v", err)
	}
}

// What is learnt of packets is what a Seawall that starts there knows.
func TestReplayLearnsPackets(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	played(t, app.ReplaySetup{Learn: data}, nil, capturing(t, "quiet.pcap", 0))
	shelf, err := os.ReadFile(filepath.Join(data, "baseline"))
	if err != nil || len(shelf) == 0 {
		t.Fatal(err)
	}
	l := openLoop(t, data)
	defer func() { _ = l.Close() }()
	n := l.Status().Normal.Packets
	if n.Learned < 50*time.Second || n.Packets.Usual < 250 || n.Packets.Usual > 310 {
		t.Errorf("known of %v: %+v", n.Learned, n.Packets)
	}
}

// BenchmarkReplayPackets replays two million small packets of a flood, 500,000 a second
// of the time that the capture tells of, with the signature that the loop finds against
// it; and two million of visitors.
func BenchmarkReplayPackets(b *testing.B) {
	const packets = 2_000_000
	flood, quiet := newBook(b, "flood.pcap"), newBook(b, "quiet.pcap")
	frame := craft.Frame{Source: server, Dest: server, SPort: 1, DPort: 443, Flags: craft.SYN, TTL: 57, Window: 512, TCPOptions: []byte{2, 4, 5, 180}}.Bytes()
	for i := range packets {
		binary.BigEndian.PutUint32(frame[26:], 0x05000000|flood.rng.Uint32N(1<<24))
		flood.put(morning.Add(time.Duration(i)*2*time.Microsecond), frame)
	}
	for s := 0; quiet.n < packets; s++ {
		quiet.visitors(morning.Add(time.Duration(s)*time.Second), 900)
		quiet.write(morning.Add(time.Duration(s+1) * time.Second))
	}
	for name, book := range map[string]*book{"flood": flood, "quiet": quiet} {
		path := book.done(b)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				if r := played(b, app.ReplaySetup{}, nil, path); r.Packets.Read != uint64(book.n) || len(r.PacketAttacks) > 0 != (name == "flood") {
					b.Fatal(said(b, r))
				}
			}
			each := float64((cpu(b) - before).Nanoseconds()) / float64(book.n*b.N)
			b.ReportMetric(each, "cpu-ns/packet")
			b.ReportMetric(1e9/each, "packets/cpu-s")
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
