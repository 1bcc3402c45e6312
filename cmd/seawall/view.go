package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// view draws a status for a terminal; it remembers the last minutes for its
// curve. Everything that a stranger chose is cut and cleaned before it is shown.
type view struct {
	width   int
	color   bool
	in, out []float64 // requests a second let in and refused, newest last
}

const (
	plain  = "0"
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (v *view) paint(code, s string) string {
	if !v.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[" + plain + "m"
}

func (v *view) draw(s *status) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s %s · %s · up %s\n\n", v.paint(bold, "Seawall"), s.Version,
		strings.Join(s.Listen, " "), s.Now.Sub(s.Started).Round(time.Second))
	line("State", "%s", v.state(s))
	if s.Mode == "watch" {
		line("Mode", "%s", v.paint(yellow, "watching: nobody is stopped (`seawall letter` tells whom it would have been)"))
	}
	for i := range s.Packets {
		p := &s.Packets[i]
		line("Packets", "%s", v.paint(red, fmt.Sprintf("%s for %s: %s/s, usual are %s", v.clean(p.What, max(v.width-50, 20)),
			s.Now.Sub(p.Since).Round(time.Second), group(uint64(p.Rate)), group(uint64(p.Normal)))))
		line("", "%s", v.clean(p.Doing, max(v.width-11, 20)))
	}
	for i := range s.Found {
		f := &s.Found[i]
		if f.Unit == "" {
			line("Found", "%s", v.paint(yellow, v.clean(f.Vector.Title()+": "+f.What, max(v.width-11, 20))))
		} else {
			line("Found", "%s", v.paint(yellow, fmt.Sprintf("%s for %s: %s %s, usual are %s", v.clean(f.What, max(v.width-70, 20)),
				s.Now.Sub(f.Since).Round(time.Second), group(uint64(f.Rate)), f.Unit, group(uint64(f.Normal)))))
		}
		line("", "%s", v.clean(f.Doing, max(v.width-11, 20)))
	}
	for _, text := range s.Troubles {
		line("Trouble", "%s", v.paint(red, v.clean(text, max(v.width-11, 20))))
	}
	if w := s.Window; w != nil {
		v.traffic(line, w)
	}
	if s.Memory.Ceiling > 0 {
		line("Memory", "%d MiB of %d MiB", s.Memory.Resident>>20, s.Memory.Ceiling>>20)
	}
	b.WriteByte('\n')
	for i, text := range v.doing(s) {
		name := ""
		if i == 0 {
			name = "Doing"
		}
		line(name, "%s", text)
	}
	b.WriteByte('\n')
	from := max(0, len(s.Records)-8)
	for _, r := range s.Records[from:] {
		line(r.At.Local().Format("15:04:05"), "%s", v.clean(r.Text, v.width-11))
	}
	lines := strings.SplitAfter(b.String(), "\n")
	for i := range lines {
		lines[i] = clip(lines[i], v.width)
	}
	return strings.Join(lines, "")
}

// doing tells what is being done, most hits first. The machine's bans of single
// addresses, of which there may be thousands, are only counted.
func (v *view) doing(s *status) []string {
	const most = 6
	list := slices.DeleteFunc(slices.Clone(s.Doing), func(m listed) bool {
		_, ban := m.Banned()
		return ban && m.By == mitigation.ByMachine && m.Action != mitigation.Admit
	})
	slices.SortStableFunc(list, func(a, b listed) int { return cmp.Compare(b.Hits, a.Hits) })
	var out []string
	for _, m := range list[:min(len(list), most)] {
		by := fmt.Sprintf("#%d by %s", m.ID, m.By)
		if m.Shadow {
			by += ", dry run"
		}
		out = append(out, fmt.Sprintf("%9s hits  %s %s %s", group(m.Hits), v.paint(yellow, fmt.Sprintf("%-6s", m.Action)),
			v.clean(m.Match.String(), max(v.width-52, 30)), v.paint(faint, by)))
	}
	if s.Bans > 0 {
		out = append(out, fmt.Sprintf("%9s addresses banned that went on after being refused", group(uint64(s.Bans))))
	}
	if rest := s.Active - s.Bans - min(len(list), most); rest > 0 {
		out = append(out, fmt.Sprintf("%9s more: `seawall mitigations` lists them", group(uint64(rest))))
	}
	if len(out) == 0 {
		out = []string{"nothing: every visitor is let in"}
	}
	return out
}

// clip cuts a line to what a terminal shows in one row; colours do not count.
func clip(line string, width int) string {
	seen, escape := 0, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case r == '\n':
		default:
			if seen++; seen > width && width > 0 {
				cut := line[:i]
				if strings.Contains(cut, "\x1b") {
					cut += "\x1b[" + plain + "m"
				}
				return cut + "\n"
			}
		}
	}
	return line
}

func (v *view) state(s *status) string {
	switch {
	case s.State == "off":
		return v.paint(yellow, "OFF: everything passes (`seawall on` defends again)")
	case s.Attack != nil:
		a := s.Attack
		text := fmt.Sprintf("ATTACK for %s: %s requests/s at its peak, usual are %s",
			s.Now.Sub(a.Since).Round(time.Second), group(uint64(a.Peak)), group(uint64(a.Normal)))
		if len(a.Countries) > 0 {
			text += "; refused from " + countries(a.Countries)
		}
		return v.paint(red, text)
	case len(s.Packets) > 0:
		return v.paint(red, "ATTACK by packets; no requests are refused for it")
	case len(s.Attacks) > 0 && s.Attacks[0].Ended != nil:
		last := s.Attacks[0] // newest first
		return v.paint(green, fmt.Sprintf("calm; the last attack ended %s ago", s.Now.Sub(*last.Ended).Round(time.Second)))
	}
	return v.paint(green, "calm")
}

// countries lists where addresses are registered, most first.
func countries(n map[string]uint64) string {
	var total uint64
	for _, c := range n {
		total += c
	}
	names := slices.SortedFunc(maps.Keys(n), func(a, b string) int {
		switch {
		case n[a] != n[b]:
			return int(int64(n[b]) - int64(n[a]))
		default:
			return strings.Compare(a, b)
		}
	})
	var out []string
	for i, c := range names {
		if i == 4 {
			break
		}
		out = append(out, fmt.Sprintf("%s %.0f %%", c, 100*float64(n[c])/float64(max(total, 1))))
	}
	return strings.Join(out, ", ")
}

func (v *view) traffic(line func(string, string, ...any), w *traffic.Window) {
	names := [...]string{"newcomers", "proven", "known"}
	var parts []string
	for c := len(w.Felt) - 1; c >= 0; c-- {
		f := w.Felt[c]
		if f.Offered == 0 {
			continue
		}
		share := 100 * float64(f.Served) / float64(f.Offered)
		text := fmt.Sprintf("%s %.1f %% of %s/s", names[c], share, group(uint64(w.Rate(f.Offered)+0.5)))
		if f.P99 > 0 {
			text += ", p99 " + short(f.P99)
		}
		if c > 0 && share < 99 {
			text = v.paint(red, text)
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		parts = []string{"nobody asked for anything in the last second"}
	}
	line("Served", "%s", strings.Join(parts, " · "))
	asked := ""
	if w.Challenged > 0 {
		asked = ", challenged " + group(uint64(w.Rate(w.Challenged)))
	}
	line("Traffic", "%s/s from %s addresses: let in %s, slowed %s%s, refused %s",
		group(uint64(w.Rate(w.Offered))), group(w.Clients), group(uint64(w.Rate(w.Admitted))),
		group(uint64(w.Rate(w.Slowed))), asked, group(uint64(w.Rate(w.Refused))))
	v.in = remember(v.in, w.Rate(w.Admitted))
	v.out = remember(v.out, w.Rate(w.Refused))
	if len(v.in) > 1 {
		top := max(slices.Max(v.in), slices.Max(v.out), 1)
		line("  let in", "%s", v.paint(green, spark(v.in, top)))
		line("  refused", "%s  highest %s/s", v.paint(red, spark(v.out, top)), group(uint64(top)))
	}
	o := w.Origin
	text := fmt.Sprintf("asked %s/s, p50 %s, p95 %s, in flight %d of %d, waiting %d",
		group(uint64(w.Rate(o.Asked))), short(o.P50), short(o.P95), o.InFlight, o.Limit, o.Waiting)
	if o.Failed > 0 {
		text += v.paint(red, fmt.Sprintf(", failed %d", o.Failed))
	}
	line("Origin", "%s", text)
}

func remember(list []float64, n float64) []float64 {
	list = append(list, n)
	return list[max(0, len(list)-60):]
}

// spark draws one bar a value, in eighths of a line.
func spark(values []float64, top float64) string {
	bars := []rune(" ▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, n := range values {
		i := int(n / top * float64(len(bars)-1))
		if n > 0 && i == 0 {
			i = 1
		}
		b.WriteRune(bars[min(max(i, 0), len(bars)-1)])
	}
	return b.String()
}

// clean cuts text to a length and takes out what a terminal would obey.
func (v *view) clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '·'
		}
		return r
	}, s)
	if r := []rune(s); most > 1 && len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}

func short(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// group writes a number with separators: 12,400.
func group(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
