package accuracy

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strings"
)

// wilson is the 95 % score interval (Wilson 1927) of a share.
func wilson(n, of int) (low, up float64) {
	if of == 0 {
		return 0, 1
	}
	const z = 1.96
	p, m := float64(n)/float64(of), float64(of)
	mid := (p + z*z/(2*m)) / (1 + z*z/m)
	dev := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	if low = max(mid-dev, 0); n == 0 {
		low = 0 // but for rounding
	}
	return low, min(mid+dev, 1)
}

// Table writes the report for people.
func (r *Report) Table(out io.Writer) error {
	w := bufio.NewWriter(out) // keeps the first error
	fmt.Fprintf(w, "On our generated scenarios, seed %d. Counts first; of the share, the 95 %% interval.\n\n", r.Seed)
	fmt.Fprintf(w, "%-46s %-8s %-9s %-17s %s\n", "flood", "noticed", "mitigated", "stopped", "ordinary requests refused, challenged, slowed, unserved")
	for _, row := range r.Rows {
		if row.Attack {
			fmt.Fprintf(w, "%-46s %-8s %-9s %7d of %-7d %d, %d, %d and %d of %d\n", row.mark(), when(row.Noticed, row.Notice), when(row.Mitigated, row.Mitigate),
				row.Stopped, row.Flood, row.Refused, row.Asked, row.Slowed, row.Unserved, row.Ordinary)
		}
	}
	fmt.Fprintf(w, "\n%-46s %-8s %-9s %s\n", "no attack", "alarms", "found", "ordinary requests refused, challenged, slowed, unserved")
	for _, row := range r.Rows {
		if !row.Attack {
			fmt.Fprintf(w, "%-46s %-8d %-9s %d, %d, %d and %d of %d\n", row.mark(), row.FalseAlarm, row.finds(), row.Refused, row.Asked, row.Slowed, row.Unserved, row.Ordinary)
		}
	}
	r.packets(w)
	r.connections(w)
	fmt.Fprintf(w, "\n* held out: nobody looks at these when a detector is changed\n")
	for _, l := range []struct {
		name string
		s    *Score
		p    *PacketScore
		l    *LinkScore
	}{{"all", &r.All, &r.PacketsAll, &r.LinksAll}, {"not held out", &r.Tuned, &r.PacketsTuned, &r.LinksTuned}, {"held out", &r.HeldOut, &r.PacketsHeldOut, &r.LinksHeldOut}} {
		fmt.Fprintf(w, "\n%s\n", strings.ToUpper(l.name))
		s := l.s
		for _, c := range []struct {
			what string
			c    Count
		}{
			{"floods noticed", s.Attacks}, {"floods that something was done about", s.Mitigated}, {"of the flood's requests, stopped", s.Stopped},
			{"found, of what is no attack but to be known", s.Found}, {"something found that was not there", s.Besides},
			{"false alarms, of scenarios without attack", s.Alarms}, {"of those, with a request refused", s.Met},
			{"ordinary requests refused", s.Refused}, {"ordinary requests challenged", s.Asked}, {"ordinary requests slowed", s.Slowed},
			{"let in during a flood, and not served", s.Unserved}, {"visitors with a request refused", s.Touched},
		} {
			fmt.Fprintf(w, "  %-42s %9d of %-9d %s\n", c.what, c.c.N, c.c.Of, c.c.share())
		}
		fmt.Fprintf(w, "  %-42s %.1f s and %.1f s\n", "noticed and mitigated within, 95th percentile", s.Notice95, s.Mitig95)
		p := l.p
		for _, c := range []struct {
			what string
			c    Count
		}{
			{"floods of packets noticed", p.Attacks}, {"floods of packets of which half was stopped", p.Mitigated}, {"of their packets, stopped", p.Stopped},
			{"false alarms, without such a flood", p.Alarms}, {"people's packets stopped", p.Lost},
		} {
			fmt.Fprintf(w, "  %-42s %9d of %-9d %s\n", c.what, c.c.N, c.c.Of, c.c.share())
		}
		fmt.Fprintf(w, "  %-42s %.1f s and %.1f s\n", "noticed and half of it gone within, 95th p.", p.Notice95, p.Mitig95)
		k := l.l
		for _, c := range []struct {
			what string
			c    Count
		}{
			{"attacks on connections noticed", k.Attacks}, {"named for what they are", k.Named}, {"of their connections, not taken or ended", k.Stopped},
			{"something found, without such an attack", k.Alarms}, {"of those, with somebody touched", k.Met},
			{"ordinary connections not taken or ended", k.Touched}, {"requests during an attack not served", k.Unserved},
		} {
			fmt.Fprintf(w, "  %-42s %9d of %-9d %s\n", c.what, c.c.N, c.c.Of, c.c.share())
		}
		fmt.Fprintf(w, "  %-42s %.1f s\n", "noticed within, 95th percentile", k.Notice95)
	}
	return w.Flush()
}

// packets writes the scenarios of packets.
func (r *Report) packets(w *bufio.Writer) {
	fmt.Fprintf(w, "\n%-46s %-8s %-9s %-17s %s\n", "flood of packets", "noticed", "half gone", "stopped", "people's packets stopped")
	for i := range r.Packets {
		if p := &r.Packets[i]; p.Attack {
			fmt.Fprintf(w, "%-46s %-8s %-9s %7d of %-7d %d of %d\n", p.mark(), when(p.Noticed, p.Notice), when(p.Mitigated, p.Mitigate), p.Stopped, p.Flood, p.Lost, p.Ordinary)
		}
	}
	fmt.Fprintf(w, "\n%-46s %-8s %-9s %-17s %s\n", "no flood of packets", "alarms", "", "", "people's packets stopped")
	for i := range r.Packets {
		if p := &r.Packets[i]; !p.Attack {
			fmt.Fprintf(w, "%-46s %-8d %-9s %-17s %d of %d\n", p.mark(), p.Alarms, "", "", p.Lost, p.Ordinary)
		}
	}
}

// connections writes the scenarios of connections.
func (r *Report) connections(w *bufio.Writer) {
	fmt.Fprintf(w, "\n%-46s %-8s %-8s %-17s %-25s %s\n", "attack on connections", "noticed", "as it is", "not taken, ended", "by", "people's connections; requests refused, unserved")
	for i := range r.Links {
		if k := &r.Links[i]; k.Attack {
			fmt.Fprintf(w, "%-46s %-8s %-8s %7d of %-7d %-25s %d of %d; %d and %d of %d\n", k.mark(), when(k.Noticed, k.Notice), yes(k.Named), k.Stopped, k.Links,
				k.does(), k.Touched, k.Ordinary, k.Refused, k.Unserved, k.Requests)
		}
	}
	fmt.Fprintf(w, "\n%-46s %-61s %s\n", "no attack on connections", "found", "people's connections; requests refused, unserved")
	for i := range r.Links {
		if k := &r.Links[i]; !k.Attack {
			fmt.Fprintf(w, "%-46s %-61s %d of %d; %d and %d of %d\n", k.mark(), strings.Join(k.Found, ", "), k.Touched, k.Ordinary, k.Refused, k.Unserved, k.Requests)
		}
	}
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func (k *LinkRow) mark() string {
	if k.HeldOut {
		return k.Name + " *"
	}
	return k.Name
}

func (p *PacketRow) mark() string {
	if p.HeldOut {
		return p.Name + " *"
	}
	return p.Name
}

func (r *Row) mark() string {
	if r.HeldOut {
		return r.Name + " *"
	}
	return r.Name
}

// finds is when what was to be found was, and else what was found that was not there.
func (r *Row) finds() string {
	switch {
	case len(r.Besides) > 0:
		return strings.Join(r.Besides, ",")
	case r.Finding == "":
		return ""
	}
	return when(r.Found, r.Find)
}

func when(did bool, seconds float64) string {
	if !did {
		return "never"
	}
	return fmt.Sprintf("%.1f s", seconds)
}

func (c Count) share() string {
	if c.Of == 0 {
		return "none"
	}
	return fmt.Sprintf("%.3g %% (%.3g to %.3g)", 100*float64(c.N)/float64(c.Of), 100*c.Low, 100*c.Up)
}
