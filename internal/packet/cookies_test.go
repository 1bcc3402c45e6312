package packet

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
	"seawall/internal/traffic"
)

func prove(t *testing.T, f *filter.Filter) error {
	t.Helper()
	if err := f.Arm(true); err != nil {
		t.Fatal(err)
	}
	at, err := net.InterfaceByName(ownLink)
	if err != nil {
		t.Fatal(err)
	}
	err = (&prover{f, at, filter.Native, 80}).prove()
	if e := f.Arm(false); e != nil {
		t.Fatal(e)
	}
	return err
}

// Whether cookies work is tried before they are used.
func TestCookiesAreProven(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		f := made(t, "")
		defer f.Close()
		attach(t, f)
		greeter(t, ownAddr+":80")
		if err := prove(t, f); err == nil || !strings.Contains(err.Error(), "gro on") {
			t.Errorf("where what is sent back is lost: %v", err)
		}
		bare(t)
		if err := prove(t, f); err != nil {
			t.Errorf("where cookies work: %v", err)
		}
		rules := "add table inet t; add chain inet t c { type filter hook input priority 0; }; " +
			"add rule inet t c tcp flags & (fin|syn|rst|ack) != syn ct state new drop"
		run(t, "nft", rules)
		if err := prove(t, f); !errors.Is(err, ErrFirewall) {
			t.Errorf("behind a firewall that wants to see every SYN: %v", err)
		}
		run(t, "nft", "delete table inet t")
		if err := prove(t, f); err != nil {
			t.Errorf("without it: %v", err)
		}
	})
}

// SYNs beyond the rate arm the cookies at once, a crash leaves them armed, and
// whoever removes the filter puts the kernel's settings back.
func TestCookiesAreArmed(t *testing.T) {
	t.Parallel() // it mostly waits
	inNamespace(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Interfaces, cfg.Ports = []string{ownLink}, []uint16{80}
		cfg.Filter.SynRate = 1000                   // less than the trial sends in its moment
		if pins := os.Getenv(envRole); pins != "" { // the process that will be killed
			cfg.Pins = pins
			greeter(t, ownAddr+":80")
			p := New(cfg, slog.New(slog.NewTextHandler(os.Stdout, nil)))
			p.Start(nil)
			_ = p.Run(t.Context())
			return
		}
		bare(t)
		cfg.Pins = bpffs(t)
		was := sysctl(t)
		holder := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		holder.Env = append(os.Environ(), envRole+"="+cfg.Pins)
		said := new(strings.Builder)
		holder.Stdout = said
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		// Not before it has found out that they work.
		for end := time.Now().Add(soon); time.Now().Before(end) && !reaches(t, ownAddr+":80", absent); {
		}
		time.Sleep(time.Second)
		if now := sysctl(t); now != was {
			t.Errorf("in quiet, after the trial, the settings are %s", now)
		}
		sendSyns(t, 20_000)
		for end := time.Now().Add(soon); time.Now().Before(end) && sysctl(t) != "2 2"; time.Sleep(10 * time.Millisecond) {
		}
		if now := sysctl(t); now != "2 2" {
			t.Errorf("during the flood the settings are %s", now)
		}
		if !reaches(t, ownAddr+":80", soon) {
			t.Error("an honest client is not connected")
		}
		_ = holder.Process.Kill()
		_ = holder.Wait()
		if sysctl(t) != "2 2" {
			t.Errorf("a crash changed the settings; it said\n%s", said)
		}

		// Another takes over, and disarms them when the flood is over.
		greeter(t, ownAddr+":80")
		p := New(cfg, slog.New(slog.DiscardHandler))
		p.Start(nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		if !p.filter.Armed() {
			t.Error("not armed after taking over")
		}
		for end := time.Now().Add(armedFor + soon); time.Now().Before(end) && sysctl(t) != was; time.Sleep(50 * time.Millisecond) {
		}
		if now := sysctl(t); now != was {
			t.Errorf("the settings were %s and are %s after the flood", was, now)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}

		// Armed, and nobody there: Remove puts them back.
		if err := p.filter.Arm(true); err != nil {
			t.Fatal(err)
		}
		p.filter.Close()
		if err := Remove(cfg.Pins); err != nil || sysctl(t) != was {
			t.Errorf("the settings were %s and are %s after Remove, %v", was, sysctl(t), err)
		}
	})
}

// The SYNs by which it is tried whether cookies work are no flood.
func TestTrialIsNoFlood(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		bare(t)
		greeter(t, ownAddr+":80")
		cfg := DefaultConfig()
		cfg.Interfaces, cfg.Ports, cfg.Pins = []string{ownLink}, []uint16{80}, bpffs(t)
		cfg.Filter.SynRate = 100 // of which the trial's are more in their window
		said := new(strings.Builder)
		p := New(cfg, slog.New(slog.NewTextHandler(said, nil)))
		p.Start(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 4*glance)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		armed := p.filter.Armed()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if text := said.String(); armed || strings.Contains(text, "WARN") {
			t.Errorf("armed: %v; it said\n%s", armed, text)
		}
	})
}

func sysctl(t *testing.T) string {
	t.Helper()
	var both []string
	for _, name := range []string{"tcp_syncookies", "tcp_timestamps"} {
		b, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, strings.TrimSpace(string(b)))
	}
	return strings.Join(both, " ")
}

// sendSyns has the client send SYNs from an address that nobody has.
func sendSyns(t *testing.T, times int) {
	t.Helper()
	to, err := net.InterfaceByName(ownLink)
	if err != nil {
		t.Fatal(err)
	}
	frame := craft.Frame{
		To: to.HardwareAddr, Source: netip.MustParseAddr("198.18.0.99"), Dest: netip.MustParseAddr(ownAddr),
		SPort: 999, DPort: 80, Flags: craft.SYN,
	}.Bytes()
	asClient(t, func() {
		from, err := net.InterfaceByName(peerLink)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		for range times {
			if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: from.Index}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Where neighbours are stopped for their private addresses, or pass for being on
// the allow list, it is tried with a stranger from afar. And what is sampled of a
// SYN is the SYN, not the answer that it was turned into.
func TestCookiesAreProvenFromAfar(t *testing.T) {
	for name, change := range map[string]func(*filter.Config, *filter.Guard){
		"bogons stopped":     func(c *filter.Config, _ *filter.Guard) { c.Bogons = true },
		"neighbours allowed": nil,
	} {
		t.Run(name, func(t *testing.T) {
			inNamespace(t, func(t *testing.T) {
				cfg, g := filter.DefaultConfig(), guard()
				if change != nil {
					change(&cfg, &g)
				}
				f, err := filter.New(cfg, g, "")
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if change == nil {
					for _, p := range []string{"198.18.0.0/15", "2001:db8::/32"} {
						if err := f.Allow(netip.MustParsePrefix(p), time.Time{}); err != nil {
							t.Fatal(err)
						}
					}
				}
				// Before the first packet: who finds that nobody wants samples looks again
				// 1,024 packets later, and the trial is of fewer.
				if err := f.SampleEvery(1); err != nil {
					t.Fatal(err)
				}
				attach(t, f)
				bare(t)
				run(t, "ip", "route", "add", "default", "via", peerAddr)
				greeter(t, ownAddr+":80")
				if err := prove(t, f); err != nil {
					t.Error(err)
				}
				syns := 0
				err = f.Samples(1000, func(s *filter.Sample) {
					if p, ok := s.Packet(); ok && p.Kind == traffic.PacketSyn && p.Reason == filter.StopCookie.String() {
						syns++
						if p.Source != fromAfar(p.Dest) || p.DestPort != 80 || p.Flags != craft.SYN {
							t.Errorf("sampled %+v", p)
						}
					}
				})
				if syns == 0 || err != nil {
					t.Errorf("%d SYNs sampled, %v", syns, err)
				}
			})
		})
	}
}

// An answer within PPPoE has PPPoE's length mended.
func TestCookiesInPPPoE(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		f := made(t, "")
		defer f.Close()
		attach(t, f)
		greeter(t, ownAddr+":80")
		if err := f.Arm(true); err != nil {
			t.Fatal(err)
		}
		defer f.Arm(false)
		at, err := net.InterfaceByName(ownLink)
		if err != nil {
			t.Fatal(err)
		}
		syn := craft.Frame{
			Source: netip.MustParseAddr(peerAddr), Dest: netip.MustParseAddr(ownAddr), SPort: 4711, DPort: 80,
			Flags: craft.SYN, TCPOptions: []byte{2, 4, 5, 180, 1, 3, 3, 7},
		}
		ip := syn.Bytes()[craft.EthernetLen:]
		frame := ether(0x8864, nil, append([]byte{0x11, 0, 0, 1, 0, byte(len(ip) + 2), 0, 0x21}, ip...))
		out, err := f.Answer(at, frame)
		if err != nil || len(out) != craft.EthernetLen+8+44 {
			t.Fatalf("%d bytes of answer, %v", len(out), err)
		}
		if got := out[craft.EthernetLen+5]; got != 44+2 || out[craft.EthernetLen+7] != 0x21 {
			t.Errorf("PPPoE says %d bytes of %x", got, out[craft.EthernetLen+7])
		}
		if s := craft.Checksum(0, out[craft.EthernetLen+8:craft.EthernetLen+28]); s != 0 {
			t.Errorf("the IP header's checksum is off by %#x", s)
		}
	})
}
