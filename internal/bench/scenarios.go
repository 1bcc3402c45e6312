package bench

import (
	"context"
	"fmt"
	"time"
)

// heavy: few sources, each far over any budget.
func heavy(ctx context.Context, b *bench, r *Result) error {
	s, err := b.fronts(ctx, b.standard("heavy"), r)
	if err != nil {
		return err
	}
	v := s.Visitors
	limit := max(2*v.Quiet.P99, 50)
	r.Bars = []Bar{
		atLeast("visitors' requests served", 0.995, v.During.Share),
		{Name: "visitors' p99", Asked: fmt.Sprintf("at most %.0f ms", limit), Measured: fmt.Sprintf("%.0f ms", v.During.P99),
			Passed: v.During.P99 <= limit, Timed: true},
		atMost("flood reaching the site after 2 s", 0.01, s.Flood.ReachedLate),
		withdrawn(s),
	}
	return nil
}

// wide: many sources, each within any budget, in a guise of demo's.
func wide(guise string) func(context.Context, *bench, *Result) error {
	return func(ctx context.Context, b *bench, r *Result) error {
		set := b.standard("wide")
		if set.Guise = guise; guise != "" {
			set.Settle = 0 // when all is withdrawn is known from the plain one
		}
		s, err := b.fronts(ctx, set, r)
		if err != nil {
			return err
		}
		v, m := s.Visitors, s.Seawall.Mitigated
		limit := 1.5 * v.Quiet.P99
		r.Bars = []Bar{
			atLeast("visitors' requests served", 0.999, v.During.Share),
			atLeast("newcomers' requests served", 0.99, v.Newcomers.Share),
			{Name: "visitors' p99", Asked: fmt.Sprintf("at most %.0f ms", limit), Measured: fmt.Sprintf("%.0f ms", v.During.P99),
				Passed: v.During.P99 <= limit, Timed: true},
			bar("mitigated", "within 1 s", moment(m), m >= 0 && m <= 1),
		}
		if guise == "" {
			r.Bars = append(r.Bars, withdrawn(s))
		}
		return nil
	}
}

// crowd: a great many ordinary visitors. The site is twice as large as usual,
// because ten times the visitors ask for 800 requests a second: what a site
// cannot bear no shield can serve.
func crowd(ctx context.Context, b *bench, r *Result) error {
	set := b.standard("crowd")
	set.Site.Workers, set.Seconds, set.Newcomers = 10, 30, 0
	b.say("crowd: Seawall in front of a site of 1,000 requests/s")
	s, err := b.demo(ctx, set)
	if err != nil {
		return err
	}
	r.Rows = append(r.Rows, s.row("Seawall"))
	v := s.Visitors.During
	r.Bars = []Bar{
		atLeast("visitors' requests served", 0.99, v.Share),
		bar("called an attack", "no", yesNo(s.Seawall.Attacks > 0), s.Seawall.Attacks == 0),
		bar("visitors refused", "0", fmt.Sprint(v.Wrong["refused"]), v.Wrong["refused"] == 0),
	}
	return nil
}

// paces are the requests a second at which an attacker tries its luck: a client
// that asks too fast is banned and gets less than one that keeps within bounds.
func paces(kind string) []float64 {
	if kind == "one" {
		return []float64{25, 50, 400}
	}
	return []float64{100, 400}
}

// rotate compares the most that reaches the site from one client, at whichever
// pace serves it best, with the most from one that changes its /64 with every
// request. The site is fast, so that only Seawall limits it.
func rotate(ctx context.Context, b *bench, r *Result) error {
	names := [2]string{"one client", "rotating through 65,536 /64s"}
	var best [2]uint64
	for i, kind := range []string{"one", "rotate"} {
		for _, pace := range paces(kind) {
			set := b.standard(kind)
			set.Visitors, set.Newcomers, set.Settle, set.After = 0, 0, 0, 1
			set.Quiet, set.FloodRate = 2, pace
			set.Site.Workers, set.Site.Work = 50, 5*time.Millisecond
			b.say("rotate: %s, %.0f requests/s", names[i], pace)
			s, err := b.demo(ctx, set)
			if err != nil {
				return err
			}
			best[i] = max(best[i], s.Flood.Reached)
			r.Notes = append(r.Notes, fmt.Sprintf("%s: of %d requests in %d s, %d reached the site",
				names[i], s.Flood.Sent, set.Seconds, s.Flood.Reached))
		}
	}
	gain := float64(best[1]) / float64(max(1, best[0]))
	r.Bars = []Bar{bar("gained by rotating", "at most 4 times", fmt.Sprintf("%.2f times", gain), gain <= 4 && best[0] > 0)}
	return nil
}

// memory sends requests of very many clients and watches the resident memory.
func memory(ctx context.Context, b *bench, r *Result) error {
	clients := b.o.Clients
	if clients == 0 {
		clients = 1_000_000
		if b.o.Short {
			clients = 100_000
		}
	}
	for _, ceiling := range []int64{256 << 20, 64 << 20} {
		set := b.standard("many")
		set.Visitors, set.Newcomers, set.Settle, set.After = 0, 0, 0, 2
		set.Quiet, set.Seconds, set.Requests, set.Memory = 2, 3600, clients, ceiling
		// Nearly all of them would be let in, each being a first visit. Some
		// are; the rest is refused by order, which ten million can be in minutes.
		set.Site.Workers, set.Site.Work = 50, 0
		set.RefuseAfter = clients / 20
		b.say("memory: %d clients at a ceiling of %d MiB", clients, ceiling>>20)
		s, err := b.demo(ctx, set)
		if err != nil {
			return err
		}
		peak := s.Seawall.PeakRSS
		r.Bars = append(r.Bars, bar(
			fmt.Sprintf("resident memory after %d clients", clients),
			fmt.Sprintf("at most %d MiB", ceiling>>20), fmt.Sprintf("%.1f MiB", float64(peak)/(1<<20)),
			peak > 0 && peak <= ceiling && s.Flood.Sent >= clients,
		))
		r.Notes = append(r.Notes, fmt.Sprintf("at %d MiB: %d requests at %.0f/s, %d answered, %d refused, %d without an answer; %.1f MiB before",
			ceiling>>20, s.Flood.Sent, s.Flood.Rate, s.Flood.Answered, s.Flood.Refused, s.Flood.Errors, float64(s.Seawall.IdleRSS)/(1<<20)))
	}
	return nil
}

// fronts runs a setup with Seawall in front and, if peers are wanted, with each
// of them, one after the other. It returns what Seawall did.
func (b *bench) fronts(ctx context.Context, set setup, r *Result) (summary, error) {
	b.say("%s: Seawall", r.Name)
	s, err := b.demo(ctx, set)
	if err != nil {
		return s, err
	}
	r.Rows = append(r.Rows, s.row("Seawall"))
	r.Notes = append(r.Notes, fmt.Sprintf("Seawall noticed %s, mitigated %s; by the site's own count stemmed %s",
		moment(s.Seawall.Noticed), moment(s.Seawall.Mitigated), moment(s.Flood.Stemmed)))
	if !b.o.Peers {
		return s, nil
	}
	for _, p := range peers() {
		if !p.installed() {
			r.Notes = append(r.Notes, p.name+" is not installed")
			continue
		}
		b.say("%s: %s", r.Name, p.name)
		row, err := b.peer(ctx, p, set)
		if err != nil {
			return s, fmt.Errorf("%s: %w", p.name, err)
		}
		r.Rows = append(r.Rows, row)
	}
	b.say("%s: nothing in front", r.Name)
	set.Front = "none"
	none, err := b.demo(ctx, set)
	if err != nil {
		return s, err
	}
	r.Rows = append(r.Rows, none.row("nothing"))
	return s, nil
}

func withdrawn(s summary) Bar {
	w := s.Seawall.Withdrawn
	return bar("withdrawn by itself", "within 60 s", moment(w), w >= 0 && w <= 60)
}

func bar(name, asked, measured string, passed bool) Bar {
	return Bar{Name: name, Asked: asked, Measured: measured, Passed: passed}
}

func atLeast(name string, asked, got float64) Bar {
	return bar(name, "at least "+percent(asked), percent(got), got >= asked)
}

func atMost(name string, asked, got float64) Bar {
	return bar(name, "at most "+percent(asked), percent(got), got <= asked)
}

// moment writes seconds; negative ones never came.
func moment(s float64) string {
	if s < 0 {
		return "never"
	}
	return fmt.Sprintf("after %.2f s", s)
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
