package main

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"seawall/internal/app"
	"seawall/internal/kit/accesslog"
	"seawall/internal/replay"
)

func replayCommand() *cobra.Command {
	var file, format, learn string
	var ports, to []string
	var rate uint64
	var long time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Run the control loop over access logs and captures of packets: what would have been noticed, done, and whom it would have hit",
		Long: `Reads access logs and captures of packets as fast as it can, in the time that they
tell of, and runs the same loop over them that defends a site. Several files are read
as one, by time: the parts of a rotated log, the logs of several servers, a log and a
capture of the same hour. gzip and zstd are decompressed; the form is found out: combined,
common, JSON of nginx, Caddy, Cloudflare and Traefik, AWS ALB, or a table with a head; pcap
and pcapng.

With --learn, what is learnt of ordinary traffic is left in the data folder, so
that a Seawall that is started in the midst of an attack knows what is normal.

A log does not tell everything: there are no cookies in it, and no line for the
origin, so that a running Seawall knows more than this shows. A capture has no
sockets in it: what belongs to no connection is stopped in truth, and SYNs are
answered with cookies.`,
		Example: `  seawall replay /var/log/nginx/access.log*
  seawall replay --format '$host $remote_addr [$time_local] "$request" $status' access.log
  sudo seawall replay --learn /var/lib/seawall /var/log/nginx/access.log.1
  seawall replay --ports 443 --to 203.0.113.7 quiet.pcap attack.pcapng.zst
  seawall replay --ports any --rate 20000 --for 10s attack.pcap`,
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
	f.StringSliceVar(&ports, "ports", nil, "of captures: the ports that are protected, or any (those of the configuration, or 80 and 443)")
	f.StringSliceVar(&to, "to", nil, "of captures: the addresses or prefixes that are protected")
	f.Uint64Var(&rate, "rate", 0, "play a capture with so many packets a second, whatever times it tells")
	f.DurationVar(&long, "for", 0, "with --rate: play it over and over, for so long")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := loadIfNamed(file)
		if err != nil {
			return err
		}
		setup, err := replaySetup(ports, to)
		if err != nil {
			return err
		}
		switch {
		case c.Flags().Changed("rate") && (rate == 0 || rate > mostRate):
			return usagef("--rate is from 1 to %d packets a second", mostRate)
		case long != 0 && rate == 0:
			return usagef("--for says how long a capture is played over and over; say with --rate how many packets a second")
		case long < 0 || long > mostLong:
			return usagef("--for is at most %v", mostLong)
		}
		setup.Learn, setup.Named = learn, file != ""
		o := app.Replay(cfg, setup)
		o.Rate, o.For = rate, long
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
				part := min(float64(read)/float64(max(all, 1)), 1)
				fmt.Fprintf(errs, "\r[%-*s] %3.0f %%  %s", width, stripe[:int(width*part)], 100*part, at.UTC().Format(time.DateTime))
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

// How fast and for how long a capture can be played in another time than its own.
const (
	mostRate = 100_000_000
	mostLong = time.Hour
)

// replaySetup reads which ports and addresses are protected.
func replaySetup(ports, to []string) (s app.ReplaySetup, err error) {
	for _, text := range ports {
		if text == "any" {
			s.AnyPort = true
			continue
		}
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return s, usagef("--ports: %q is no port; write numbers such as 80,443, or any", text)
		}
		s.Ports = append(s.Ports, uint16(n))
	}
	for _, text := range to {
		p, err := netip.ParsePrefix(text)
		if a, fail := netip.ParseAddr(text); err != nil && fail == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return s, usagef("--to: %q is neither an address nor a prefix such as 203.0.113.0/24", text)
		}
		s.To = append(s.To, p.Masked())
	}
	return s, nil
}
