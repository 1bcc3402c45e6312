package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seawall/internal/app"
	"seawall/internal/dashboard"
	"seawall/internal/mitigation"
)

func banCommand() *cobra.Command   { return prefixCommand("ban", "Turn away everybody from a prefix") }
func allowCommand() *cobra.Command { return prefixCommand("allow", "Always let a prefix in") }

func prefixCommand(action, short string) *cobra.Command {
	c := &cobra.Command{
		Use:     action + " PREFIX",
		Short:   short,
		Example: "  seawall " + action + " 198.51.100.7 --for 24h --note 'why'",
		Args:    exactly(1, "one address or prefix"),
	}
	t := aim(c)
	last, note := lastAndNote(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := dashboard.Prefix(args[0])
		if err != nil {
			return usageError{err}
		}
		body, err := ordered(*last, *note)
		if err != nil {
			return err
		}
		body["action"], body["prefix"] = action, p.String()
		var m mitigation.Mitigation
		if err := t.call(c.Context(), "POST", "/api/v1/mitigations", body, &m); err != nil {
			return err
		}
		return t.show(c.OutOrStdout(), m, []mitigation.Mitigation{m}, "")
	}
	return c
}

func unbanCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "unban PREFIX",
		Short: "Withdraw the bans and allow entries of a prefix",
		Args:  exactly(1, "one address or prefix"),
	}
	t := aim(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := dashboard.Prefix(args[0])
		if err != nil {
			return usageError{err}
		}
		var gone []mitigation.Mitigation
		if err := t.call(c.Context(), "POST", "/api/v1/unban", map[string]string{"prefix": p.String()}, &gone); err != nil {
			return err
		}
		return t.show(c.OutOrStdout(), gone, gone, fmt.Sprintf("nothing stood against %s", p))
	}
	return c
}

func pinCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "pin NUMBER",
		Short:   "Keep what the machine does, as it is, until it is lifted",
		Example: "  seawall pin 12 --for 24h",
		Args:    exactly(1, numberOf),
	}
	t := aim(c)
	last, note := lastAndNote(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := idOf(args[0])
		if err != nil {
			return err
		}
		body, err := ordered(*last, *note)
		if err != nil {
			return err
		}
		var made []mitigation.Mitigation
		if err := t.call(c.Context(), "POST", fmt.Sprintf("/api/v1/mitigations/%d/pin", id), body, &made); err != nil {
			return err
		}
		return t.show(c.OutOrStdout(), made, made, "")
	}
	return c
}

func undoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "undo --since DURATION",
		Short:   "Reverse what machine and people ordered; the machine may not repeat it for an hour",
		Example: "  seawall undo --since 10m",
		Args:    exactly(0, "no argument"),
	}
	t := aim(c)
	since := c.Flags().Duration("since", 0, "how far back: 10m")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *since <= 0 {
			return usagef("undo needs --since, such as --since 10m")
		}
		var gone []mitigation.Mitigation
		if err := t.call(c.Context(), "POST", "/api/v1/undo", map[string]string{"since": since.String()}, &gone); err != nil {
			return err
		}
		if err := t.show(c.OutOrStdout(), gone, gone, fmt.Sprintf("nothing was ordered in the last %v", *since)); err != nil || t.json {
			return err
		}
		return t.tellRules(c, time.Now().Add(-*since))
	}
	return c
}

// tellRules names the rules that began since from: an undo leaves them.
func (t *target) tellRules(c *cobra.Command, from time.Time) error {
	var list []listed
	if err := t.call(c.Context(), "GET", "/api/v1/mitigations", nil, &list); err != nil {
		return err
	}
	for _, m := range list {
		if m.By == mitigation.ByRule && m.From.After(from) {
			fmt.Fprintf(c.OutOrStdout(), "The rule %s stands: take it out of the configuration and run `seawall reload`.\n", m.Name)
		}
	}
	return nil
}

func mitigationsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "mitigations",
		Short: "List what is being done, to whom and why",
		Args:  exactly(0, "no argument"),
	}
	t := aim(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var list []listed
		if err := t.call(c.Context(), "GET", "/api/v1/mitigations", nil, &list); err != nil {
			return err
		}
		if t.json {
			return printJSON(c.OutOrStdout(), list)
		}
		if len(list) == 0 {
			fmt.Fprintln(c.OutOrStdout(), "Nothing: every visitor is let in.")
		}
		for _, m := range list {
			printMitigation(c.OutOrStdout(), &m.Mitigation)
			printHits(c.OutOrStdout(), &m)
		}
		return nil
	}
	return c
}

// listed is a mitigation as the admin API lists it.
type listed struct {
	mitigation.Mitigation
	Kind     string  `json:"kind"`
	Hits     uint64  `json:"hits"`
	Cleared  uint64  `json:"hits_cleared"`
	Asked    uint64  `json:"asked"`
	Answered uint64  `json:"answered"`
	Observed float64 `json:"observed_collateral"`
}

// printHits tells whom a mitigation meets. What the machine watches beside it, how
// many ordinary visitors it meets, it does not watch of people's.
func printHits(w io.Writer, m *listed) {
	hits := "hits"
	if m.Shadow {
		hits = "would have hit"
	}
	fmt.Fprintf(w, "      %s %d, of visitors with a clearance %d · ordinary visitors hit: expected %.2f %%", hits, m.Hits, m.Cleared, 100*m.Expected)
	if m.By == mitigation.ByMachine {
		fmt.Fprintf(w, ", observed %.2f %%", 100*m.Observed)
	}
	if m.Asked > 0 {
		fmt.Fprintf(w, "\n      asked to come back with a cookie %d, did %d", m.Asked, m.Answered)
		if m.Few {
			fmt.Fprint(w, " (one client in sixteen is asked at first, to see who answers)")
		}
	}
	fmt.Fprintln(w)
}

func (t *target) show(w io.Writer, asJSON any, list []mitigation.Mitigation, none string) error {
	if t.json {
		return printJSON(w, asJSON)
	}
	if len(list) == 0 {
		fmt.Fprintln(w, none)
	}
	for i := range list {
		printMitigation(w, &list[i])
	}
	return nil
}

func printMitigation(w io.Writer, m *mitigation.Mitigation) {
	until := "until lifted"
	if !m.Until.IsZero() {
		until = "until " + m.Until.Local().Format("15:04:05")
	}
	if m.By == mitigation.ByRule {
		until = "until the configuration changes"
	}
	by := string(m.By)
	if m.Name != "" {
		by += " " + m.Name
	}
	if m.Shadow {
		by += " (dry run: only counted)"
	}
	fmt.Fprintf(w, "%4d  %-9s %s\n      by %s, %s", m.ID, m.Action, m.Match, by, until)
	if m.Note != "" {
		fmt.Fprintf(w, ": %s", m.Note)
	}
	fmt.Fprintln(w)
}

func whyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "why CODE",
		Short: "Tell what was refused, why, and how to let that visitor in",
		Long:  "Tell what stands behind a reference code (Seawall-Ref) that a visitor reports. Works with the daemon dead, too.",
		Args:  exactly(1, "the reference code that the visitor was shown"),
	}
	t := aim(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var why dashboard.Why
		err := t.call(c.Context(), "GET", "/api/v1/verdicts/"+url.PathEscape(args[0]), nil, &why)
		if errors.Is(err, errNotRunning) {
			why, err = app.WhyOffline(t.data, args[0])
		}
		if err != nil {
			return err
		}
		if t.json {
			return printJSON(c.OutOrStdout(), why)
		}
		fmt.Fprintln(c.OutOrStdout(), strings.Join(why.Sentences, "\n"))
		return nil
	}
	return c
}

func offCommand() *cobra.Command {
	return switchCommand("off", "Let everything through at once; works with the daemon dead, too", true)
}

func onCommand() *cobra.Command {
	return switchCommand("on", "Defend again after `seawall off`", false)
}

// switchCommand writes the switch into the data folder, which the daemon reads
// at its start and watches, and also tells a daemon that answers.
func switchCommand(name, short string, off bool) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, Args: exactly(0, "no argument")}
	t := aim(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		began := time.Now()
		say := func(daemon bool, format string, args ...any) error {
			if t.json {
				return printJSON(c.OutOrStdout(), switched{State: name, Daemon: daemon, Data: t.data})
			}
			fmt.Fprintf(c.OutOrStdout(), format, args...)
			return nil
		}
		fileErr := app.WriteOff(t.data, off)
		err := t.call(c.Context(), "POST", "/api/v1/"+name, nil, nil)
		switch {
		case err == nil:
			return say(true, "Seawall is %s, after %d ms.\n", name, time.Since(began).Milliseconds())
		case fileErr != nil:
			return fmt.Errorf("neither the daemon nor the switch in %s could be reached (name the right folder with --data): %w", t.data, errors.Join(err, fileErr))
		case errors.Is(err, errNotRunning):
			return say(false, "No daemon answers on %s. The switch in %s is %s: a Seawall that uses this folder obeys it within a second, and at its start.\n", t.admin, t.data, name)
		}
		return err
	}
	return c
}

// switched is what `seawall off` and `seawall on` print as JSON.
type switched struct {
	State  string `json:"state"`  // off or on
	Daemon bool   `json:"daemon"` // a running Seawall confirmed it
	Data   string `json:"data"`   // the folder whose switch was set
}

func reloadCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "reload",
		Short: "Read the configuration again: all of it, or, if anything in it is wrong, nothing",
		Args:  exactly(0, "no argument"),
	}
	t := aim(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := t.call(c.Context(), "POST", "/api/v1/reload", nil, nil); err != nil {
			return err
		}
		if t.json {
			return printJSON(c.OutOrStdout(), map[string]bool{"done": true})
		}
		fmt.Fprintln(c.OutOrStdout(), "The new configuration is in force.")
		return nil
	}
	return c
}
