package demo

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"seawall/internal/demo/flood"
	"seawall/internal/demo/site"
)

// The roles that Run starts this program in.
const (
	roleSite   = "site"
	roleFlood  = "flood"
	roleSpread = "spread"
	// RoleRun reads Options from a line of standard input, runs the demo and
	// prints the Summary as JSON. Measurements are made of it.
	RoleRun = "run"
)

// RunRole plays a role: it reads a line of JSON from in, and answers in lines of
// JSON on out. It ends with ctx, and when in ends.
func RunRole(ctx context.Context, role string, in io.Reader, out io.Writer, env Env) error {
	switch role {
	case roleSite, roleFlood, roleSpread, RoleRun:
	default:
		return fmt.Errorf("%q is no role of the demo", role)
	}
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("role %s: read what to do: %w", role, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	switch role {
	case roleSite:
		var s SiteSpec
		if err := json.Unmarshal(line, &s); err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
		go endWith(r, cancel)
		return RunSite(ctx, s, func(a SiteAddrs) error { return json.NewEncoder(out).Encode(a) })
	case roleFlood, roleSpread:
		var s FloodSpec
		if err := json.Unmarshal(line, &s); err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
		if _, err := fmt.Fprintln(out, `{"ready":true}`); err != nil {
			return err
		}
		if _, err := r.ReadBytes('\n'); err != nil {
			return nil // told to end before it began
		}
		go endWith(r, cancel)
		return RunFlood(ctx, s, func(c flood.Counts) { _ = json.NewEncoder(out).Encode(c) })
	default:
		var o Options
		if err := json.Unmarshal(line, &o); err != nil {
			return fmt.Errorf("role %s: %w", role, err)
		}
		go endWith(r, cancel)
		o.JSON = true
		env.Out, env.Terminal = out, false
		_, err := Run(ctx, o, env)
		return err
	}
}

// endWith cancels once in ends: whoever started this process has gone.
func endWith(in io.Reader, cancel context.CancelFunc) {
	_, _ = io.Copy(io.Discard, in)
	cancel()
}

// SiteSpec says how to run the campaign site.
type SiteSpec struct {
	Listen      string      `json:"listen"`       // loopback
	StatsListen string      `json:"stats_listen"` // loopback; "" serves no stats
	Relay       bool        `json:"relay"`        // connections begin with a PROXY header
	Config      site.Config `json:"config"`
}

// SiteAddrs is where the site listens.
type SiteAddrs struct {
	Site  string `json:"site"`
	Stats string `json:"stats"`
}

// mostConnections is how many connections the site takes; others wait in the
// kernel's queue.
const mostConnections = 4000

// RunSite serves the campaign site until ctx ends. ready is called once it
// listens.
func RunSite(ctx context.Context, spec SiteSpec, ready func(SiteAddrs) error) error {
	s, err := site.New(spec.Config, time.Now())
	if err != nil {
		return err
	}
	l, err := listenLoopback(spec.Listen)
	if err != nil {
		return fmt.Errorf("campaign site: %w", err)
	}
	addrs := SiteAddrs{Site: l.Addr().String()}
	var front net.Listener = &limited{Listener: l, free: make(chan struct{}, mostConnections)}
	if spec.Relay {
		front = relayListener{front}
	}
	servers := []*http.Server{{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}}
	listeners := []net.Listener{front}
	if spec.StatsListen != "" {
		stats, err := listenLoopback(spec.StatsListen)
		if err != nil {
			_ = l.Close()
			return fmt.Errorf("campaign site's numbers: %w", err)
		}
		addrs.Stats = stats.Addr().String()
		servers = append(servers, &http.Server{Handler: s.StatsHandler(), ReadHeaderTimeout: 10 * time.Second})
		listeners = append(listeners, stats)
	}
	failed := make(chan error, len(servers))
	for i, srv := range servers {
		go func() { failed <- srv.Serve(listeners[i]) }()
	}
	err = ready(addrs)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	for _, srv := range servers {
		_ = srv.Close()
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func listenLoopback(addr string) (net.Listener, error) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("%q is no address with a port: %w", addr, err)
	}
	if !a.Addr().Unmap().IsLoopback() {
		return nil, fmt.Errorf("%s: %w", addr, flood.ErrNotLoopback)
	}
	return net.Listen("tcp", addr)
}

// limited accepts no more connections at once than free has room for.
type limited struct {
	net.Listener
	free chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: c, free: l.free}, nil
}

type limitedConn struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() { <-c.free })
	return c.Conn.Close()
}

// FloodSpec says how to flood.
type FloodSpec struct {
	Kind    Kind          `json:"kind"`
	Guise   Guise         `json:"guise,omitempty"` // of Wide
	Target  string        `json:"target"`          // loopback
	Host    string        `json:"host"`
	Length  time.Duration `json:"length"`
	Sources []netip.Addr  `json:"sources"` // of Heavy and Wide

	Requests uint64  `json:"requests"` // of One, Rotate and Many
	Rate     float64 `json:"rate"`     // of One, Rotate and Many, in all
}

// The two botnets of the demo. How many connections a bot may have bounds how
// many of its requests can wait: 40 are most of a second's worth, so that it goes
// on at nearly its rate against a site that has become slow.
const (
	heavySources, heavyRate, heavyConns = 200, 50, 40
	wideSources, wideRate, wideConns    = 2000, 2, 2
)

// botPatience is how long a bot waits for an answer.
const botPatience = 10 * time.Second

// RunFlood floods until it is done or ctx ends. For the botnets, it takes the whole process
// for its own.
func RunFlood(ctx context.Context, s FloodSpec, report func(flood.Counts)) error {
	switch s.Kind {
	case Heavy, Wide:
		// Bots bring processors of their own, and do not take those of whom they flood. One
		// is enough for these, and leaves the others to who is measured.
		runtime.GOMAXPROCS(1)
		to, err := flood.Resolve(ctx, s.Target)
		if err != nil {
			return err
		}
		cfg := flood.Config{
			Target: s.Target, Sources: s.Sources, Length: s.Length, Patience: botPatience,
			Heads: heads(s.Host), Preface: preface(to), Every: tickEvery,
			Rate: heavyRate, Connections: heavyConns,
		}
		if s.Kind == Wide {
			cfg.Rate, cfg.Connections = wideRate, wideConns
		}
		if err := dress(&cfg, s.Guise); err != nil {
			return err
		}
		_, err = flood.Run(ctx, cfg, report)
		return err
	case One, Rotate, Many:
		cfg := flood.SpreadConfig{
			Target: s.Target, Requests: s.Requests, Rate: s.Rate, Length: s.Length,
			Connections: 32, Batch: 32, Every: tickEvery, Append: spreadHead(s.Kind, s.Host),
		}
		if s.Rate > 0 {
			// Small batches on few connections keep a low rate even.
			cfg.Connections, cfg.Batch = 4, 4
		}
		if cfg.Requests == 0 {
			cfg.Requests = flood.MostRequests
		}
		_, err := flood.Spread(ctx, cfg, report)
		return err
	}
	return fmt.Errorf("%q is no kind of flood", s.Kind)
}

// spreadAgent is what the floods of spreadHead call themselves.
const spreadAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"

// spreadHead returns how request i of a flood that tells its addresses by
// X-Forwarded-For reads.
func spreadHead(kind Kind, host string) func([]byte, uint64) []byte {
	return func(b []byte, i uint64) []byte {
		b = append(b, "GET / HTTP/1.1\r\nHost: "...)
		b = append(b, host...)
		b = append(b, "\r\nUser-Agent: "+spreadAgent+"\r\nAccept: text/html,*/*;q=0.8\r\nX-Forwarded-For: "...)
		b = spreadAddr(kind, i).AppendTo(b)
		return append(b, "\r\n\r\n"...)
	}
}

// spreadAddr is the client of request i. One is always the same; Rotate goes
// through the 65,536 /64s of one /48; Many goes through the IPv4 Internet in an
// order without repetition.
func spreadAddr(kind Kind, i uint64) netip.Addr {
	if kind == Many {
		// Multiplying by a number without common divisors permutes the offsets
		// from 1.0.0.0 to 223.255.255.255, 127.0.0.0/8 left out: 222 blocks.
		const blocks, factor = 222 << 24, 2654435761
		n := uint32(i*factor%blocks) + 1<<24
		if n >= 127<<24 {
			n += 1 << 24
		}
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
	}
	// 2a0a:9cc0::/48 stands for a rented block.
	b := [16]byte{0x2a, 0x0a, 0x9c, 0xc0, 15: 1}
	if kind == Rotate {
		binary.BigEndian.PutUint16(b[6:], uint16(i*40503))
		binary.BigEndian.PutUint64(b[8:], i|1)
	}
	return netip.AddrFrom16(b)
}
