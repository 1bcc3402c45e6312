package packets

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// stage is everything that a window needs, Seawall apart.
type stage struct {
	spaces
	program, pins                string
	host, world, gunner, lookout *child
}

// newStage sets it up; it goes with the test.
func newStage(t testing.TB) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	for _, tool := range []string{"ip", "nginx", "ssh", "ssh-keygen", "/usr/sbin/sshd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors")
	}
	s := &stage{spaces: newSpaces(t), program: build(t), pins: pinned(t)}
	origin(t, s.spaces.host)
	key := sshd(t, s.spaces.host)
	s.host = start(t, s.spaces.host, "host")
	s.world = start(t, s.spaces.world, "world", envKey+"="+key)
	s.gunner = start(t, s.spaces.world, "gunner", envMAC+"="+macOf(t, s.spaces.host, hostLink))
	s.lookout = start(t, s.spaces.host, "lookout")
	s.must(t, s.world, order{Do: "log in"})
	// The first packets of all wait until the neighbours know each other.
	end := s.open(t, without)
	defer end()
	if _, err := s.watch("", 0, time.Second); err != nil {
		t.Fatal(err)
	}
	return s
}

func macOf(t testing.TB, space, name string) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", space, "cat", "/sys/class/net/"+name+"/address").Output()
	if err != nil {
		t.Fatal(err)
	}
	mac := strings.TrimSpace(string(out))
	if _, err := net.ParseMAC(mac); err != nil {
		t.Fatal(err)
	}
	return mac
}

func (s *stage) must(t testing.TB, c *child, o order) {
	t.Helper()
	if err := c.tell(o, nil); err != nil {
		t.Fatal(err)
	}
}

// side is what stands at the host's end of the wire.
type side string

const (
	without side = "without the filter" // Seawall with no packet section
	ideal   side = "an ideal filter"    // one that is told who is who
	with    side = "Seawall"
)

// window is what was measured in some seconds.
type window struct {
	fired
	before, after counts
	owned
	seen
}

// done is what Seawall's filter did with packets, by reason.
func (w window) done() map[string]uint64 {
	out := map[string]uint64{}
	for reason, n := range w.after.Filter {
		if n -= w.before.Filter[reason]; n > 0 {
			out[reason] = n
		}
	}
	return out
}

// kept is how many packets it kept from the kernel.
func (w window) kept() (sum uint64) {
	for reason, n := range w.done() {
		if !strings.HasPrefix(reason, "pass_") {
			sum += n
		}
	}
	return sum
}

// received is how many packets reached the host's interface.
func (w window) received() uint64 { return w.after.Received - w.before.Received }

// clients is how many visitors come in a second.
const clients = 200

// watch measures for a time, under a flood unless its rate is 0.
func (s *stage) watch(flood string, rate int, lasts time.Duration) (w window, err error) {
	if err := s.host.tell(order{Do: "counts"}, &w.before); err != nil {
		return w, err
	}
	var all sync.WaitGroup
	errs := make([]error, 3)
	if rate > 0 {
		all.Go(func() { errs[0] = s.gunner.tell(order{Name: flood, Rate: rate, Lasts: lasts}, &w.fired) })
	}
	all.Go(func() { errs[1] = s.world.tell(order{Do: "visit", Rate: clients, Lasts: lasts}, &w.seen) })
	all.Go(func() { errs[2] = s.host.tell(order{Do: "own", Lasts: lasts}, &w.owned) })
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return w, err
		}
	}
	return w, s.host.tell(order{Do: "counts"}, &w.after)
}

// open starts Seawall on a side, and returns what ends it.
func (s *stage) open(t testing.TB, at side) (end func()) {
	t.Helper()
	if at == with {
		return seawall(t, s.spaces.host, s.program, s.pins).stop
	}
	w := seawall(t, s.spaces.host, s.program, "")
	if at == ideal {
		s.must(t, s.host, order{Do: "program", Name: "ideal"})
	}
	return func() {
		s.must(t, s.host, order{Do: "program"})
		w.stop()
	}
}
