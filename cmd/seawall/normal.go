package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seawall/internal/app"
	"seawall/internal/traffic"
)

func normalCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "normal",
		Short: "Show what is normal here: the last hour, day and week, and each hour of the week",
		Long: `Shows what Seawall has learnt of ordinary traffic, and what it uses in place of what
it has not learnt yet. Works with the daemon dead, too: then it shows what is in the
data folder, where ` + "`seawall replay --learn`" + ` leaves it.`,
		Args: exactly(0, "no argument"),
	}
	t := aim(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var raw json.RawMessage
		err := t.call(c.Context(), "GET", "/api/v1/normal", nil, &raw)
		saved := errors.Is(err, errNotRunning)
		if saved {
			var l *traffic.Learnt
			if l, err = app.NormalOffline(t.data); err == nil {
				raw, err = json.Marshal(l)
			}
		}
		if err != nil {
			return err
		}
		if t.json {
			return printJSON(c.OutOrStdout(), raw)
		}
		var l *traffic.Learnt
		if err := json.Unmarshal(raw, &l); err != nil {
			return err
		}
		if l == nil {
			return errors.New("the control loop did not answer in time; ask again")
		}
		fmt.Fprint(c.OutOrStdout(), drawNormal(l, saved))
		return nil
	}
	return c
}

// drawNormal draws what is normal, as text. saved: it is from the data folder.
func drawNormal(l *traffic.Learnt, saved bool) string {
	var b strings.Builder
	state := "learning"
	switch {
	case saved:
		state = "as it was saved; no Seawall answers"
	case l.Frozen:
		state = "an attack runs: nothing is learnt from it"
	}
	fmt.Fprintf(&b, "Normal here on %s UTC: %s\n", l.At.UTC().Format("Monday, 2006-01-02 15:04"), state)
	if n := l.Now; n != nil {
		fmt.Fprintf(&b, "Now usual: %s requests/s, at most %s", rate(n.Requests), rate(n.Peak))
		if n.Capacity > 0 {
			fmt.Fprintf(&b, "; the origin is known to bear %s", rate(n.Capacity))
		}
		b.WriteString("\n")
	}
	b.WriteByte('\n')
	drawSpans(&b, l)
	b.WriteByte('\n')
	drawWeek(&b, l)
	return b.String()
}

// drawSpans draws a column for each stretch.
func drawSpans(b *strings.Builder, l *traffic.Learnt) {
	spans := []*traffic.Span{&l.Hour, &l.Day, &l.Week}
	line := func(name string, of func(*traffic.Span) string) {
		fmt.Fprintf(b, "%-30s", name)
		for _, s := range spans {
			text := "–"
			if s.Learned > 0 || s.Samples > 0 {
				text = of(s)
			}
			fmt.Fprintf(b, "%18s", text)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "%-30s%18s%18s%18s\n", "", "last hour", "last 24 hours", "last 7 days")
	line("requests/s, median", func(s *traffic.Span) string { return rate(s.Requests.Usual) })
	line("requests/s, 95th percentile", func(s *traffic.Span) string { return rate(s.Requests.Peak) })
	line("clients/s, 95th percentile", func(s *traffic.Span) string { return rate(s.Clients) })
	line("requests/s of a busy client", func(s *traffic.Span) string { return rate(s.PerClient) })
	line("origin's first byte, p50", func(s *traffic.Span) string { return short(s.OriginP50) })
	line("origin's first byte, p95", func(s *traffic.Span) string { return short(s.OriginP95) })
	line("requests/s the origin bore", func(s *traffic.Span) string { return rate(s.Capacity) })
	line("for assets", func(s *traffic.Span) string { return percent(s, s.AssetShare) })
	line("with our cookie", func(s *traffic.Span) string { return percent(s, s.ClearanceShare) })
	line("learnt from", func(s *traffic.Span) string { return stretch(s.Learned) })
	line("since", func(s *traffic.Span) string {
		if s.Since.IsZero() {
			return "–"
		}
		return s.Since.UTC().Format("2006-01-02 15:04")
	})
	line("requests kept for tests", func(s *traffic.Span) string { return group(uint64(s.Samples)) })
	for i, name := range []string{"Last hour", "Last 24 hours", "Last 7 days"} {
		if s := spans[i]; s.Instead != "" {
			fmt.Fprintf(b, "%s: %s.\n", name, s.Instead)
		}
	}
}

// drawWeek draws a row for each day and a column for each of its hours.
func drawWeek(b *strings.Builder, l *traffic.Learnt) {
	top, known := 0.0, 0
	for _, day := range l.Hours {
		for _, h := range day {
			if h.Weeks > 0 {
				known++
				top = max(top, h.Usual)
			}
		}
	}
	if known == 0 {
		b.WriteString("No hour of the week is known yet.\n")
		return
	}
	fmt.Fprintf(b, "Requests a second by hour of the week, UTC (█ is %s, · is not known yet; %d of 168 are known)\n\n", rate(top), known)
	fmt.Fprintf(b, "%-10s 0     6     12    18     highest\n", "")
	for d, day := range l.Hours {
		var row strings.Builder
		most := 0.0
		for _, h := range day {
			if h.Weeks == 0 {
				row.WriteString("·")
				continue
			}
			row.WriteString(spark([]float64{h.Usual}, max(top, 1e-9)))
			most = max(most, h.Peak)
		}
		fmt.Fprintf(b, "%-10s %s %9s\n", time.Weekday((d+1)%7), row.String(), rate(most))
	}
}

// rate writes a number of things a second; – is not known.
func rate(v float64) string {
	switch {
	case v <= 0:
		return "–"
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return group(uint64(v + 0.5))
}

// percent writes a share of a stretch's requests.
func percent(s *traffic.Span, share float64) string {
	if s.Requests.Usual <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

// stretch writes how much was learnt from.
func stretch(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < 2*time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}
