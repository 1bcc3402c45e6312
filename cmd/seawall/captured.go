package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"seawall/internal/dashboard"
	"seawall/internal/kit/pcapng"
)

// captured is what came of a capture.
type captured struct {
	File      string     `json:"file,omitempty"`
	Packets   uint64     `json:"packets"` // in the file
	Of        uint64     `json:"of"`      // so many that there were
	Lost      uint64     `json:"lost"`    // samples
	Bytes     int64      `json:"bytes"`   // of the capture, before it is encrypted
	Encrypted bool       `json:"encrypted"`
	Ended     string     `json:"ended"` // why
	Deleted   *time.Time `json:"deleted,omitempty"`

	lasted time.Duration
	broken bool // it could not be written
}

// copyCapture copies a capture as far as it is whole. An error may come from
// either side; that of a writer is noted.
func copyCapture(to io.Writer, from io.Reader, p *progress) (got captured, err error) {
	begun := time.Now()
	defer func() {
		got.lasted = time.Since(begun)
		p.done()
	}()
	blocks := pcapng.NewBlocks(bufio.NewReader(from))
	for {
		kind, block, err := blocks.Next()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		if _, err := to.Write(block); err != nil {
			got.broken = true
			return got, err
		}
		got.Bytes += int64(len(block))
		switch kind {
		case pcapng.Enhanced:
			got.Packets++
		case pcapng.Statistics:
			s := pcapng.ReadTotals(block)
			got.Of, got.Lost = s.Received, s.Lost
		}
		p.show(&got)
	}
}

// text tells a person. read is the command that decrypts a file; "": it need not be.
func (g *captured) text(o dashboard.CaptureOrder, read string) string {
	var b strings.Builder
	were := "were stopped or passed"
	switch {
	case !o.Passed:
		were = "were stopped"
	case !o.Stopped:
		were = "passed"
	}
	fmt.Fprintf(&b, "%s in %v, %s bytes. It ended since %s.\n", packets(g.Packets), g.lasted.Round(time.Second), group(uint64(g.Bytes)), g.Ended)
	switch {
	case g.Packets == 0:
		fmt.Fprintf(&b, "None was sampled of about %s that %s.\n", packets(g.Of), were)
	case g.Of > g.Packets:
		fmt.Fprintf(&b, "They stand for about %s that %s: one of %s.\n", packets(g.Of), were, group((g.Of+g.Packets/2)/g.Packets))
	default:
		fmt.Fprintf(&b, "They are all that %s and could be sampled.\n", were)
	}
	if g.Lost > 0 {
		fmt.Fprintf(&b, "%s more samples were lost, since they came too fast.\n", group(g.Lost))
	}
	if g.File == "" {
		return b.String()
	}
	fmt.Fprintf(&b, "File: %s\nRead it: ", g.File)
	if read == "" {
		fmt.Fprintf(&b, "tcpdump -nn -r '%s'\n", g.File)
	} else {
		fmt.Fprintf(&b, "%s'%s' | tcpdump -nn -r -\n", read, g.File)
	}
	if g.Deleted != nil {
		fmt.Fprintf(&b, "Seawall deletes it on %s.\n", g.Deleted.Local().Format("2 January 2006 at 15:04"))
	} else {
		fmt.Fprintln(&b, "Seawall does not delete it there: delete it yourself within seven days.")
	}
	return b.String()
}

func packets(n uint64) string {
	if n == 1 {
		return "1 packet"
	}
	return group(n) + " packets"
}

// progress tells a person at a terminal how a capture goes, once a second.
type progress struct {
	to    io.Writer // nil: nobody looks
	until time.Time
	told  time.Time
}

func newProgress(to io.Writer, last time.Duration) *progress {
	p := &progress{until: time.Now().Add(last)}
	if f, ok := to.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.to = to
	}
	return p
}

// show is called at least once a second: the running Seawall says how the capture
// stands that often.
func (p *progress) show(g *captured) {
	now := time.Now()
	if p.to == nil || now.Sub(p.told) < 900*time.Millisecond {
		return
	}
	p.told = now
	fmt.Fprintf(p.to, "\r\x1b[K%s, %s bytes, %.0f s left; Ctrl-C ends it and keeps what is there",
		packets(g.Packets), group(uint64(g.Bytes)), max(p.until.Sub(now).Seconds(), 0))
}

func (p *progress) done() {
	if p.to != nil && !p.told.IsZero() {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
