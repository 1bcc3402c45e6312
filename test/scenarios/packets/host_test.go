package packets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// host is what goes on on the attacked machine beside the site: it asks a DNS
// server, sends mail, and has something that listens at UDP 443. It also looks
// at the counters there.
type host struct {
	udp    net.PacketConn
	costs  io.Closer // while it is open the kernel measures what programs cost
	detach func()
}

// envCost makes the kernel measure what the filter costs, which costs some
// nanoseconds more for each packet.
const envCost = "FLOOD_COST"

func newHost() (*host, error) {
	if err := asCard(hostLink); err != nil {
		return nil, err
	}
	h := &host{detach: func() {}}
	var err error
	if os.Getenv(envCost) != "" {
		if h.costs, err = ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err != nil {
			return nil, err
		}
	}
	h.udp, err = net.ListenPacket("udp", fmt.Sprintf("[::]:%d", quic))
	if err != nil {
		return nil, err
	}
	go func() { // ends with the socket
		for buf := make([]byte, 2048); ; {
			if _, _, err := h.udp.ReadFrom(buf); errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
	return h, nil
}

func (h *host) close() {
	h.detach()
	h.udp.Close()
	if h.costs != nil {
		h.costs.Close()
	}
}

func (h *host) do(o order) (any, error) {
	switch o.Do {
	case "own":
		return own(o.Lasts), nil
	case "counts":
		return readCounts()
	case "program":
		h.detach()
		h.detach = func() {}
		var err error
		switch o.Name {
		case "ideal":
			h.detach, err = attach(hostLink, known(source4, source6))
		}
		if err != nil {
			h.detach = func() {}
		}
		return nil, err
	}
	return nil, fmt.Errorf("the host cannot %q", o.Do)
}

// tries counts how often something was done, and how often it went wrong.
type tries struct {
	All    int    `json:"all"`
	Failed int    `json:"failed"`
	First  string `json:"first,omitempty"` // error
}

func (n *tries) add(err error) {
	n.All++
	if err != nil {
		if n.Failed++; n.Failed == 1 {
			n.First = err.Error()
		}
	}
}

// owned is what the host did for itself.
type owned struct {
	DNS  tries `json:"dns"`
	Mail tries `json:"mail"`
}

// Within what time the host's own is to be done.
const (
	lookUpWithin = time.Second     // one question, asked once
	mailWithin   = 5 * time.Second // with connecting
)

// own looks up names 20 times a second and sends mail 5 times a second, each
// one after the other.
func own(lasts time.Duration) (n owned) {
	end := time.Now().Add(lasts)
	again := func(every time.Duration, count *tries, f func() error) func() {
		return func() {
			for next := time.Now(); next.Before(end); next = next.Add(every) {
				time.Sleep(time.Until(next))
				count.add(f())
			}
		}
	}
	var both sync.WaitGroup
	i := 0
	both.Go(again(50*time.Millisecond, &n.DNS, func() error {
		i++
		ctx, cancel := context.WithTimeout(context.Background(), lookUpWithin)
		defer cancel()
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, worldAddr+":53")
		}}
		_, err := r.LookupNetIP(ctx, "ip4", fmt.Sprintf("n%d.example.", i))
		return err
	}))
	both.Go(again(200*time.Millisecond, &n.Mail, mail))
	both.Wait()
	return n
}

// mail sends one.
func mail() error {
	c, err := net.DialTimeout("tcp", worldAddr+":25", mailWithin)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(mailWithin))
	s, err := smtp.NewClient(c, "world.example")
	if err != nil {
		return err
	}
	if err := errors.Join(s.Mail("site@host.example"), s.Rcpt("reader@world.example")); err != nil {
		return err
	}
	w, err := s.Data()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprint(w, "Subject: your receipt\r\n\r\nThank you.\r\n")
	return errors.Join(w.Close(), s.Quit())
}

// counts are read at a moment.
type counts struct {
	At       time.Time         `json:"at"`
	Received uint64            `json:"received"` // packets at the host's interface, dropped ones too
	Filter   map[string]uint64 `json:"filter"`   // what Seawall's did, by reason
	cost
}

func readCounts() (c counts, err error) {
	c.At = time.Now()
	text, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return c, err
	}
	_, rest, found := strings.Cut(string(text), hostLink+":")
	fields := strings.Fields(rest)
	if !found || len(fields) < 2 {
		return c, errors.New("no interface " + hostLink)
	}
	if c.Received, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
		return c, err
	}
	if c.cost, err = readCost(); err != nil {
		return c, err
	}
	c.Filter, err = readFilter()
	return c, err
}

// readFilter reads Seawall's metrics.
func readFilter() (map[string]uint64, error) {
	out := map[string]uint64{}
	client := http.Client{Timeout: 20 * time.Second}
	resp, err := client.Get("http://" + adminAddr + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), `seawall_packets_total{reason="`)
		if !ok {
			continue
		}
		reason, value, _ := strings.Cut(rest, `"} `)
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, err
		}
		out[reason] = uint64(n)
	}
	return out, nil
}

// cost is what the kernel has measured of Seawall's program.
type cost struct {
	Runs uint64        `json:"runs"`
	Ran  time.Duration `json:"ran"`
}

func readCost() (sum cost, err error) {
	if os.Getenv(envCost) == "" {
		return sum, nil
	}
	for id := ebpf.ProgramID(0); ; {
		if id, err = ebpf.ProgramGetNextID(id); errors.Is(err, os.ErrNotExist) {
			return sum, nil
		}
		if err != nil {
			return sum, err
		}
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // it has just gone
		}
		info, err := p.Info()
		if err == nil && info.Type == ebpf.XDP && info.Name == "seawall" {
			if s, err := p.Stats(); err == nil {
				sum.Runs += s.RunCount
				sum.Ran += s.Runtime
			}
		}
		p.Close()
	}
}
