package packet

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/packet/fallback"
	"seawall/internal/packet/filter"
)

// tabled are lists that filter the wire.
func tabled(t *testing.T, o fallback.Options) *fallback.Lists {
	t.Helper()
	if o.Table == "" {
		o.Table = "seawall"
	}
	o.Ports, o.Entries4, o.Entries6 = []uint16{80, 443}, 65_536, 16_384
	l, err := fallback.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if err := errors.Join(l.Renew(leaseTime), l.Attach(ownLink)); err != nil {
		t.Fatal(err)
	}
	return l
}

func ruleset(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// The same as with XDP: a banned client reaches what is not protected, and
// nothing else; who is allowed passes; what is over is over.
func TestFallbackLists(t *testing.T) {
	t.Parallel() // it mostly waits
	inNamespace(t, func(t *testing.T) {
		l := tabled(t, fallback.Options{})
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		wide := []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:db8::/33")}
		one := []netip.Prefix{netip.MustParsePrefix(peerAddr + "/32"), netip.MustParsePrefix("2001:db8::2/128")}
		for i, host := range []string{ownAddr, "[2001:db8::1]"} {
			greeter(t, host+":80")
			greeter(t, host+":22")
			is := func(when string, want bool) {
				t.Helper()
				within := absent
				if want {
					within = soon
				}
				if reaches(t, host+":80", within) != want {
					t.Errorf("%s: %s, reached: %v\n%s", host, when, !want, ruleset(t))
				}
			}
			is("at first", true)
			must(l.Block(peers[i], time.Time{}, false))
			is("blocked", false)
			if !reaches(t, host+":22", soon) {
				t.Errorf("%s: the other port is not reached", host)
			}
			must(l.Block(wide[i], time.Time{}, true)) // a network, and somebody in it
			must(l.Unblock(peers[i]))
			is("its network blocked", false)
			must(l.Allow(one[i], time.Time{}))
			is("allowed", true)
			must(l.Block(peers[i], time.Time{}, true))
			is("allowed, and blocked again", true)
			must(l.Disallow(one[i]))
			must(l.Unblock(wide[i]))
			is("allowed no more", false)
			must(l.Block(peers[i], time.Now().Add(time.Second), true))
			is("blocked for a second", false)
			time.Sleep(time.Second)
			is("that is over", true)
			must(l.Block(peers[i], time.Now().Add(-time.Second), true))
			is("blocked until before", true)
			must(l.Unblock(peers[i]))
			must(l.Unblock(peers[i]))
			must(l.Block(peers[i], time.Time{}, true))
			is("blocked once more", false)
			must(l.Allow(peers[i], time.Now().Add(time.Second)))
			is("allowed for a second", true)
			time.Sleep(time.Second)
			is("that is over, too", false)
			must(l.Unblock(peers[i]))
		}
		if c, err := l.Counts(); err != nil || c.Blocked.Packets == 0 || c.Allowed.Packets == 0 || c.Blocked.Bytes < 40*c.Blocked.Packets {
			t.Errorf("counted %+v, %v", c, err)
		}
		if n, err := l.Sweep(); err != nil || n != 2 {
			t.Errorf("swept %d, %v", n, err)
		}
		if s := ruleset(t); strings.Contains(s, "allowed4_32") {
			t.Errorf("there is a look-up for nothing:\n%s", s)
		}
		must(l.Block(peers[0], time.Time{}, true))
		must(l.Detach(ownLink))
		if !reaches(t, ownAddr+":80", soon) || ruleset(t) != "" {
			t.Errorf("detached, and still there:\n%s", ruleset(t))
		}
		if err := l.Attach("nosuch"); err == nil || !strings.Contains(err.Error(), "ip link") {
			t.Errorf("an interface that is not there: %v", err)
		}
		for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::ffff:1.2.3.4/90")} {
			if l.Block(p, time.Time{}, true) == nil || l.Allow(p, time.Time{}) == nil || l.Unblock(p) == nil {
				t.Errorf("%v is taken", p)
			}
		}
	})
}

// What the machine blocks ends with the lease, and a renewed lease prolongs it;
// what people block stands.
func TestFallbackLease(t *testing.T) {
	t.Parallel() // it mostly waits
	inNamespace(t, func(t *testing.T) {
		l := tabled(t, fallback.Options{})
		greeter(t, ownAddr+":80")
		greeter(t, "[2001:db8::1]:80")
		renew := func(d time.Duration) {
			t.Helper()
			if err := l.Renew(d); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(l.Block(peers[0], time.Time{}, false), l.Block(peers[1], time.Time{}, true)); err != nil {
			t.Fatal(err)
		}
		renew(time.Second)
		if reaches(t, ownAddr+":80", absent) {
			t.Error("reached while the lease holds")
		}
		time.Sleep(time.Second)
		if !reaches(t, ownAddr+":80", soon) || reaches(t, "[2001:db8::1]:80", absent) {
			t.Error("the lease is over, and a machine's ban holds or a person's does not")
		}
		renew(leaseTime)
		if reaches(t, ownAddr+":80", absent) {
			t.Error("reached after the lease was renewed")
		}
		// A firewall that is loaded anew takes everything away.
		for _, harm := range []string{"flush ruleset", "flush table inet seawall", "delete table inet seawall", "flush set inet seawall blocked4_32"} {
			run(t, "nft", harm)
			if harm != "flush set inet seawall blocked4_32" {
				if !reaches(t, ownAddr+":80", soon) {
					t.Errorf("%s: does no harm", harm)
				}
				renew(leaseTime)
			} else if err := l.Unblock(peers[0]); err != nil { // its entry is not there
				t.Error(err)
			} else if err := l.Block(peers[0], time.Time{}, false); err != nil {
				t.Error(err)
			}
			if reaches(t, ownAddr+":80", absent) || reaches(t, "[2001:db8::1]:80", absent) {
				t.Errorf("%s: not mended", harm)
			}
		}
		c, err := l.Counts()
		if err != nil || c.Blocked.Packets == 0 {
			t.Errorf("what was counted is lost: %+v, %v", c, err)
		}
		dry := tabled(t, fallback.Options{Table: "dry", DryRun: true})
		l.Close()
		if err := dry.Block(peers[0], time.Time{}, true); err != nil || !reaches(t, ownAddr+":80", soon) {
			t.Errorf("a dry run drops: %v", err)
		}
		if c, err := dry.Counts(); err != nil || c.Blocked.Packets == 0 {
			t.Errorf("a dry run does not count: %+v, %v", c, err)
		}
	})
}

// Ten thousand bans, one after the other, and by one start.
func TestFallbackTakesMany(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		const many = 10_000
		l := tabled(t, fallback.Options{})
		address := func(i int) netip.Prefix {
			return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}), 32)
		}
		began := time.Now()
		for i := range many {
			if err := l.Block(address(i), time.Time{}, i%2 == 0); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d bans one by one: %v", many, time.Since(began))
		began = time.Now()
		if err := l.Renew(2 * leaseTime); err != nil {
			t.Fatal(err)
		}
		t.Logf("the half of them renewed: %v", time.Since(began))
		began = time.Now()
		if err := errors.Join(l.Detach(ownLink), l.Attach(ownLink)); err != nil {
			t.Fatal(err)
		}
		t.Logf("the table made anew: %v", time.Since(began))
		if n := strings.Count(ruleset(t), "198.19."); n != many {
			t.Errorf("the kernel has %d", n)
		}
		for i := range 5000 {
			err := l.Block(netip.PrefixFrom(netip.AddrFrom4([4]byte{16, byte(i >> 8), byte(i), 0}), 24), time.Time{}, true)
			if i < 4096 && err != nil || i >= 4096 && !errors.Is(err, fallback.ErrFull) {
				t.Fatalf("the %d-th network: %v", i, err)
			}
		}
		for bits := range 16 {
			err := l.Block(netip.PrefixFrom(netip.MustParseAddr("2001:db8::"), 33+bits), time.Time{}, true)
			if bits < 8 && err != nil || bits >= 8 && !errors.Is(err, fallback.ErrFull) {
				t.Fatalf("the %d-th length: %v", bits, err)
			}
		}
	})
}

// Whatever else is in a folder that is given for pins stays there.
func TestRemoveLeavesOthersFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := filter.Remove(filepath.Dir(file)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// restricted runs a test again, with fewer rights, in a role.
func restricted(test, role, rights string) *exec.Cmd {
	c := exec.Command("setpriv", "--bounding-set", rights, os.Args[0], "-test.run", "^"+test+"$", "-test.v", "-test.count=1")
	c.Env = append(os.Environ(), envRole+"="+role)
	return c
}

// holding starts a process and waits for it to say that it holds.
func holding(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "holds") {
			return lines.Text()
		}
		t.Log(lines.Text())
	}
	return ""
}

// Without the rights for XDP, or where another's program sits at the interface,
// nftables does it; it outlives a kill, and off and Close remove it.
func TestFallsBack(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		switch role := os.Getenv(envRole); {
		case strings.HasPrefix(role, "without rights "): // and killed
			cfg := DefaultConfig()
			cfg.Pins = strings.TrimPrefix(role, "without rights ")
			p := started(t, cfg, "", &logbook{})
			p.must(t, p.Apply(direct(1, peerAddr+"/32", mitigation.Refuse)))
			fmt.Println(p.Table(), "holds", p.Blocks(1))
			time.Sleep(time.Minute)
			return
		case role == "neither":
			var log logbook
			p := started(t, DefaultConfig(), "", &log)
			if p.filtered() || !strings.Contains(log.String(), "HTTP alone is defended") {
				t.Errorf("no clear word:\n%s", log.String())
			}
			return
		}
		pins := bpffs(t)
		greeter(t, ownAddr+":80")
		neither := restricted("TestFallsBack", "neither", "-bpf,-perfmon,-sys_admin,-net_admin")
		if out, err := neither.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("with neither: %v\n%s", err, out)
		}

		child := restricted("TestFallsBack", "without rights "+pins, "-bpf,-perfmon,-sys_admin")
		if said := holding(t, child); said != tableOf(pins)+" holds true" {
			t.Fatalf("without the rights for XDP: %q", said)
		}
		if reaches(t, ownAddr+":80", absent) {
			t.Errorf("reached\n%s", ruleset(t))
		}
		_ = child.Process.Kill()
		_ = child.Wait()
		if reaches(t, ownAddr+":80", absent) {
			t.Error("reached after it was killed")
		}
		if err := Remove(pins); err != nil || !reaches(t, ownAddr+":80", soon) {
			t.Errorf("not removed: %v", err)
		}

		// Another's program is there.
		other := made(t, "")
		defer other.Close()
		attach(t, other)
		var log logbook
		cfg := DefaultConfig()
		cfg.Pins, cfg.Interfaces = pins, []string{ownLink}
		p := New(cfg, slog.New(slog.NewTextHandler(&log, nil)))
		p.here = deserted()
		p.must(t, p.Apply(ordered(1, "198.18.0.0/24", mitigation.Refuse, mitigation.ByOperator)))
		p.Start([]uint16{80})
		st, ok := p.Stats()
		if !ok || st.Interfaces[ownLink] != NFTables || !strings.Contains(log.String(), "only by the lists") || reaches(t, ownAddr+":80", absent) {
			t.Errorf("%+v\n%s", st, log.String())
		}
		if st, _ = p.Stats(); st.Done[filter.StopBlocked].Packets == 0 || st.People != 1 {
			t.Errorf("counted %+v", st)
		}
		p.must(t, p.Apply(ordered(2, peerAddr+"/32", mitigation.Admit, mitigation.ByOperator)))
		if !reaches(t, ownAddr+":80", soon) {
			t.Error("not reached though allowed")
		}
		p.must(t, p.Withdraw(2))
		p.SetOff(true)
		if !reaches(t, ownAddr+":80", soon) {
			t.Error("not reached though off")
		}
		p.SetOff(false)
		if reaches(t, ownAddr+":80", absent) {
			t.Error("reached though on")
		}
		p.must(t, p.Close())
		if !reaches(t, ownAddr+":80", soon) || strings.Contains(ruleset(t), "table") {
			t.Errorf("closed, and still there:\n%s", ruleset(t))
		}
		// Where it is not wanted, nothing.
		cfg.Fallback = "off"
		p = New(cfg, slog.New(slog.NewTextHandler(&log, nil)))
		p.here = deserted()
		p.Start([]uint16{80})
		if _, ok := p.Stats(); ok || strings.Contains(ruleset(t), "table") {
			t.Error("it falls back though it shall not")
		}
		p.must(t, p.Close())
	})
}
