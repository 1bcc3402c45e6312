package packets

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// world is everybody else: visitors, the DNS and mail servers that the host
// asks, and somebody who has an SSH session on the host.
type world struct {
	dns     net.PacketConn
	mail    net.Listener
	session *session
}

// envKey tells the world with which key it may log in.
const envKey = "SEAWALL_TEST_KEY"

// seen is what the world met in one window.
type seen struct {
	Visits visits
	SSH    tries
}

func newWorld() (*world, error) {
	if err := asCard(worldLink); err != nil {
		return nil, err
	}
	// So that a visitor may have any address of its networks.
	if err := os.WriteFile("/proc/sys/net/ipv6/ip_nonlocal_bind", []byte("1"), 0o644); err != nil {
		return nil, err
	}
	dns, err := net.ListenPacket("udp", worldAddr+":53")
	if err != nil {
		return nil, err
	}
	mail, err := net.Listen("tcp", worldAddr+":25")
	if err != nil {
		return nil, err
	}
	go answerDNS(dns) // both end with their sockets
	go takeMail(mail)
	return &world{dns: dns, mail: mail}, nil
}

func (w *world) close() {
	w.dns.Close()
	w.mail.Close()
	w.logOut()
}

func (w *world) logOut() {
	if w.session != nil {
		w.session.close()
		w.session = nil
	}
}

func (w *world) do(o order) (any, error) {
	switch o.Do {
	case "log in":
		w.logOut()
		var err error
		w.session, err = logIn(os.Getenv(envKey))
		return nil, err
	case "visit":
		var s seen
		var both sync.WaitGroup
		both.Go(func() { s.SSH = w.session.use(o.Lasts) })
		both.Go(func() { s.Visits = visit(o.Lasts, o.Rate) })
		both.Wait()
		return s, nil
	}
	return nil, fmt.Errorf("the world cannot %q", o.Do)
}

// answerDNS gives every name one address.
func answerDNS(c net.PacketConn) {
	for buf := make([]byte, 512); ; {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		end := 12 // of the question: labels, type and class
		for end < n && buf[end] != 0 {
			end += int(buf[end]) + 1
		}
		if end += 5; err != nil || end > n {
			continue
		}
		a := append([]byte{buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, buf[12:end]...)
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 0, 2)
		_, _ = c.WriteTo(a, from)
	}
}

// takeMail is an SMTP server that takes everything.
func takeMail(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(3 * mailWithin))
			fmt.Fprint(c, "220 world.example\r\n")
			text := false
			for lines := bufio.NewScanner(c); lines.Scan(); {
				line := lines.Text()
				switch {
				case text && line != ".":
					continue
				case line == "DATA":
					text = true
					fmt.Fprint(c, "354 go on\r\n")
					continue
				case line == "QUIT":
					fmt.Fprint(c, "221 bye\r\n")
					return
				}
				text = false
				fmt.Fprint(c, "250 ok\r\n")
			}
		}()
	}
}

// session is an SSH session in which a remote cat says everything again.
type session struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // what came back; closed when the session is over
}

// echoWithin is how long somebody who types waits.
const echoWithin = 5 * time.Second

func logIn(key string) (*session, error) {
	cmd := exec.Command("ssh", "-T", "-F", "none", "-i", key, "-o", "BatchMode=yes", "-o", "ConnectTimeout=20",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "root@"+hostAddr, "cat")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &session{cmd, in, make(chan string, 100)}
	go func() { // ends with the session
		defer close(s.lines)
		for r := bufio.NewScanner(out); r.Scan(); {
			s.lines <- r.Text()
		}
	}()
	if err := s.echo("hello", 20*time.Second); err != nil {
		s.close()
		return nil, fmt.Errorf("ssh: %w", err)
	}
	return s, nil
}

// use types a line ten times a second, and waits for each to come back.
func (s *session) use(lasts time.Duration) (n tries) {
	end, i := time.Now().Add(lasts), 0
	for next := time.Now(); next.Before(end); next = next.Add(100 * time.Millisecond) {
		time.Sleep(time.Until(next))
		n.add(s.echo(fmt.Sprintf("line %d", i), echoWithin))
		i++
	}
	return n
}

func (s *session) echo(line string, within time.Duration) error {
	if _, err := fmt.Fprintln(s.in, line); err != nil {
		return err
	}
	limit := time.NewTimer(within)
	defer limit.Stop()
	for {
		select {
		case got, ok := <-s.lines:
			if !ok {
				return errors.New("the session is over")
			}
			if strings.TrimSpace(got) == line { // else one that came late
				return nil
			}
		case <-limit.C:
			return fmt.Errorf("%q has not come back in %s", line, within)
		}
	}
}

func (s *session) close() {
	_ = s.in.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}
