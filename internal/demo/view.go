package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"seawall/internal/demo/crowd"
	"seawall/internal/demo/flood"
	"seawall/internal/kit/figures"
)

// view shows the run while it goes on: a screen redrawn in place on a terminal,
// a line a second elsewhere, nothing when JSON is wanted.
type view struct {
	s     *session
	drawn int // lines on the screen

	served, slow, hits []float64 // for the sparklines, one a second
	lastFlood          flood.Counts
	lastReach          reach
	rates              rates
}

// rates are what happens in a second.
type rates struct{ sent, refused, reached float64 }

func newView(s *session) *view { return &view{s: s} }

// run shows until ctx ends.
func (v *view) run(ctx context.Context) {
	if v.s.o.JSON {
		<-ctx.Done()
		return
	}
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		v.step()
		if v.s.env.Terminal {
			v.draw()
		} else {
			v.say()
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// step works out the last second's rates.
func (v *view) step() {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.flooded
	v.rates = rates{}
	if d := c.At.Sub(v.lastFlood.At).Seconds(); d > 0 && !v.lastFlood.At.IsZero() {
		v.rates.sent = float64(c.Sent-v.lastFlood.Sent) / d
		v.rates.refused = float64(c.Refused-v.lastFlood.Refused) / d
	} else if c.Since > 0 && v.lastFlood.At.IsZero() {
		v.rates.sent, v.rates.refused = float64(c.Sent)/c.Since.Seconds(), float64(c.Refused)/c.Since.Seconds()
	}
	v.lastFlood = c
	if n := len(s.reached); n > 0 {
		r := s.reached[n-1]
		if d := r.at.Sub(v.lastReach.at).Seconds(); d > 0 && !v.lastReach.at.IsZero() {
			v.rates.reached = float64(r.stats.Others-v.lastReach.stats.Others) / d
		}
		v.lastReach = r
	}
}

// felt is what visitors feel now.
func (v *view) felt() crowd.Felt {
	if v.s.crowd == nil {
		return crowd.Felt{}
	}
	return v.s.crowd.Now()
}

// say prints one line about the last second.
func (v *view) say() {
	f := v.felt()
	s := v.s
	s.mu.Lock()
	phase, state, waiting := s.phase, s.now.State, v.lastReach.stats.Waiting
	s.mu.Unlock()
	line := fmt.Sprintf("%-8s visitors %5.1f %% served, p50 %4.0f ms, p99 %5.0f ms", phase, 100*f.Share(), millis(f.P50), millis(f.P99))
	if s.flood != nil {
		line += fmt.Sprintf(" | flood %5.0f/s sent, %5.0f/s refused, %4.0f/s reached the site", v.rates.sent, v.rates.refused, v.rates.reached)
	}
	line += fmt.Sprintf(" | %d in line", waiting)
	if state != "" {
		line += " | Seawall: " + state
	}
	v.print(line + "\n")
}

// print writes to Out; when that fails there is nobody left to show it to.
func (v *view) print(text string) { _, _ = fmt.Fprint(v.s.env.Out, text) }

const (
	bold, dim, red, green, yellow, plain = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
	clearLine                            = "\x1b[K"
	showRecords                          = 6
	showDoing                            = 5
)

// draw redraws the screen in place.
func (v *view) draw() {
	lines := v.screen()
	width := max(40, v.s.env.Width())
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.drawn)
	}
	for _, l := range lines {
		b.WriteString("\r" + cut(l, width-1) + plain + clearLine + "\n")
	}
	// A shorter screen leaves nothing of a longer one below it.
	b.WriteString("\x1b[J")
	v.drawn = len(lines)
	v.print(b.String())
}

// screen is the lines of the live view.
func (v *view) screen() []string {
	f := v.felt()
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	v.served = push(v.served, f.Share())
	v.slow = push(v.slow, millis(f.P99))
	v.hits = push(v.hits, v.rates.reached)

	lines := []string{
		bold + "Seawall demo" + plain + dim + "  everything below happens on this machine only" + plain,
		"",
		bold + v.heading() + plain,
		"",
	}
	colour := green
	if f.Share() < 0.97 {
		colour = red
	} else if f.Share() < 0.995 {
		colour = yellow
	}
	lines = append(lines,
		fmt.Sprintf("  visitors   %s%6.1f %%%s served      %s", colour, 100*f.Share(), plain, spark(v.served, 1)),
		fmt.Sprintf("             p50 %5.0f ms  p99 %5.0f ms  %s", millis(f.P50), millis(f.P99), spark(v.slow, 0)),
	)
	if s.flood != nil {
		lines = append(lines,
			fmt.Sprintf("  flood      %7s/s sent   %7s/s refused", figures.Thousands(uint64(v.rates.sent)), figures.Thousands(uint64(v.rates.refused))),
			fmt.Sprintf("  the site   %7s/s of it arrive             %s", figures.Thousands(uint64(v.rates.reached)), spark(v.hits, 0)))
	}
	lines = append(lines, fmt.Sprintf("             %7s in line; it bears %.0f requests/s", figures.Thousands(uint64(max(0, v.lastReach.stats.Waiting))), s.o.Site.Capacity()), "")
	if s.admin == "" {
		lines = append(lines, dim+"  no Seawall in front"+plain)
	} else {
		lines = append(lines, v.shieldLines()...)
	}
	if s.look != nil {
		lines = append(lines, "", dim+"  look yourself: the site http://"+s.look.l.Addr().String()+"/"+v.dashboard()+plain)
	}
	return lines
}

func (v *view) dashboard() string {
	if v.s.admin == "" {
		return ""
	}
	return "   Seawall http://" + v.s.admin + "/"
}

// heading says where the run stands; hold s.mu.
func (v *view) heading() string {
	s := v.s
	switch s.phase {
	case phaseArrive:
		return fmt.Sprintf("%d visitors arrive", s.o.Visitors)
	case phaseQuiet:
		return fmt.Sprintf("An ordinary day: %d visitors read the site", s.o.Visitors)
	case phaseDuring:
		passed := time.Since(s.begun).Seconds()
		switch s.o.Kind {
		case Crowd:
			return fmt.Sprintf("The link is everywhere: ten times as many visitors come  (%.0f s)", passed)
		case None:
			return "Nothing happens"
		}
		return fmt.Sprintf("A botnet floods the site  (%.0f of %d s)", passed, s.o.Seconds)
	}
	if s.admin != "" && !s.now.calm() {
		return fmt.Sprintf("The flood is over; Seawall undoes what it did  (%.0f s)", time.Since(s.ended).Seconds())
	}
	return "The flood is over"
}

// shieldLines are what Seawall says and does; hold s.mu.
func (v *view) shieldLines() []string {
	s := v.s
	state := green + "calm" + plain
	switch s.now.State {
	case "attack":
		state = red + "under attack" + plain
	case "off":
		state = yellow + "off" + plain
	}
	lines := []string{fmt.Sprintf("  Seawall    %s, %.0f MB", state, float64(s.use.RSS)/1e6)}
	did, bans := fold(s.now.Mitigations)
	for _, d := range did[:min(len(did), showDoing)] {
		lines = append(lines, fmt.Sprintf("    %s#%d %s%s %s  %s(%s requests)%s", yellow, d.ID, d.Action, plain, d.Match, dim, figures.Thousands(d.Hits), plain))
	}
	if more := len(did) - showDoing; more > 0 {
		lines = append(lines, fmt.Sprintf("    %sand %d more like these%s", dim, more, plain))
	}
	if bans.n > 0 {
		lines = append(lines, fmt.Sprintf("    %srefuse%s %s  %s(%s requests)%s", yellow, plain, bans, dim, figures.Thousands(bans.hits), plain))
	}
	said := gather(s.records)
	for _, r := range said[max(0, len(said)-showRecords):] {
		lines = append(lines, fmt.Sprintf("    %s%9s%s  %s%s", dim, stamp(r.At, s.begun), plain, short(r.Text), r.andMore()))
	}
	return lines
}

// stayUp says that everything goes on until it is interrupted.
func (v *view) stayUp() {
	if v.s.o.JSON {
		return
	}
	text := "Everything stays up until you press Ctrl-C.\n"
	if v.s.look != nil {
		text += "  the site      http://" + v.s.look.l.Addr().String() + "/\n"
	}
	if v.s.admin != "" {
		text += "  Seawall       http://" + v.s.admin + "/\n"
	}
	v.print(text)
}

// sparkWidth is how many seconds a sparkline shows.
const sparkWidth = 40

func push(list []float64, x float64) []float64 {
	list = append(list, x)
	return list[max(0, len(list)-sparkWidth):]
}

// spark draws values as bars from 0 to top, or to the largest where top is 0.
func spark(values []float64, top float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	if top == 0 {
		for _, x := range values {
			top = max(top, x)
		}
	}
	var b strings.Builder
	for _, x := range values {
		i := 0
		if top > 0 {
			i = int(x / top * 7.99)
		}
		b.WriteRune([]rune(bars)[max(0, min(7, i))])
	}
	return b.String()
}

// cut shortens a line to so many columns, not counting colours.
func cut(line string, width int) string {
	var b strings.Builder
	columns, escape := 0, false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case columns == width:
			continue
		default:
			columns++
		}
		b.WriteRune(r)
	}
	return b.String()
}
