package packet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"seawall/internal/mitigation"
)

const brief = 1500 * time.Millisecond // of a trial

// book of a log that several goroutines write.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// deserted is a machine at which nobody is logged in, and systemd keeps no book.
// The process's first thread may have played the client, and be in its namespace.
func deserted() machine {
	return machine{proc: os.DirFS("/proc/thread-self"), root: fstest.MapFS{}}
}

// started is a Packet that filters the wire, and runs until the test ends.
func started(t *testing.T, cfg Config, state string, log *logbook) *Packet {
	t.Helper()
	cfg.Interfaces = []string{ownLink}
	p := New(cfg, slog.New(slog.NewTextHandler(log, nil)))
	p.OnTrial(state)
	p.here = deserted()
	p.Start([]uint16{80})
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(t.Context()) })
	t.Cleanup(func() { // t's context has ended
		running.Wait()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// filtered says whether the wire is filtered.
func (p *Packet) filtered() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.at) > 0
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * soon); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so: " + what)
		}
	}
}

func trialConfig(t *testing.T, pins string) (cfg Config, state string) {
	cfg = DefaultConfig()
	cfg.Pins, cfg.ConfirmWithin = pins, brief
	return cfg, filepath.Join(t.TempDir(), "packet-confirmed")
}

// The first time, filtering ends by itself unless somebody confirms it; once
// confirmed, it does not, and only another setup is on trial again.
func TestTrial(t *testing.T) {
	t.Parallel() // it mostly waits
	inNamespace(t, func(t *testing.T) {
		greeter(t, ownAddr+":80")
		cfg, state := trialConfig(t, bpffs(t))
		run := func(name string, cfg Config, f func(t *testing.T, p *Packet, log *logbook)) {
			t.Run(name, func(t *testing.T) {
				var log logbook
				p := started(t, cfg, state, &log)
				p.must(t, p.Apply(ordered(1, peerAddr+"/32", mitigation.Refuse, mitigation.ByOperator)))
				f(t, p, &log)
				if t.Failed() {
					t.Log(log.String())
				}
			})
		}
		run("nobody confirms", cfg, func(t *testing.T, p *Packet, log *logbook) {
			if reaches(t, ownAddr+":80", absent) {
				t.Error("a trial does not act")
			}
			eventually(t, "it ends", func() bool { return !p.filtered() })
			if !reaches(t, ownAddr+":80", soon) || !strings.Contains(log.String(), "seawall confirm") {
				t.Error("packets are still stopped, or the log does not say what to do")
			}
			p.renew()
			if p.filtered() {
				t.Error("filtered again by itself")
			}
			p.must(t, p.Confirm())
			if !p.filtered() || reaches(t, ownAddr+":80", absent) {
				t.Error("not filtered after it was confirmed")
			}
		})
		run("confirmed before", cfg, func(t *testing.T, p *Packet, log *logbook) {
			time.Sleep(brief + 2*lookEvery)
			if !p.filtered() || strings.Contains(log.String(), "trial") {
				t.Error("what was confirmed is on trial")
			}
		})
		other := cfg
		other.Ports = []uint16{8443}
		run("another setup, off and on", other, func(t *testing.T, p *Packet, log *logbook) {
			p.SetOff(true)
			time.Sleep(brief + 2*lookEvery)
			p.SetOff(false)
			if !p.filtered() {
				t.Error("the time that it was off counts")
			}
			p.must(t, Confirm(state)) // as the command does with no daemon
			eventually(t, "it heeds the file", func() bool { return strings.Contains(log.String(), "is confirmed") })
			time.Sleep(brief)
			if c := readConfirmation(state); !p.filtered() || !c.Confirmed || c.Setup == anything {
				t.Errorf("filtered %v, %+v", p.filtered(), c)
			}
		})
		third := cfg
		third.Ports = []uint16{9443}
		run("a clean stop", third, func(t *testing.T, p *Packet, log *logbook) {
			if c := readConfirmation(state); c.Confirmed || c.Until == 0 {
				t.Errorf("the trial is not written down: %+v", c)
			}
		})
		if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the trial goes on after a clean stop: %v", err)
		}
		p := New(other, slog.New(slog.DiscardHandler))
		if err := p.Confirm(); !errors.Is(err, ErrNothingToConfirm) {
			t.Errorf("nothing was confirmed: %v", err)
		}
		other.Ports, other.ConfirmWithin = nil, 0
		run("nobody has to", other, func(t *testing.T, p *Packet, log *logbook) {
			time.Sleep(brief)
			if !p.filtered() || strings.Contains(log.String(), "trial") {
				t.Error("on trial")
			}
		})
	})
}

// A new SSH connection through the filter shows that the machine can be reached;
// one that was there before does not, and its client is spared.
func TestTrialEndsByLogin(t *testing.T) {
	t.Parallel() // it mostly waits
	inNamespace(t, func(t *testing.T) {
		greeter(t, ownAddr+":80")
		held := holder(t, ownAddr+":22")
		cfg, state := trialConfig(t, bpffs(t))
		cfg.ConfirmWithin = 3 * brief
		held() // somebody is connected
		var log logbook
		p := started(t, cfg, state, &log)
		p.must(t, p.Apply(ordered(1, peerAddr+"/32", mitigation.Refuse, mitigation.ByOperator)))
		if !reaches(t, ownAddr+":80", soon) {
			t.Error("who is connected by SSH is not spared")
		}
		time.Sleep(2 * lookEvery)
		if strings.Contains(log.String(), "is confirmed") {
			t.Error("an old connection confirms")
		}
		held()
		eventually(t, "a new one confirms", func() bool { return strings.Contains(log.String(), "is confirmed") })
		time.Sleep(3 * brief)
		if !p.filtered() {
			t.Errorf("no longer filtered\n%s", log.String())
		}
	})
}

// holder accepts connections and keeps them; what it returns makes one.
func holder(t *testing.T, addr string) func() {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range all {
			_ = c.Close()
		}
	})
	go func() { // ends with l
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, c)
			mu.Unlock()
		}
	}()
	return func() {
		var err error
		asClient(t, func() {
			var c net.Conn
			if c, err = net.DialTimeout("tcp", addr, soon); err == nil {
				mu.Lock()
				all = append(all, c)
				mu.Unlock()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Killed while the trial runs, the kernel ends it, but for what people ban; and
// the next process goes on with what is left of it.
func TestTrialOutlivesKill(t *testing.T) {
	t.Parallel() // it mostly waits
	inNamespace(t, func(t *testing.T) {
		if dir := os.Getenv(envRole); dir != "" {
			cfg, _ := trialConfig(t, filepath.Join(dir, "v1"))
			cfg.ConfirmWithin = 2 * brief
			p := started(t, cfg, filepath.Join(dir, "..", "state"), &logbook{})
			p.must(t, p.Apply(direct(1, peerAddr+"/32", mitigation.Refuse)))
			fmt.Println("holds")
			time.Sleep(time.Minute)
			return
		}
		pins := bpffs(t)
		state := filepath.Join(filepath.Dir(pins), "..", "state")
		greeter(t, ownAddr+":80")
		began := time.Now()
		child := exec.Command(os.Args[0], "-test.run", "^TestTrialOutlivesKill$")
		child.Env = append(os.Environ(), envRole+"="+filepath.Dir(pins))
		holding(t, child)
		if reaches(t, ownAddr+":80", absent) {
			t.Error("the trial does not act")
		}
		_ = child.Process.Kill()
		_ = child.Wait()
		if c := readConfirmation(state); c.Confirmed || c.Until == 0 {
			t.Errorf("the trial is not written down: %+v", c)
		}
		eventually(t, "the kernel ends it", func() bool { return reaches(t, ownAddr+":80", absent) })
		if took := time.Since(began); took > 2*brief+soon {
			t.Errorf("after %v", took)
		}
		time.Sleep(time.Until(began.Add(2*brief + soon/2)))
		cfg, _ := trialConfig(t, pins)
		cfg.ConfirmWithin = 2 * brief
		var log logbook
		p := started(t, cfg, state, &log)
		p.must(t, p.Apply(ordered(2, netip.MustParsePrefix(peerAddr+"/24").Masked().String(), mitigation.Refuse, mitigation.ByOperator)))
		if p.filtered() || !reaches(t, ownAddr+":80", soon) {
			t.Errorf("a trial that was over goes on\n%s", log.String())
		}
		p.must(t, p.Confirm())
		if reaches(t, ownAddr+":80", absent) {
			t.Errorf("not filtered when it is confirmed after all\n%s", log.String())
		}
	})
}

func TestSetupOf(t *testing.T) {
	a := setupOf("xdp", []string{"a", "b"}, []uint16{1, 2})
	if a != setupOf("xdp", []string{"b", "a"}, []uint16{2, 1, 1}) {
		t.Error("the order counts")
	}
	for _, b := range []string{setupOf("xdp", []string{"a"}, []uint16{1, 2}), setupOf("xdp", []string{"a", "b"}, []uint16{1}), setupOf("nftables", []string{"a", "b"}, []uint16{1, 2})} {
		if a == b {
			t.Error("another setup is the same")
		}
	}
}
