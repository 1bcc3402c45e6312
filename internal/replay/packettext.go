package replay

import (
	"bufio"
	"fmt"
	"strings"
	"time"

	"seawall/internal/attack"
	"seawall/internal/kit/figures"
	"seawall/internal/mitigation"
)

// text tells what captures held.
func (p *Packets) text(w *bufio.Writer) {
	span := p.To.Sub(p.From)
	fmt.Fprintf(w, "%s packets from %s to %s (%s)", figures.Thousands(p.Read), stamp(p.From), stamp(p.To), length(span))
	if p.Late > 0 {
		fmt.Fprintf(w, "; %s more were out of order, and left out", figures.Thousands(p.Late))
	}
	fmt.Fprintf(w, ".\n")
	switch {
	case p.Times > 1:
		fmt.Fprintf(w, "They were not played in the time that the capture tells of, but %s a second, the capture %d times over.\n", figures.Thousands(p.Rate), p.Times)
	case p.Rate > 0:
		fmt.Fprintf(w, "They were not played in the time that the capture tells of, but %s a second.\n", figures.Thousands(p.Rate))
	case span < time.Second:
		fmt.Fprintf(w, "That is less than a second, over which rates are measured; --rate N --for 10s plays them N a second, over and over.\n")
	}
	fmt.Fprintf(w, "%s came in for %s, or without ports.\n", figures.Thousands(p.Judged), p.Protected)
	if p.All {
		fmt.Fprintf(w, "Nothing says which of them the site sent: all were taken to come in. --to says which addresses are protected.\n")
	}
	own := "sent by the site"
	if !p.Addressed {
		own = "from protected ports to others, and so taken for sent by the site"
	}
	for _, l := range []struct {
		n    uint64
		what string
	}{
		{p.Other, "to ports that are not protected" + p.ports()},
		{p.Own, own},
		{p.Elsewhere, "to addresses that are not protected"},
		{p.NotIP, "no IP"},
		{p.Cut, "cut so short in the capture that nothing can be said of them"},
	} {
		if l.n > 0 {
			fmt.Fprintf(w, "%s were left out: %s.\n", figures.Thousands(l.n), l.what)
		}
	}
	if p.Other > p.Judged || !p.Addressed && p.Own > 10*p.Judged { // more than any site answers
		fmt.Fprintf(w, "Were they meant? --ports says which ports are protected, or any; --to, which addresses are.\n")
	}
}

// ports are those that most of what was left out went to.
func (p *Packets) ports() string {
	if len(p.Ports) == 0 {
		return ""
	}
	var list []string
	for _, s := range p.Ports[:min(len(p.Ports), 3)] {
		list = append(list, fmt.Sprintf("%s (%s)", s.Key, figures.Thousands(s.Count)))
	}
	return ", most to " + strings.Join(list, ", ")
}

// length is a span of time, short ones exact enough to be told apart.
func length(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}

// floods tells of floods of packets.
func (r *Report) floods(w *bufio.Writer) {
	for i := range r.PacketAttacks {
		a := &r.PacketAttacks[i]
		fmt.Fprintf(w, "\n%d. %s: %s", len(r.Attacks)+i+1, floodName(a.Vector), plain(a.What))
		if a.Target != "" {
			fmt.Fprintf(w, ", to %s", a.Target)
		}
		fmt.Fprintf(w, "\n   %s", stamp(a.Since))
		if a.Ended != nil {
			fmt.Fprintf(w, " to %s\n", stamp(*a.Ended))
		} else {
			fmt.Fprintf(w, ", still running at the end\n")
		}
		fmt.Fprintf(w, "   at most %s packets a second, where %s are usual; %s in all\n",
			figures.Thousands(uint64(a.Peak)), figures.Thousands(uint64(a.Normal)), figures.Thousands(a.Packets))
		fmt.Fprintf(w, "   noticed after %v", a.Noticed.Sub(a.Since).Round(100*time.Millisecond))
		if a.Mitigated != nil {
			fmt.Fprintf(w, ", most of it stopped after %v\n", a.Mitigated.Sub(a.Since).Round(100*time.Millisecond))
		} else {
			fmt.Fprintf(w, "; most of it would not have been stopped\n")
		}
		for k, s := range a.Signatures {
			if k == 3 {
				fmt.Fprintf(w, "   and %d more of the kind\n", len(a.Signatures)-k)
				break
			}
			fmt.Fprintf(w, "   in common, for %.0f %% of what no rung stops: %s\n", 100*min(s.Coverage, 1), s.Match)
		}
	}
}

// packets tells of a mitigation of packets: what it met, and what ordinary packets it
// would have.
func (d *Done) packets(w *bufio.Writer, until string) {
	what := "drop"
	if d.Action < mitigation.Refuse {
		what = "count"
	}
	fmt.Fprintf(w, "%s to %s  %-9s %9s packets  %s\n", stamp(d.From), until, what, figures.Thousands(d.Packets), d.Match)
	if d.Ordinary == 0 {
		fmt.Fprintf(w, "    there were no ordinary packets to test it on: play an ordinary capture before\n")
		return
	}
	fmt.Fprintf(w, "    it hits %.2f %% of %s ordinary packets, and %.2f %% of those that ask for a connection\n",
		100*d.Collateral, figures.Thousands(d.Ordinary), 100*d.Openings)
}

// became tells what would have become of the packets, and where there was a flood what
// is not known of it.
func (p *Packets) became(w *bufio.Writer, flooded bool) {
	if p.Stopped+p.Strays == 0 {
		fmt.Fprintf(w, "\nNo packet would have been stopped.\n")
		return
	}
	share := 100 * float64(p.Stopped) / float64(max(p.Judged, 1))
	fmt.Fprintf(w, "\nWHAT WOULD HAVE BEEN STOPPED\n")
	fmt.Fprintf(w, "%s packets (%.2f %%) of %s that came in; %s let through\n", figures.Thousands(p.Stopped), share, figures.Thousands(p.Judged), figures.Thousands(p.Passed))
	if p.Strays > 0 {
		fmt.Fprintf(w, "and %s of %s to ports that are not protected\n", figures.Thousands(p.Strays), figures.Thousands(p.Other))
	}
	for i, s := range p.Reasons {
		what := ""
		if i == 0 {
			what = "why"
		}
		fmt.Fprintf(w, "%-24s %9s  %s\n", what, figures.Thousands(s.Count), reasonInWords(s.Key))
	}
	if flooded {
		fmt.Fprintf(w, "A running Seawall stops more: what is of no connection, and SYNs, which it answers with cookies.\n")
	}
}

// reasonInWords says why the filter stops packets.
func reasonInWords(name string) string {
	if text, ok := map[string]string{
		"length":       "malformed: headers that promise more or less than there is",
		"wrapped":      "malformed: more tags or extension headers than anybody needs",
		"source":       "malformed: from an address that nobody can have",
		"land":         "malformed: from itself to itself",
		"flags":        "malformed: TCP flags or ports that no stack sends",
		"bogon":        "from an address that is not reachable from the internet",
		"synack":       "answers to connections that nobody opened",
		"reflected":    "answers of UDP services that nobody asked",
		"tcp_fragment": "TCP in fragments",
		"fragments":    "more fragments than are allowed",
		"icmp":         "more ICMP than is allowed",
		"budget":       "sources that send more than any visitor",
		"initials":     "more beginnings of QUIC connections than are allowed",
		"signature":    "what a flood was found to have in common",
	}[name]; ok {
		return text
	}
	return name
}

func floodName(v attack.Vector) string {
	switch v {
	case attack.SynFlood:
		return "A SYN flood"
	case attack.Reflection:
		return "A reflected flood"
	}
	return "A flood of packets"
}
