package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"seawall/internal/dashboard"
	"seawall/internal/kit/figures"
)

// tryRules asks the running Seawall what rules would have met lately, and fails
// where that is too much.
func tryRules(ctx context.Context, w io.Writer, t *target, rules dashboard.Rules) error {
	all := []dashboard.Trial{}
	for _, r := range rules {
		var found struct {
			Rules []dashboard.Trial `json:"rules"`
		}
		// One at a time: the admin API takes short bodies only.
		err := t.call(ctx, "POST", "/api/v1/rules/try", map[string]any{"rules": dashboard.Rules{r}}, &found)
		if errors.Is(err, errNotRunning) {
			return fmt.Errorf("%w. --against-recent asks the running Seawall what it has seen; without it the configuration is checked alone", err)
		}
		if err != nil {
			return err
		}
		all = append(all, found.Rules...)
	}
	var tooMuch []string
	for i := range all {
		if all[i].TooMuch {
			tooMuch = append(tooMuch, all[i].Name)
		}
	}
	if t.json {
		if err := printJSON(w, all); err != nil {
			return err
		}
	} else {
		printTrials(w, all)
	}
	if len(tooMuch) > 0 {
		return fmt.Errorf("too much of the ordinary traffic would have been refused by %s: make it narrower, or write `sure: true` if it is meant so",
			strings.Join(tooMuch, ", "))
	}
	return nil
}

func printTrials(w io.Writer, all []dashboard.Trial) {
	if len(all) == 0 {
		fmt.Fprintln(w, "The configuration is right, and has no rules to try.")
	}
	clean := func(s string, most int) string { return (&view{}).clean(s, most) }
	for i := range all {
		t := &all[i]
		dry := ""
		if t.DryRun {
			dry = ", on a dry run"
		}
		fmt.Fprintf(w, "%s: %s %s%s\n", t.Name, t.Action, t.Match, dry)
		for j := range t.Spans {
			printSpan(w, &t.Spans[j], strings.HasPrefix(t.Action, "drop"), clean)
		}
		if t.TooMuch {
			fmt.Fprintln(w, "  TOO MUCH: more than 0.1 % of ordinary traffic")
		}
	}
}

func printSpan(w io.Writer, s *dashboard.Span, packets bool, clean func(string, int) string) {
	what := "requests"
	if packets {
		what = "packets"
	}
	if s.Tested == 0 {
		fmt.Fprintf(w, "  last %s: no ordinary %s were seen yet; try again in a while\n", s.Of, what)
		return
	}
	fmt.Fprintf(w, "  last %s: %s of %s ordinary %s kept (%.2f %%; with 95 %% certainty %.2f to %.2f %%)\n", s.Of,
		figures.Thousands(s.Hits), figures.Thousands(s.Tested), what, 100*s.Share, 100*s.Low, 100*s.High)
	if s.Hits == 0 || packets {
		return
	}
	who := "client"
	if s.Of != "hour" {
		who = "network" // of what is older, no more is kept
	}
	fmt.Fprintf(w, "    of %s, %d with a clearance\n", count(s.Clients, who), s.Cleared)
	for i, c := range s.Paths {
		fmt.Fprintf(w, "    %-8s %5d  %s\n", once("paths", i), c.Count, clean(c.Key, 80))
	}
	for i, c := range s.Agents {
		fmt.Fprintf(w, "    %-8s %5d  %s\n", once("programs", i), c.Count, clean(c.Key, 80))
	}
	for _, e := range s.Examples {
		fmt.Fprintf(w, "    such as  %s %s%s from %s, clearance %s, %s\n", e.Method, clean(e.Host, 40), clean(e.Path, 60), e.Country, e.Clearance, clean(e.UserAgent, 60))
	}
}

// once is the name of a list before its first line, and nothing before the others.
func once(name string, i int) string {
	if i > 0 {
		return ""
	}
	return name
}
