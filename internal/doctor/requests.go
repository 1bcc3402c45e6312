package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ShieldSpec is what the Seawall that is measured must be started with. It
// believes X-Forwarded-For from loopback.
type ShieldSpec struct {
	Dir         string // empty, private, removed afterwards
	Origin      string // a site that answers at once: "http://127.0.0.1:1234"
	Allow, Deny string // addresses: always let in, and never
}

// Addresses that are nobody's (RFC 5737): whom the requests name as their client.
const (
	letIn   = "192.0.2.1"
	refused = "203.0.113.1"
)

// How long the Seawall may take to start and to end, and how many connections
// the requests come over.
const (
	startTime   = 20 * time.Second
	endTime     = 5 * time.Second
	connections = 8
)

// requests starts a Seawall in front of a small site, both on loopback, and
// measures what it refuses and serves in a second of its processor time: client
// and site run here and do not count.
func (e Env) requests(ctx context.Context, each time.Duration) (refuse, serve float64, err error) {
	fail := func(err error) (float64, float64, error) {
		return 0, 0, fmt.Errorf("measure requests: %w", err)
	}
	dir, err := os.MkdirTemp("", "seawall-doctor-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fail(err)
	}
	site := &http.Server{Handler: http.HandlerFunc(answer), ReadHeaderTimeout: startTime}
	go site.Serve(l) //nolint:errcheck // it ends with Close
	defer site.Close()
	args, err := e.Shield(ShieldSpec{Dir: dir, Origin: "http://" + l.Addr().String(), Allow: letIn, Deny: refused})
	if err != nil {
		return fail(err)
	}
	s, err := startShield(ctx, e.Executable, args)
	if err != nil {
		return fail(err)
	}
	defer s.stop()
	for _, part := range []struct {
		client string
		status int
		into   *float64
	}{{refused, http.StatusForbidden, &refuse}, {letIn, http.StatusOK, &serve}} {
		if _, err := s.load(ctx, part.client, part.status, each/10); err != nil { // until everything is warm
			return fail(err)
		}
		if *part.into, err = s.load(ctx, part.client, part.status, each); err != nil {
			return fail(err)
		}
	}
	return refuse, serve, nil
}

// answer is the site: a small page.
func answer(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write(bytes.Repeat([]byte("Welcome. "), 100))
}

// shield is a Seawall that runs.
type shield struct {
	cmd  *exec.Cmd
	at   netip.AddrPort
	done chan struct{}
}

// ready finds the address in "seawall: ready http://127.0.0.1:1234 admin http://...".
var ready = regexp.MustCompile(`^seawall: ready http://(\S+)`)

func startShield(ctx context.Context, executable string, args []string) (*shield, error) {
	s := &shield{cmd: exec.Command(executable, args...), done: make(chan struct{})}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	s.cmd.Stderr = &said
	started, where := make(chan error), make(chan string, 1)
	go func() {
		// Pdeathsig is sent when the thread that started the process ends, so this
		// goroutine keeps it for as long as the process lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.done)
		err := s.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				where <- m[1]
			}
		}
		_ = s.cmd.Wait() // how it ends says nothing that stop does not know
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	select {
	case addr := <-where:
		if s.at, err = netip.ParseAddrPort(addr); err != nil || !s.at.Addr().IsLoopback() {
			s.stop()
			return nil, fmt.Errorf("the measured Seawall listens on %q, which is not loopback", addr)
		}
		return s, nil
	case <-s.done:
		return nil, fmt.Errorf("the measured Seawall ended at once: %s", strings.TrimSpace(said.String()))
	case <-ctx.Done():
		s.stop()
		return nil, ctx.Err()
	case <-time.After(startTime):
		s.stop()
		return nil, errors.New("the measured Seawall does not get ready")
	}
}

func (s *shield) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(endTime):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// time is the processor time that it has used: its clock is made of its number
// (CPUCLOCK_SCHED of linux/posix-timers.h).
func (s *shield) time() time.Duration { return clockTime(int32(^s.cmd.Process.Pid)<<3 | 2) }

// load sends requests in a client's name for a while, as fast as they are
// answered, and returns how many it answered in a second of its processor time.
func (s *shield) load(ctx context.Context, client string, status int, during time.Duration) (float64, error) {
	begun, end := s.time(), time.Now().Add(during)
	var done atomic.Int64
	failed := make(chan error, connections)
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			if err := s.ask(ctx, client, status, end, &done); err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	close(failed)
	if err := <-failed; err != nil {
		return 0, err
	}
	used := s.time() - begun
	if used <= 0 {
		return 0, errors.New("the clock of Seawall's process cannot be read")
	}
	return float64(done.Load()) / used.Seconds(), ctx.Err()
}

// ask sends one request after the other over a connection until the end; at
// least one.
func (s *shield) ask(ctx context.Context, client string, status int, end time.Time, done *atomic.Int64) error {
	request := []byte("GET / HTTP/1.1\r\nHost: seawall.invalid\r\nUser-Agent: seawall-doctor\r\nAccept: text/html\r\nX-Forwarded-For: " + client + "\r\n\r\n")
	var c net.Conn
	var r *bufio.Reader
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for first := true; ctx.Err() == nil && (first || time.Now().Before(end)); first = false {
		if c == nil {
			var err error
			if c, err = net.DialTimeout("tcp", s.at.String(), endTime); err != nil {
				return err
			}
			r = bufio.NewReader(c)
		}
		_ = c.SetDeadline(time.Now().Add(endTime)) // it fails only on a closed connection, and then so does what follows
		if _, err := c.Write(request); err != nil {
			return err
		}
		got, keep, err := readAnswer(r)
		if err != nil {
			return fmt.Errorf("read Seawall's answer: %w", err)
		}
		if got != status {
			return fmt.Errorf("the measured Seawall answers %d where it should %d", got, status)
		}
		done.Add(1)
		if !keep {
			c.Close()
			c = nil
		}
	}
	return nil
}

// readAnswer reads one answer as cheaply as it can be: the client shares the
// machine with what is measured.
func readAnswer(r *bufio.Reader) (status int, keep bool, err error) {
	keep = true
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first {
			if len(line) < 12 {
				return 0, false, errors.New("it is no HTTP")
			}
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, false, err
			}
			continue
		}
		if len(line) == 0 {
			_, err := r.Discard(length)
			return status, keep, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, false, err
			}
		case bytes.EqualFold(name, []byte("Connection")):
			keep = !bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return 0, false, errors.New("it has no length")
		}
	}
}
