package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seawall/internal/mitigation"
)

func slowCommand() *cobra.Command {
	return matchCommand("slow", "Send to the end of the line what matches an expression (packets: only count it)", "", `path == "/search" && clearance == "none"`)
}

func challengeCommand() *cobra.Command {
	return matchCommand("challenge", "Ask who wants a page that matches, and has no clearance, to come back for it with a cookie",
		"What is no page to be looked at (forms, feeds, APIs, assets) cannot be sent back, and goes to the end of the line.\n", `country != "GB" && kind == "page"`)
}

func refuseCommand() *cobra.Command {
	return matchCommand("refuse", "Turn away what matches an expression", "", `user_agent.startsWith("masscan")`)
}

func matchCommand(action, short, more, example string) *cobra.Command {
	c := &cobra.Command{
		Use:     action + " MATCH",
		Short:   short,
		Long:    short + ".\n" + more + "What can be written in an expression: docs/api.md. To try one on recent ordinary visitors first, write it as a rule into the configuration and run `seawall check -c FILE --against-recent`.",
		Example: "  seawall " + action + " '" + example + "' --for 10m --note 'why'",
		Args:    exactly(1, "one expression, in single quotes"),
	}
	t := aim(c)
	last, note := lastAndNote(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		body, err := ordered(*last, *note)
		if err != nil {
			return err
		}
		body["action"], body["match"] = action, args[0]
		var m mitigation.Mitigation
		if err := t.call(c.Context(), "POST", "/api/v1/mitigations", body, &m); err != nil {
			return err
		}
		if err := t.show(c.OutOrStdout(), m, []mitigation.Mitigation{m}, ""); err != nil || t.json || m.Expected == 0 {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "      of recent ordinary traffic it would have hit %.2f %%; `seawall lift %d` takes it back\n", 100*m.Expected, m.ID)
		return nil
	}
	return c
}

func liftCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "lift NUMBER",
		Short:   "End a mitigation; the machine may not repeat its own for an hour",
		Example: "  seawall lift 12",
		Args:    exactly(1, numberOf),
	}
	t := aim(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := idOf(args[0])
		if err != nil {
			return err
		}
		var gone []mitigation.Mitigation
		if err := t.call(c.Context(), "DELETE", fmt.Sprintf("/api/v1/mitigations/%d", id), nil, &gone); err != nil {
			return err
		}
		return t.show(c.OutOrStdout(), gone, gone, "")
	}
	return c
}

const numberOf = "the number of a mitigation, as `seawall mitigations` shows it"

// idOf reads the number of a mitigation, with or without a #.
func idOf(text string) (mitigation.ID, error) {
	id, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 10, 32)
	if err != nil {
		return 0, usagef("%q is no number of a mitigation: `seawall mitigations` shows them", text)
	}
	return mitigation.ID(id), nil
}

// lastAndNote adds the flags that say how long an order stands, and why.
func lastAndNote(c *cobra.Command) (last *time.Duration, note *string) {
	return c.Flags().Duration("for", 0, "how long; without it, until lifted"),
		c.Flags().String("note", "", "why, for whoever reads it later")
}

// ordered is what an order says about how long it stands, and why.
func ordered(last time.Duration, note string) (map[string]string, error) {
	if last < 0 {
		return nil, usagef("--for %v: write a time such as 10m or 24h", last)
	}
	body := map[string]string{"note": note}
	if last > 0 {
		body["for"] = last.String()
	}
	return body, nil
}
