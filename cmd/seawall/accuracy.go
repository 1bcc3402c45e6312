package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"seawall/internal/app"
	"seawall/internal/bench"
)

func accuracyCommand() *cobra.Command {
	var o bench.AccuracyOptions
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "accuracy",
		Short: "Hold made-up floods and ordinary days against the door and the control loop, and count what they get right",
		Long: `Plays floods of many kinds, each at three strengths, and days that are no attack
(crowds, crawlers, newsletters, a slow origin), in made-up time: noticed or not,
after how long, what was stopped, and which ordinary requests and visitors were
touched. A third of the scenarios is held out from those that detectors are
changed by; both scores are told.`,
		Args: exactly(0, "no argument"),
	}
	f := c.Flags()
	f.Uint64Var(&o.Seed, "seed", 1, "another one makes other traffic of the same kinds")
	f.StringVar(&o.Only, "only", "", "scenarios with this in their names")
	f.StringVarP(&file, "config", "c", "", "configuration file: other settings to try")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadIfNamed(file)
		if err != nil {
			return err
		}
		o.World = app.AccuracyWorld(cfg)
		o.Progress = func(done, all int, name string) {
			fmt.Fprintf(c.ErrOrStderr(), "%d of %d: %s\n", done+1, all, name)
		}
		report, err := bench.Accuracy(c.Context(), o)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(c.OutOrStdout(), report)
		}
		return report.Table(c.OutOrStdout())
	}
	return c
}
