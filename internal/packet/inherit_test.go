package packet

import (
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/packet/filter"
)

func daemon(pins string, interfaces ...string) *Packet {
	cfg := DefaultConfig()
	cfg.Interfaces, cfg.Pins = interfaces, pins
	return New(cfg, slog.New(slog.DiscardHandler))
}

// crash does what kill -9 does: descriptors go, pins stay.
func crash(p *Packet) {
	p.filter.Close()
	p.filter = nil
}

// filtered says whether a program meets the packets of an interface.
func filtered(t *testing.T, name string) bool {
	t.Helper()
	out, err := exec.Command("ip", "-d", "link", "show", "dev", name).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	return strings.Contains(string(out), "prog/xdp")
}

// When the journal's orders have been applied, nothing stands that a Seawall
// before a crash allowed or banned, and this one does not.
func TestNothingOutlivesItsOrder(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		pins := bpffs(t)
		a := daemon(pins, ownLink)
		a.Always([]netip.Prefix{netip.MustParsePrefix("198.18.0.0/24"), netip.MustParsePrefix("2001:db8:5::/48")})
		a.Start([]uint16{443})
		for i, s := range []string{"198.18.0.7/32", "198.18.1.7/32", "198.18.2.0/24", "198.18.3.0/25", "2001:db8:1:2::/64", "2001:db8:2::/48"} {
			a.must(t, a.Apply(ordered(mitigation.ID(i+1), s, mitigation.Refuse, mitigation.ByOperator)))
		}
		a.must(t, a.Apply(ordered(20, "198.18.1.0/28", mitigation.Admit, mitigation.ByOperator)))
		a.must(t, a.Apply(ordered(21, "198.18.2.0/28", mitigation.Admit, mitigation.ByOperator)))
		crash(a)

		// Meanwhile the configuration was changed, and some were unbanned.
		b := daemon(pins, ownLink)
		b.Always([]netip.Prefix{netip.MustParsePrefix("2001:db8:5::/48")})
		b.Start([]uint16{443})
		b.must(t, b.Apply(ordered(1, "198.18.0.7/32", mitigation.Refuse, mitigation.ByOperator)))
		b.must(t, b.Apply(ordered(3, "198.18.2.0/24", mitigation.Refuse, mitigation.ByOperator)))
		b.must(t, b.Apply(ordered(21, "198.18.2.0/28", mitigation.Admit, mitigation.ByOperator)))
		b.must(t, b.Withdraw(2))
		if passes(t, b.filter, "198.18.3.7") {
			t.Error("a ban ended before the journal could say that it stands")
		}
		b.renew()
		for address, want := range map[string]bool{
			"198.18.0.7": false, "198.18.1.77": true, "198.18.2.7": true, "198.18.2.77": false,
			"198.18.3.7": true, "2001:db8:1:2::7": true, "2001:db8:2::7": true,
		} {
			if got := passes(t, b.filter, address); got != want {
				t.Errorf("%s passes: %v", address, got)
			}
		}
		if gone, err := b.filter.Keep(nil, nil); err != nil || gone != 4 {
			t.Errorf("%d entries were kept, %v", gone, err)
		}
		b.must(t, b.Close())
	})
}

// An interface that was taken out of the configuration, or renamed, while Seawall
// was dead is not filtered by the old program.
func TestInterfacesOfTheDead(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		run(t, "ip", "link", "add", "swother", "type", "veth", "peer", "name", "swpeer")
		run(t, "ip", "link", "set", "swother", "up")
		pins := bpffs(t)
		a := daemon(pins, ownLink, "swother")
		a.Start([]uint16{443})
		crash(a)
		b := daemon(pins, ownLink)
		b.Start([]uint16{8443})
		if filtered(t, "swother") || !filtered(t, ownLink) {
			t.Error("the interface that is configured no more is filtered, or the other is not")
		}
		crash(b)

		run(t, "ip", "link", "set", ownLink, "down")
		run(t, "ip", "link", "set", ownLink, "name", "wan0")
		run(t, "ip", "link", "set", "wan0", "up")
		c := daemon(pins, "wan0")
		c.Start([]uint16{443})
		if c.at["wan0"] == "" {
			t.Errorf("the renamed one is not filtered: %v", c.complaints)
		}
		crash(c)
		d := daemon(pins, "wan0")
		d.SetOff(true)
		if filtered(t, "wan0") {
			t.Error("filtered with the switch off")
		}
		d.Start([]uint16{443})
		d.must(t, d.Close())
	})
}

// Off lets packets pass, and a clean stop does, though this process has no filter
// of its own.
func TestOffWithoutAFilter(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		for name, end := range map[string]func(*Packet){
			"start": func(*Packet) {},
			"off":   func(p *Packet) { p.SetOff(true) },
			"stop":  func(p *Packet) { p.must(t, p.Close()) },
		} {
			pins := bpffs(t)
			a := daemon(pins, ownLink)
			a.Start([]uint16{443})
			a.must(t, a.Apply(ordered(1, "198.18.0.7/32", mitigation.Refuse, mitigation.ByOperator)))
			crash(a)
			b := daemon(pins, ownLink)
			if b.must(t, b.Close()); !filtered(t, ownLink) {
				t.Error("one that never started has taken the filter away")
			}
			b = daemon(pins, ownLink)
			b.started = name == "stop"
			if name == "start" {
				b.cfg.Filter.ICMPRate = 0 // stands for missing rights, or a verifier that refuses
				b.Start([]uint16{443})
				if b.filter != nil {
					t.Fatal("started")
				}
			}
			if end(b); filtered(t, ownLink) {
				t.Errorf("%s: a dead Seawall's filter still acts, with people's bans for ever", name)
			}
		}
	})
}

// A second Seawall with the same pins, switched off, leaves the first one's
// filter alone and says so.
func TestOffSparesTheLiving(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		pins := bpffs(t)
		a := daemon(pins, ownLink)
		a.Start([]uint16{443})
		b := daemon(pins, "lo")
		var said strings.Builder
		b.log = slog.New(slog.NewTextHandler(&said, nil))
		b.SetOff(true)
		b.Start([]uint16{443})
		b.must(t, b.Close())
		if left, _ := os.ReadDir(pins); !filtered(t, ownLink) || len(left) == 0 {
			t.Error("the second one, switched off, has taken away the first one's filter")
		}
		if !strings.Contains(said.String(), "another Seawall's") {
			t.Errorf("it says %q", said.String())
		}
		a.must(t, a.Close())
		if left, _ := os.ReadDir(pins); filtered(t, ownLink) || len(left) > 0 {
			t.Errorf("closed, and left: %v", left)
		}
	})
}

// Whoever takes over the pins of one that is closing keeps what it makes there.
func TestCloseSparesItsSuccessor(t *testing.T) {
	t.Parallel() // it mostly waits
	inNamespace(t, func(t *testing.T) {
		pins := bpffs(t)
		for range 20 {
			a := daemon(pins, ownLink)
			a.Start([]uint16{443})
			won := make(chan *filter.Filter)
			go func() {
				for end := time.Now().Add(soon); ; {
					f, err := filter.New(filter.DefaultConfig(), guard(), pins)
					if err == nil || time.Now().After(end) {
						won <- f
						return
					}
				}
			}()
			a.must(t, a.Close())
			f := <-won
			if f == nil {
				t.Fatal("no successor")
			}
			attach(t, f)
			if left, _ := os.ReadDir(pins); len(left) < 9 || !filtered(t, ownLink) {
				t.Fatalf("the successor has %d pins left", len(left))
			}
			if err := f.End(); err != nil || filtered(t, ownLink) {
				t.Fatalf("not ended: %v", err)
			}
		}
	})
}
