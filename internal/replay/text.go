package replay

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"seawall/internal/attack"
)

// Text writes the report for people.
func (r *Report) Text(out io.Writer) error {
	w := &writer{to: out}
	for _, f := range r.Files {
		if f.Skipped != "" {
			w.say("%s: left out: %s\n", f.Name, f.Skipped)
			continue
		}
		w.say("%s: %s lines (%s)", f.Name, thousands(f.Lines), f.Form)
		if f.Bad > 0 {
			w.say(", %s could not be read", thousands(f.Bad))
		}
		w.say("\n")
		if f.Cut != "" {
			w.say("  it ends in its midst: %s\n", f.Cut)
		}
		for _, b := range f.Examples {
			w.say("  line %d: %s: %q\n", b.Line, b.Why, b.Text)
		}
	}
	span := r.To.Sub(r.From)
	w.say("%s requests from %s to %s (%v)", thousands(r.Requests.All), stamp(r.From), stamp(r.To), span.Round(time.Second))
	if r.Late > 0 {
		w.say("; %s more were out of order, and left out", thousands(r.Late))
	}
	w.say(".\n\n")

	switch {
	case len(r.Attacks) > 0:
		w.say("ATTACKS: %d\n", len(r.Attacks))
	case r.Crowds > 0:
		w.say("No attack. ")
	default:
		w.say("No attack.\n")
	}
	for _, s := range r.Steps {
		if len(r.Attacks) == 0 && strings.Contains(s.Text, "at a glance") {
			w.say("Unusually much came all the same, at %s: %s\n", stamp(s.At), plain(s.Text))
			break
		}
	}
	if r.Crowds > 0 {
		w.say("Many visitors at once, which nobody is refused for: %d times.\n", r.Crowds)
	}
	for i := range r.Attacks {
		a := &r.Attacks[i]
		w.say("\n%d. %s", i+1, name(a.Vector))
		if a.Finding.What != "" {
			w.say(": %s", plain(a.Finding.What))
		}
		w.say("\n   %s", stamp(a.Since))
		if a.Ended != nil {
			w.say(" to %s\n", stamp(*a.Ended))
		} else {
			w.say(", still running at the end\n")
		}
		w.say("   at most %.0f requests a second, where %.0f are usual; %s in all\n", a.Peak, a.Normal, thousands(a.Offered))
		w.say("   noticed after %v", a.Noticed.Sub(a.Since).Round(100*time.Millisecond))
		if a.Mitigated != nil {
			w.say(", something done about it after %v\n", a.Mitigated.Sub(a.Since).Round(100*time.Millisecond))
		} else {
			w.say("; nothing would have been done about it\n")
		}
		for k, s := range a.Signatures {
			if k == 3 {
				w.say("   and %d more of the kind\n", len(a.Signatures)-k)
				break
			}
			w.say("   in common, for %.0f %%: %s\n", 100*min(s.Coverage, 1), s.Match)
		}
	}
	r.done(w)
	r.hit(w)
	w.say("\n%s lines a second.\n", thousands(uint64(float64(r.Requests.All)/max(r.Took.Seconds(), 1e-9))))
	return w.err
}

func (r *Report) done(w *writer) {
	if len(r.Done) == 0 {
		return
	}
	bans := 0
	w.say("\nWHAT WOULD HAVE BEEN DONE\n")
	for i := range r.Done {
		d := &r.Done[i]
		if strings.HasPrefix(d.Match, "client.within(") {
			bans++
			continue
		}
		until := "the end"
		if d.Until != nil {
			until = d.Until.UTC().Format(time.TimeOnly)
		}
		w.say("%s to %s  %-7s %9s requests  %s\n", stamp(d.From), until, d.Action, thousands(d.Requests), d.Match)
	}
	if bans > 0 {
		w.say("and %s banned that went on after being refused many times\n", plural(bans, "client"))
	}
}

func (r *Report) hit(w *writer) {
	if r.Requests.Refused+r.Requests.Slowed == 0 {
		w.say("\nNobody would have been refused or slowed.\n")
		return
	}
	share := func(n, of uint64) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	w.say("\nWHOM IT WOULD HAVE HIT\n")
	w.say("%s requests refused (%.2f %%) and %s slowed, of %s\n", thousands(r.Requests.Refused), share(r.Requests.Refused, r.Requests.All), thousands(r.Requests.Slowed), thousands(r.Requests.All))
	w.say("%s of %s clients; of %s that had come for ten minutes before: %s\n",
		thousands(r.Hit.Refused), thousands(r.Hit.Clients), thousands(r.Hit.Regulars), thousands(r.Hit.RegularsR))
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
			w.say("%-24s %9s  %s\n", what, thousands(s.Count), plain(key))
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

func name(v attack.Vector) string {
	if v == attack.HTTPFlood {
		return "A flood of requests"
	}
	return string(v)
}

func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) }

// writer keeps the first error.
type writer struct {
	to  io.Writer
	err error
}

func (w *writer) say(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.to, format, args...)
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(uint64(n)) + " " + what + "s"
}

func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
