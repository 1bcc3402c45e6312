package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seawall/internal/dashboard"
	"seawall/internal/kit/figures"
)

func letterCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "letter",
		Short:   "Tell in plain words whom the last days stopped, or would have in watch mode",
		Long:    `Tell in plain words what the last days brought: attacks noticed, requests that budgets and mitigations stopped (or in watch mode would have stopped), of how many clients, how many of them had a clearance, why, and what to do now. What rules stop is not counted. Days are those of UTC; a month of them is kept, and no address.`,
		Example: "  seawall letter --since 7d",
		Args:    exactly(0, "no argument"),
	}
	t := aim(c)
	since := c.Flags().String("since", "7d", "how far back: 7d, 31d at most")
	c.RunE = func(c *cobra.Command, _ []string) error {
		days, err := wholeDays(*since)
		if err != nil {
			return err
		}
		var l dashboard.Letter
		if err := t.call(c.Context(), "GET", "/api/v1/letter?days="+strconv.Itoa(days), nil, &l); err != nil {
			return err
		}
		if t.json {
			return printJSON(c.OutOrStdout(), l)
		}
		printLetter(c.OutOrStdout(), &l)
		return nil
	}
	return c
}

// wholeDays reads 7d, or a length of time, which is rounded up.
func wholeDays(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
	if err != nil {
		var d time.Duration
		d, err = time.ParseDuration(text)
		n = int((d + 24*time.Hour - 1) / (24 * time.Hour))
	}
	if err != nil || n < 1 || n > 31 {
		return 0, usagef("--since %s: write days from 1d to 31d", text)
	}
	return n, nil
}

func printLetter(w io.Writer, l *dashboard.Letter) {
	if l.Mode == "watch" {
		fmt.Fprintln(w, "Watching: nobody is stopped by the machine.")
	} else {
		fmt.Fprintln(w, "Defending.")
	}
	var did, would dashboard.Stopped
	var all dashboard.Day
	for i := range l.Days {
		d := &l.Days[i]
		fmt.Fprintf(w, "\n%s  %s requests, %s with a clearance, %s\n", d.Day, figures.Thousands(d.Requests), figures.Thousands(d.Cleared), count(d.Attacks, "attack"))
		if d.Watched > 0 {
			printStopped(w, "it would have", &d.Would)
		}
		if d.Defended > 0 {
			printStopped(w, "it has", &d.Stopped)
		}
		all.Attacks += d.Attacks
		all.Requests += d.Requests
		all.Cleared += d.Cleared
		all.Watched += d.Watched
		all.Defended += d.Defended
		gather(&did, &d.Stopped)
		gather(&would, &d.Would)
	}
	fmt.Fprintf(w, "\n%s\n", advice(l, &all, &did, &would))
}

// gather adds up. Who comes on several days counts on each of them.
func gather(sum, d *dashboard.Stopped) {
	sum.Refused += d.Refused
	sum.Slowed += d.Slowed
	sum.Challenged += d.Challenged
	sum.Cleared += d.Cleared
	sum.Clients += d.Clients
	sum.Visitors += d.Visitors
}

func printStopped(w io.Writer, has string, s *dashboard.Stopped) {
	if s.Refused+s.Slowed+s.Challenged == 0 {
		fmt.Fprintf(w, "  %s stopped nobody\n", has)
		return
	}
	fmt.Fprintf(w, "  %s refused %s requests of about %s, and slowed %s\n", has, figures.Thousands(s.Refused), clients(s.Clients), figures.Thousands(s.Slowed))
	if s.Challenged > 0 {
		fmt.Fprintf(w, "  asked %s requests to come back with a cookie, which browsers do unseen\n", figures.Thousands(s.Challenged))
	}
	fmt.Fprintf(w, "  with a clearance: %s requests refused, of about %s\n", figures.Thousands(s.Cleared), clients(s.Visitors))
	reasons := slices.SortedFunc(maps.Keys(s.Reasons), func(a, b string) int {
		if s.Reasons[a] != s.Reasons[b] {
			return int(int64(s.Reasons[b]) - int64(s.Reasons[a]))
		}
		return strings.Compare(a, b)
	})
	for i, r := range reasons {
		fmt.Fprintf(w, "    %-8s %9s  %s\n", once("why", i), figures.Thousands(s.Reasons[r]), r)
	}
	for i, m := range s.Matches[:min(len(s.Matches), 5)] {
		fmt.Fprintf(w, "    %-8s %9s  %s\n", once("what", i), figures.Thousands(m.Requests), (&view{}).clean(m.What, 100))
	}
}

func clients(n uint64) string {
	if n == 1 {
		return "1 client"
	}
	return figures.Thousands(n) + " clients"
}

// harm is the share of the requests with a clearance from which a letter advises to
// look first: what the machine may meet of ordinary requests.
const harm = 0.001

// advice says what to do now.
func advice(l *dashboard.Letter, all *dashboard.Day, did, would *dashboard.Stopped) string {
	in := "In " + count(len(l.Days), "day")
	if l.Mode != "watch" {
		if did.Refused == 0 {
			return in + " it refused nobody. There is nothing to do."
		}
		text := fmt.Sprintf("%s it refused %s requests, %s of them of about %s who had a clearance.", in,
			figures.Thousands(did.Refused), figures.Thousands(did.Cleared), visitors(did.Visitors))
		if tooMany(did, all) {
			return text + " That is many of them: see above why. `seawall allow` lets somebody in, and admit.rate and admit.burst are the budgets."
		}
		return text + " There is nothing to do."
	}
	if all.Watched < int64((24 * time.Hour).Seconds()) {
		in += ", less than one of them whole,"
	}
	text := fmt.Sprintf("%s it would have refused %s requests", in, figures.Thousands(would.Refused))
	switch {
	case would.Refused == 0:
		text = in + " it would have refused nobody"
		if all.Attacks == 0 {
			return text + ", and no attack was noticed. Nothing speaks against `mode: defend`."
		}
		return text + ". Nothing speaks against `mode: defend`."
	case would.Cleared == 0:
		return text + ", none of a visitor who had a clearance. Switch to `mode: defend`."
	}
	text += fmt.Sprintf(", %s of them of about %s who had a clearance.", figures.Thousands(would.Cleared), visitors(would.Visitors))
	if tooMany(would, all) {
		return text + " That is many of them: look above at why before you switch. `seawall allow` or admit.allow lets offices and programs in, and admit.rate and admit.burst are the budgets."
	}
	return text + " That is at most one in a thousand of such requests. Switch to `mode: defend`."
}

func tooMany(s *dashboard.Stopped, all *dashboard.Day) bool {
	return float64(s.Cleared) > harm*float64(all.Cleared)
}

func visitors(n uint64) string {
	if n == 1 {
		return "1 visitor"
	}
	return figures.Thousands(n) + " visitors"
}
