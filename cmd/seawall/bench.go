package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"seawall/internal/bench"
)

// errBar is returned when a bar was missed, so that scripts can tell.
var errBar = errors.New("not every bar was met")

func benchCommand() *cobra.Command {
	var o bench.Options
	var asJSON bool
	c := &cobra.Command{
		Use:   "bench [SCENARIO...]",
		Short: "Measure floods, crowds and memory against their bars, beside nginx and HAProxy",
		Long: `Runs real processes on loopback and prints what was asked beside what was
measured. Scenarios: ` + strings.Join(bench.Names(), ", ") + ` (all of them, when none is named).`,
		Args: func(_ *cobra.Command, args []string) error {
			for _, name := range args {
				if !slices.Contains(bench.Names(), name) {
					return usagef("there is no scenario %q; there are %s", name, strings.Join(bench.Names(), ", "))
				}
			}
			o.Scenarios = args
			return nil
		},
	}
	c.AddCommand(accuracyCommand())
	c.Flags().BoolVar(&o.Peers, "peers", false, "the same floods at nginx and HAProxy, where installed, and at the bare site")
	c.Flags().BoolVar(&o.Short, "short", false, "shorter floods, for a quick look")
	c.Flags().Uint64Var(&o.Clients, "clients", 0, "distinct clients of the memory scenario (default 1,000,000)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		env, err := demoEnv(c)
		if err != nil {
			return err
		}
		o.Progress = func(what string) { fmt.Fprintln(c.ErrOrStderr(), what) }
		report, err := bench.Run(c.Context(), o, bench.Env{Executable: env.Executable, Role: env.Role})
		if err != nil {
			return err
		}
		if asJSON {
			err = printJSON(c.OutOrStdout(), report)
		} else {
			err = report.Table(c.OutOrStdout())
		}
		if err == nil && !report.Passed() {
			err = errBar
		}
		return err
	}
	return c
}
