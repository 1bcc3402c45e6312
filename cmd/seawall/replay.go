package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"seawall/internal/app"
	"seawall/internal/kit/accesslog"
	"seawall/internal/replay"
)

func replayCommand() *cobra.Command {
	var file, format, learn string
	var asJSON bool
	c := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Run the control loop over access logs: what would have been noticed, done, and whom it would have hit",
		Long: `Reads access logs as fast as it can, in the time that they tell of, and runs the
same loop over them that defends a site. Several files are read as one, by time:
the parts of a rotated log, or the logs of several servers. gzip and zstd are
decompressed; the form is found out: combined, common, JSON of nginx, Caddy,
Cloudflare and Traefik, AWS ALB, or a table with a head.

With --learn, what is learnt of ordinary traffic is left in the data folder, so
that a Seawall that is started in the midst of an attack knows what is normal.

A log does not tell everything: there are no cookies in it, and no line for the
origin, so that a running Seawall knows more than this shows.`,
		Example: `  seawall replay /var/log/nginx/access.log*
  seawall replay --format '$host $remote_addr [$time_local] "$request" $status' access.log
  sudo seawall replay --learn /var/lib/seawall /var/log/nginx/access.log.1`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("replay takes the logs to read: seawall replay FILE...")
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "", "configuration file: other settings to try")
	f.StringVar(&format, "format", "", "form of the lines: combined, vhost_combined, common, json, alb, or a description as nginx and Apache have it")
	f.StringVar(&learn, "learn", "", "data folder in which to leave what was learnt")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := loadIfNamed(file)
		if err != nil {
			return err
		}
		o := replay.Options{World: app.ReplayWorld(cfg, learn)}
		if format != "" {
			var ok bool
			if o.Format, ok = accesslog.Named(format); !ok {
				var err error
				if o.Format, err = accesslog.ParseFormat(format); err != nil {
					return usagef("--format: %w; known by name are combined, vhost_combined, common, json and alb", err)
				}
			}
		}
		if errs, ok := c.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(errs.Fd())) {
			o.Progress = func(read, all int64, at time.Time) {
				const width = 30
				n := int(width * read / max(all, 1))
				fmt.Fprintf(errs, "\r[%-*s] %3d %%  %s", width, stripe[:min(n, width)], 100*read/max(all, 1), at.UTC().Format(time.DateTime))
			}
			defer fmt.Fprint(errs, "\r\033[K")
		}
		report, err := replay.Run(c.Context(), args, o)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(c.OutOrStdout(), report)
		}
		if err := report.Text(c.OutOrStdout()); err != nil || learn == "" {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "\nWhat was learnt is in %s; start Seawall on it.\n", learn)
		return err
	}
	return c
}

const stripe = "=============================="
