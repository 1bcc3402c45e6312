package replay

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"seawall/internal/kit/figures"
)

// Text writes the report for people.
func (r *Report) Text(out io.Writer) error {
	w := bufio.NewWriter(out) // keeps the first error
	for _, f := range r.Files {
		if f.Skipped != "" {
			fmt.Fprintf(w, "%s: left out: %s\n", f.Name, f.Skipped)
			continue
		}
		if f.capture {
			fmt.Fprintf(w, "%s: %s packets (%s)", f.Name, figures.Thousands(f.Packets), f.Form)
		} else {
			fmt.Fprintf(w, "%s: %s lines (%s)", f.Name, figures.Thousands(f.Lines), f.Form)
		}
		if f.Bad > 0 {
			fmt.Fprintf(w, ", %s could not be read", figures.Thousands(f.Bad))
		}
		fmt.Fprintf(w, "\n")
		if f.Cut != "" {
			fmt.Fprintf(w, "  it ends in its midst: %s\n", f.Cut)
		}
		for _, b := range f.Examples {
			if f.capture {
				fmt.Fprintf(w, "  packet %d: %s\n", b.Packet, b.Why)
				continue
			}
			fmt.Fprintf(w, "  line %d: %s: %q\n", b.Line, b.Why, b.Text)
		}
	}
	if r.Packets != nil {
		r.Packets.text(w)
	}
	if r.logs() {
		r.span(w)
	}
	fmt.Fprintf(w, "\n")
	r.attacks(w)
	r.floods(w)
	r.findings(w)
	r.done(w)
	if r.logs() {
		r.hit(w)
	}
	if r.Packets != nil {
		r.Packets.became(w, len(r.PacketAttacks) > 0)
	}
	each := func(n uint64) string {
		return figures.Thousands(uint64(float64(n) / max(r.Took.Seconds(), 1e-9)))
	}
	switch {
	case r.Packets == nil:
		fmt.Fprintf(w, "\n%s lines a second.\n", each(r.Requests.All))
	case r.logs():
		fmt.Fprintf(w, "\n%s lines and %s packets a second.\n", each(r.Requests.All), each(r.Packets.Read))
	default:
		fmt.Fprintf(w, "\n%s packets a second.\n", each(r.Packets.Read))
	}
	return w.Flush()
}

// logs says that there were logs.
func (r *Report) logs() bool { return r.Packets == nil || r.Requests.All > 0 }

// span tells of the requests.
func (r *Report) span(w *bufio.Writer) {
	span := r.To.Sub(r.From)
	fmt.Fprintf(w, "%s requests from %s to %s (%v)", figures.Thousands(r.Requests.All), stamp(r.From), stamp(r.To), span.Round(time.Second))
	if r.Late > 0 {
		fmt.Fprintf(w, "; %s more were out of order, and left out", figures.Thousands(r.Late))
	}
	fmt.Fprintf(w, ".\n")
}

// attacks tells of floods of requests, and how many attacks there are in all.
func (r *Report) attacks(w *bufio.Writer) {
	all := len(r.Attacks) + len(r.PacketAttacks)
	switch {
	case all > 0:
		fmt.Fprintf(w, "ATTACKS: %d\n", all)
	case r.Crowds > 0:
		fmt.Fprintf(w, "No attack. ")
	default:
		fmt.Fprintf(w, "No attack.\n")
	}
	for _, s := range r.Steps {
		if all+r.Crowds+len(r.Findings) == 0 && s.Step == "detect" {
			fmt.Fprintf(w, "Unusually much came all the same, at %s: %s\n", stamp(s.At), plain(s.Text))
			break
		}
	}
	if r.Crowds > 0 {
		fmt.Fprintf(w, "Many visitors at once, which nobody is refused for: %d times.\n", r.Crowds)
	}
	for i := range r.Attacks {
		a := &r.Attacks[i]
		fmt.Fprintf(w, "\n%d. %s", i+1, a.Vector.Title())
		if a.Finding.What != "" {
			fmt.Fprintf(w, ": %s", plain(a.Finding.What))
		}
		fmt.Fprintf(w, "\n   %s", stamp(a.Since))
		if a.Ended != nil {
			fmt.Fprintf(w, " to %s\n", stamp(*a.Ended))
		} else {
			fmt.Fprintf(w, ", still running at the end\n")
		}
		fmt.Fprintf(w, "   at most %.0f requests a second, where %.0f are usual; %s in all\n", a.Peak, a.Normal, figures.Thousands(a.Offered))
		fmt.Fprintf(w, "   noticed after %v", a.Noticed.Sub(a.Since).Round(100*time.Millisecond))
		if a.Mitigated != nil {
			fmt.Fprintf(w, ", something done about it after %v\n", a.Mitigated.Sub(a.Since).Round(100*time.Millisecond))
		} else {
			fmt.Fprintf(w, "; nothing would have been done about it\n")
		}
		for k, s := range a.Signatures {
			if k == 3 {
				fmt.Fprintf(w, "   and %d more of the kind\n", len(a.Signatures)-k)
				break
			}
			fmt.Fprintf(w, "   in common, for %.0f %%: %s\n", 100*min(s.Coverage, 1), s.Match)
		}
	}
}

func (r *Report) findings(w *bufio.Writer) {
	if len(r.Findings) == 0 {
		return
	}
	fmt.Fprintf(w, "\nFOUND BESIDES\n")
	for i := range r.Findings {
		if i == 20 {
			fmt.Fprintf(w, "and %d more\n", len(r.Findings)-i)
			break
		}
		f := &r.Findings[i]
		until := "the end"
		if f.Until != nil {
			until = f.Until.UTC().Format(time.TimeOnly)
		}
		fmt.Fprintf(w, "%s to %s  %s: %s\n", stamp(f.Since), until, f.Vector.Title(), plain(f.What))
	}
}

func (r *Report) done(w *bufio.Writer) {
	if len(r.Done) == 0 {
		return
	}
	bans := 0
	fmt.Fprintf(w, "\nWHAT WOULD HAVE BEEN DONE\n")
	for i := range r.Done {
		d := &r.Done[i]
		if d.Rule == "" && strings.HasPrefix(d.Match, "client.within(") {
			bans++
			continue
		}
		until := "the end"
		if d.Until != nil {
			until = d.Until.UTC().Format(time.TimeOnly)
		}
		if d.OfPackets {
			d.packets(w, until)
			continue
		}
		fmt.Fprintf(w, "%s to %s  %-9s %9s requests  %s%s\n", stamp(d.From), until, d.Action, figures.Thousands(d.Requests), d.Match, d.rule())
	}
	if bans > 0 {
		fmt.Fprintf(w, "and %s banned that went on after being refused many times\n", plural(bans, "client"))
	}
}

// rule says of a rule that it is one.
func (d *Done) rule() string {
	switch {
	case d.Rule == "":
		return ""
	case d.DryRun:
		return " (rule " + d.Rule + ", on a dry run)"
	}
	return " (rule " + d.Rule + ")"
}

func (r *Report) hit(w *bufio.Writer) {
	if r.Requests.Refused+r.Requests.Slowed+r.Requests.Challenged == 0 {
		fmt.Fprintf(w, "\nNobody would have been refused or slowed.\n")
		return
	}
	asked := ""
	if r.Requests.Challenged > 0 {
		asked = fmt.Sprintf(", %s asked to come back with a cookie", figures.Thousands(r.Requests.Challenged))
	}
	share := func(n, of uint64) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	fmt.Fprintf(w, "\nWHOM IT WOULD HAVE HIT\n")
	fmt.Fprintf(w, "%s requests refused (%.2f %%)%s and %s slowed, of %s\n", figures.Thousands(r.Requests.Refused), share(r.Requests.Refused, r.Requests.All), asked, figures.Thousands(r.Requests.Slowed), figures.Thousands(r.Requests.All))
	fmt.Fprintf(w, "%s of %s clients; of %s that had come for ten minutes before: %s\n",
		figures.Thousands(r.Hit.Refused), figures.Thousands(r.Hit.Clients), figures.Thousands(r.Hit.Regulars), figures.Thousands(r.Hit.RegularsR))
	for _, l := range []struct {
		what string
		list []Share
	}{{"why", r.Hit.Reasons}, {"addresses registered in", r.Hit.Countries}, {"programs", r.Hit.Agents}, {"paths", r.Hit.Paths}} {
		for i, s := range l.list[:min(len(l.list), 5)] {
			what := l.what
			if i > 0 {
				what = ""
			}
			key := s.Key
			if key == "" {
				key = "(none)"
			}
			fmt.Fprintf(w, "%-24s %9s  %s\n", what, figures.Thousands(s.Count), plain(key))
		}
	}
}

// plain is what a stranger wrote, cut, without what a terminal would obey.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(s, "."))
	if r := []rune(s); len(r) > 100 {
		return string(r[:100])
	}
	return s
}

func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return figures.Thousands(uint64(n)) + " " + what + "s"
}
