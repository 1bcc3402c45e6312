package packet

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/packet/filter"
)

const (
	soon   = 5 * time.Second        // for what must work
	absent = 400 * time.Millisecond // for what must not
)

func made(t *testing.T, pins string) *filter.Filter {
	t.Helper()
	f, err := filter.New(filter.DefaultConfig(), guard(), pins)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	return f
}

func attach(t *testing.T, f *filter.Filter) {
	t.Helper()
	if how, err := f.Attach(ownLink); err != nil || how != filter.Native {
		t.Fatalf("attached %q, %v", how, err)
	}
}

var peers = []netip.Prefix{netip.MustParsePrefix(peerAddr + "/32"), netip.MustParsePrefix("2001:db8::/64")}

// A blocked client reaches what is not protected, and nothing else.
func TestAttached(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		f := made(t, "")
		defer f.Close()
		attach(t, f)
		for i, host := range []string{ownAddr, "[2001:db8::1]"} {
			for _, port := range []string{":80", ":22"} {
				greeter(t, host+port)
				if !reaches(t, host+port, soon) {
					t.Fatalf("%s%s cannot be reached", host, port)
				}
			}
			block(t, f, peers[i], false)
			if reaches(t, host+":80", absent) {
				t.Errorf("%s: a blocked client reaches the protected port", host)
			}
			if !reaches(t, host+":22", soon) {
				t.Errorf("%s: a blocked client does not reach the other port", host)
			}
			if err := f.Unblock(peers[i]); err != nil || !reaches(t, host+":80", soon) {
				t.Errorf("%s: not reached after unblocking, %v", host, err)
			}
			block(t, f, peers[i], false)
		}
		if err := f.Detach(ownLink); err != nil || !reaches(t, ownAddr+":80", soon) {
			t.Errorf("not reached after detaching, %v", err)
		}
		if _, err := f.Attach("nosuch"); err == nil || !strings.Contains(err.Error(), "ip link") {
			t.Errorf("an interface that is not there: %v", err)
		}
	})
}

// What is pinned acts on after a kill -9, and the next process takes it over
// with its lists, in one step.
func TestSurvivesKill(t *testing.T) {
	t.Parallel() // it mostly waits
	inNamespace(t, func(t *testing.T) {
		if pins := os.Getenv(envRole); pins != "" { // the process that will be killed
			f := made(t, pins)
			attach(t, f)
			block(t, f, netip.MustParsePrefix("198.18.0.0/24"), false)
			block(t, f, peers[0], false)
			fmt.Println("holds")
			time.Sleep(time.Minute)
			return
		}
		pins := bpffs(t)
		greeter(t, ownAddr+":80")
		holder := exec.Command(os.Args[0], "-test.run", "^TestSurvivesKill$")
		holder.Env = append(os.Environ(), envRole+"="+pins)
		out, err := holder.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "holds"; {
			t.Log(lines.Text())
		}
		if reaches(t, ownAddr+":80", absent) {
			t.Error("reached while the holder lives")
		}
		_ = holder.Process.Kill()
		_ = holder.Wait()
		if reaches(t, ownAddr+":80", absent) {
			t.Error("reached after the holder was killed")
		}
		f := made(t, pins)
		attach(t, f)
		if reaches(t, ownAddr+":80", absent) {
			t.Error("reached after another took over")
		}
		// The network and the client are on its list, and are taken off it.
		if err := f.Unblock(netip.MustParsePrefix("198.18.0.0/24")); err != nil || reaches(t, ownAddr+":80", absent) {
			t.Errorf("the client is not on the list that was taken over: %v", err)
		}
		if err := f.Unblock(peers[0]); err != nil || !reaches(t, ownAddr+":80", soon) {
			t.Errorf("not reached when unblocked after a take-over: %v", err)
		}
		// With other sizes the old maps do not fit: new ones, and no gap.
		f.Close()
		cfg := filter.DefaultConfig()
		cfg.Entries4 *= 2
		if f, err = filter.New(cfg, guard(), pins); err != nil {
			t.Fatal(err)
		}
		attach(t, f)
		block(t, f, peers[0], false)
		if reaches(t, ownAddr+":80", absent) {
			t.Error("the new maps are not those of the program that is attached")
		}
		if err := filter.Remove(pins); !errors.Is(err, filter.ErrInUse) || reaches(t, ownAddr+":80", absent) {
			t.Errorf("a living process's filter was removed: %v", err)
		}
		f.Close()
		if err := filter.Remove(pins); err != nil || !reaches(t, ownAddr+":80", soon) {
			t.Errorf("not reached after Remove: %v", err)
		}
		if left, _ := os.ReadDir(pins); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// Programs are switched under a flood from a blocked source, and no packet of
// it gets through.
func TestSwitchUnderFlood(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		f := made(t, bpffs(t))
		defer f.Close()
		attach(t, f)
		l, err := net.ListenPacket("udp", ownAddr+":443")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var got atomic.Int64
		go func() {
			for buf := make([]byte, 1500); ; got.Add(1) {
				if _, _, err := l.ReadFrom(buf); err != nil {
					return
				}
			}
		}()
		var sent atomic.Int64
		stop, ended := make(chan struct{}), make(chan struct{})
		var c net.Conn
		asClient(t, func() { c, err = net.Dial("udp", ownAddr+":443") })
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(ended)
			for msg := make([]byte, 100); ; {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.Write(msg); err == nil {
					sent.Add(1)
				}
			}
		}()
		for end := time.Now().Add(soon); got.Load() == 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if got.Load() == 0 {
			t.Fatal("the flood does not arrive when nothing is blocked")
		}
		block(t, f, peers[0], false)
		// What is on its way, or waits in the socket, is read first.
		before := got.Load()
		for still, end := 0, time.Now().Add(2*soon); still < 30; still++ {
			time.Sleep(10 * time.Millisecond)
			if n := got.Load(); n != before {
				before, still = n, 0
			}
			if time.Now().After(end) {
				t.Fatal("the flood still arrives when it is blocked")
			}
		}
		from := sent.Load()
		for i := range 20 { // each loads another program
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, 0}), 16+i%10)
			block(t, f, p, false)
			if err := f.Unblock(p); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		<-ended
		if n := got.Load() - before; n != 0 || sent.Load()-from < 1000 {
			t.Errorf("%d of %d packets got through", n, sent.Load()-from)
		}
		_ = c.Close()
	})
}

// What messages say of ending a filter works: one at which a link holds it, and
// one that a dead process has pinned.
func TestAdviceWorks(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		pins := bpffs(t)
		f := made(t, pins)
		attach(t, f)
		other := made(t, "")
		defer other.Close()
		if _, err := other.Attach(ownLink); err == nil || !strings.Contains(err.Error(), "`bpftool link detach id`") {
			t.Errorf("where another program is: %v", err)
		}
		if _, err := exec.LookPath("bpftool"); err != nil {
			t.Logf("this part is left out: %v", err)
		} else {
			run(t, "bpftool", "link", "detach", "id", linkOf(t, ownLink))
			if filtered(t, ownLink) {
				t.Error("detached by its number, and still there")
			}
			if how, err := other.Attach(ownLink); err != nil || other.Detach(ownLink) != nil {
				t.Errorf("the other is not attached then: %q, %v", how, err)
			}
		}
		f.Close()
		f = made(t, pins)
		attach(t, f) // not the link that is at nothing
		f.Close()
		run(t, "rm", "-r", pins)
		if filtered(t, ownLink) {
			t.Error("its pins are gone, and it acts")
		}
	})
}

// linkOf finds the number of the link at an interface as the message says.
func linkOf(t *testing.T, name string) string {
	t.Helper()
	shown, err := exec.Command("ip", "link", "show", "dev", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile(`prog/xdp id (\d+)`).FindSubmatch(shown)
	if program == nil {
		t.Fatalf("no program: %s", shown)
	}
	links, err := exec.Command("bpftool", "link").Output()
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`(?m)^(\d+): xdp +prog ` + string(program[1]) + `\b`).FindSubmatch(links)
	if link == nil {
		t.Fatalf("no link of program %s: %s", program[1], links)
	}
	return string(link[1])
}

// A link whose pin cannot be taken away is detached all the same.
func TestDetachWithoutUnpinning(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		pins := bpffs(t)
		f := made(t, pins)
		defer f.Close()
		attach(t, f)
		turn := func(flags uintptr) {
			if err := unix.Mount("", filepath.Dir(pins), "", unix.MS_REMOUNT|flags, ""); err != nil {
				t.Fatal(err)
			}
		}
		turn(unix.MS_RDONLY)
		if err := f.Detach(ownLink); err != nil || filtered(t, ownLink) {
			t.Errorf("not detached: %v", err)
		}
		turn(0)
		attach(t, f)
		if !filtered(t, ownLink) {
			t.Error("not attached anew")
		}
	})
}

func TestSweepTakesWhatIsOver(t *testing.T) {
	f := load(t, nil)
	over, stands := netip.MustParsePrefix("198.18.7.0/24"), netip.MustParsePrefix("198.18.8.8/32")
	soonOver := time.Now().Add(time.Second) // what is over when it comes is not taken
	for p, until := range map[netip.Prefix]time.Time{over: soonOver, stands: time.Now().Add(time.Hour)} {
		if err := f.Block(p, until, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Allow(over, soonOver); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(soonOver) + 200*time.Millisecond)
	if n, err := f.Sweep(); err != nil || n != 2 {
		t.Errorf("took %d, %v", n, err)
	}
	if !passes(t, f, "198.18.7.1") || passes(t, f, "198.18.8.8") {
		t.Error("the wrong one was taken")
	}
	if n, err := f.Sweep(); err != nil || n != 0 {
		t.Errorf("took %d more, %v", n, err)
	}
}

// An interface that is deleted and made anew is filtered again, and does not
// stand in the way of new programs meanwhile; nobody else may use the pins.
func TestInterfaceMadeAnew(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		pins := bpffs(t)
		f := made(t, pins)
		defer f.Close()
		attach(t, f)
		if _, err := filter.New(filter.DefaultConfig(), guard(), pins); err == nil || !strings.Contains(err.Error(), "packet.pins") {
			t.Errorf("a second filter with the same pins: %v", err)
		}
		run(t, "ip", "link", "del", ownLink)
		block(t, f, netip.MustParsePrefix("198.18.0.0/24"), false) // loads a program
		if _, err := f.Attach(ownLink); err == nil {
			t.Error("attached to an interface that is gone")
		}
		run(t, "ip", "link", "add", ownLink, "type", "veth", "peer", "name", peerLink, "netns", os.Getenv(envPeer))
		run(t, "ip", "addr", "add", ownAddr+"/24", "dev", ownLink)
		run(t, "ip", "link", "set", ownLink, "up")
		run(t, "ip", "-n", os.Getenv(envPeer), "addr", "add", peerAddr+"/24", "dev", peerLink)
		run(t, "ip", "-n", os.Getenv(envPeer), "link", "set", peerLink, "up")
		greeter(t, ownAddr+":80")
		if !reaches(t, ownAddr+":80", soon) {
			t.Fatal("not reached before it is attached again")
		}
		attach(t, f)
		if reaches(t, ownAddr+":80", absent) {
			t.Error("reached after it was attached again")
		}
		run(t, "ip", "tuntap", "add", "swtun", "mode", "tun")
		if _, err := f.Attach("swtun"); err == nil || !strings.Contains(err.Error(), "Ethernet") {
			t.Errorf("an interface without Ethernet: %v", err)
		}
	})
}
