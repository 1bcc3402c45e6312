package demo

import (
	"cmp"
	"fmt"
	"maps"
	"seawall/internal/kit/figures"
	"slices"
	"strings"
	"time"
)

// print writes the summary, for people or as JSON.
func (sum Summary) print(o Options, env Env) error {
	if o.JSON {
		b, err := sum.JSON()
		if err != nil {
			return err
		}
		_, err = env.Out.Write(b)
		return err
	}
	_, err := fmt.Fprint(env.Out, sum.Text())
	return err
}

// Text is the summary for people.
func (sum Summary) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("")
	line("What happened")
	v := sum.Visitors
	if v.Number > 0 {
		line("  visitors             served      half within   99 %% within")
		for _, row := range []struct {
			name string
			f    Felt
		}{{"before", v.Quiet}, {during(sum.Kind), v.During}, {"after", v.After}, {"newcomers meanwhile", v.Newcomers}} {
			if row.f.Meant > 0 {
				line("  %-20s %6.2f %%   %8.0f ms   %8.0f ms%s", row.name, 100*row.f.Share, row.f.P50, row.f.P99, wrongs(row.f))
			}
		}
	}
	if f := sum.Flood; f != nil {
		line("  flood                %s requests at %s/s%s", figures.Thousands(f.Sent), figures.Thousands(uint64(f.Rate)), from(f))
		if f.Sent < f.Meant*9/10 {
			line("                       %s were meant; the bots' connections were all waiting for answers", figures.Thousands(f.Meant))
		}
		line("                       %s refused, %s reached the site (%s after the first 2 s)",
			percent(f.RefusedShare), percent(f.ReachedShare), percent(f.ReachedLate))
		if f.Stemmed >= 0 && sum.Front != FrontNone {
			line("                       by the site's own count stemmed after %.1f s", f.Stemmed)
		}
	}
	sum.Shield.text(line)
	if sum.Shield == nil && sum.Front == FrontNone {
		line("  Seawall              was not there")
	}
	line("")
	return b.String()
}

func (h *Shield) text(line func(string, ...any)) {
	if h == nil {
		return
	}
	switch {
	case h.Attacks == 0:
		line("  Seawall              called nothing an attack")
	case h.Mitigated < 0:
		line("  Seawall              noticed %.2f s after the first request, but did not mitigate", h.Noticed)
	default:
		line("  Seawall              noticed after %.2f s, mitigated after %.2f s", h.Noticed, h.Mitigated)
	}
	switch {
	case h.Withdrawn >= 0 && h.Attacks > 0:
		line("                       undid everything by itself %.0f s after the end", h.Withdrawn)
	case h.Withdrawn < 0:
		line("                       was still doing something when this ended")
	}
	if len(h.Countries) > 0 {
		line("                       refused addresses registered in %s", countries(h.Countries))
	}
	did, bans := fold(h.Did)
	hit, idle := 0, 0
	for _, d := range did {
		if d.Hits == 0 || hit == showDid {
			idle++
			continue
		}
		hit++
		line("                       #%d %s %s (%s requests met it)", d.ID, d.Action, short(d.Match), figures.Thousands(d.Hits))
	}
	if idle > 0 {
		line("                       and %d more that met little or nothing", idle)
	}
	if bans.n > 0 {
		line("                       refused %s (%s requests met that)", bans, figures.Thousands(bans.hits))
	}
	line("                       used %.0f MB of memory at most and %.2f of a processor", float64(h.PeakRSS)/1e6, h.CPU)
	if len(h.Records) > 0 {
		line("")
		line("What Seawall says it did")
		for _, r := range gather(h.Records) {
			line("  %s  %-8s %s%s", r.At.Local().Format("15:04:05.0"), r.Step, short(r.Text), r.andMore())
		}
	}
}

// short cuts an expression to what fits on a line or two; the JSON has it whole.
func short(match string) string {
	const most = 180
	if r := []rune(match); len(r) > most {
		return string(r[:most]) + "..."
	}
	return match
}

// banned sums up mitigations about single clients.
type banned struct {
	n    int
	hits uint64
}

func (b banned) String() string {
	if b.n == 1 {
		return "1 client by its address"
	}
	return figures.Thousands(uint64(b.n)) + " clients by their addresses"
}

// fold takes the mitigations about single clients, of which there can be
// hundreds, out of a list and sums them up.
func fold(list []doing) (rest []doing, bans banned) {
	for _, d := range list {
		if d.Action == "refuse" && strings.HasPrefix(d.Match, "client.within(") && !strings.Contains(d.Match, "&&") {
			bans.n++
			bans.hits += d.Hits
			continue
		}
		rest = append(rest, d)
	}
	// What meets most comes first.
	slices.SortStableFunc(rest, func(a, b doing) int { return cmp.Compare(b.Hits, a.Hits) })
	return rest, bans
}

// gathered is a record with those like it that followed at once.
type gathered struct {
	record
	more int
}

func (g gathered) andMore() string {
	if g.more == 0 {
		return ""
	}
	return fmt.Sprintf("  (and %d more like this)", g.more)
}

// gather takes together records of one step that begin with the same word and
// follow each other within a second.
func gather(list []record) []gathered {
	var out []gathered
	for _, r := range list {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if last.Step == r.Step && firstWord(last.Text) == firstWord(r.Text) && r.At.Sub(last.At) < time.Second {
				last.more++
				continue
			}
		}
		out = append(out, gathered{record: r})
	}
	return out
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}

// showDid is how many mitigations the summary shows; the JSON has them all.
const showDid = 6

func during(k Kind) string {
	if k == Crowd {
		return "during the crowd"
	}
	return "during the flood"
}

// wrongs lists what went wrong, the most frequent first.
func wrongs(f Felt) string {
	names := slices.SortedFunc(maps.Keys(f.Wrong), func(a, b string) int { return int(f.Wrong[b]) - int(f.Wrong[a]) })
	var parts []string
	for _, n := range names {
		parts = append(parts, fmt.Sprintf("%s %s", figures.Thousands(f.Wrong[n]), n))
	}
	if len(parts) == 0 {
		return ""
	}
	return "   (" + strings.Join(parts, ", ") + ")"
}

func from(f *Flood) string {
	if f.Sources == 0 {
		return ""
	}
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(f.Countries)) {
		parts = append(parts, fmt.Sprintf("%s %s", c, figures.Thousands(uint64(f.Countries[c]))))
	}
	return fmt.Sprintf(" from %s addresses, registered in %s", figures.Thousands(uint64(f.Sources)), strings.Join(parts, ", "))
}

func countries(m map[string]uint64) string {
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return int(m[b]) - int(m[a])
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, n := range names[:min(5, len(names))] {
		parts = append(parts, fmt.Sprintf("%s (%s)", n, figures.Thousands(m[n])))
	}
	return strings.Join(parts, ", ")
}

func percent(share float64) string {
	if share > 0 && share < 0.001 {
		return fmt.Sprintf("%.3f %%", 100*share)
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// stamp is how long after the flood's beginning something happened.
func stamp(at, begun time.Time) string {
	if begun.IsZero() {
		return at.Local().Format("15:04:05")
	}
	return fmt.Sprintf("%+.1f s", at.Sub(begun).Seconds())
}
