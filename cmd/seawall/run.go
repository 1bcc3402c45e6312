package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"seawall/internal/app"
	"seawall/internal/config"
	"seawall/internal/kit/handover"
	"seawall/internal/kit/systemd"
)

// settings are the flags that stand above the configuration file.
type settings struct {
	file        string
	origin      string
	listen      string
	admin       string
	data        string
	mode        string
	underAttack bool
}

func (s *settings) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&s.file, "config", "c", "", "configuration file")
	f.StringVar(&s.origin, "origin", "", "the site to protect: http://127.0.0.1:3000")
	f.StringVar(&s.listen, "listen", "", "address to serve on (default 127.0.0.1:8080)")
	f.StringVar(&s.admin, "admin", "", "address for the operator (default 127.0.0.1:9090)")
	f.StringVar(&s.data, "data", "", "folder for what outlives a restart (default ./seawall-data)")
	f.StringVar(&s.mode, "mode", "", "defend (the default), or watch: count whom it would stop, and stop nobody")
	f.BoolVar(&s.underAttack, "under-attack", false, "start with the stance of an attack")
}

// load reads the file, puts the flags above it, and checks the whole.
func (s *settings) load() (*config.Config, error) {
	return config.Compose(s.file, config.Flags{
		Origin: s.origin, Listen: s.listen, Admin: s.admin, Data: s.data, Mode: s.mode, UnderAttack: s.underAttack,
	})
}

func runCommand() *cobra.Command {
	s := &settings{}
	c := &cobra.Command{
		Use:     "run",
		Short:   "Stand in front of a site and keep it up",
		Example: "  seawall run --origin http://127.0.0.1:3000",
		Args:    exactly(0, "no argument"),
	}
	s.flags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		// Before anything else is done with descriptors and signals: this process may
		// have been started in the place of another one.
		reload, upgrade := make(chan os.Signal, 1), make(chan os.Signal, 1)
		signal.Notify(reload, syscall.SIGHUP)
		defer signal.Stop(reload)
		signal.Notify(upgrade, syscall.SIGUSR2)
		defer signal.Stop(upgrade)
		from, err := handover.Inherit()
		if err != nil {
			return err
		}
		sockets, err := systemd.Sockets()
		if err != nil {
			return err
		}
		cfg, err := s.load()
		if err != nil {
			if from != nil {
				from.Refuse(err)
			}
			return err
		}
		session := ""
		if term.IsTerminal(int(os.Stdin.Fd())) {
			session = os.Getenv("SSH_CONNECTION")
		}
		return app.Run(c.Context(), cfg, app.Options{
			Version: version(),
			Session: session,
			Load:    s.load,
			Reload:  reload,
			Log:     c.ErrOrStderr(),
			Ready: func(where string) {
				fmt.Fprintln(c.OutOrStdout(), "seawall: ready", where)
			},
			Program: again(),
			Upgrade: upgrade,
			From:    from,
			Sockets: sockets,
			Manager: systemd.Find(),
		})
	}
	return c
}

// again is the program that lies at this one's path when it is started, with the
// same arguments.
func again() handover.Program {
	path, err := os.Executable()
	if err != nil {
		return handover.Program{} // an upgrade will say that there is none
	}
	return handover.Program{Path: path, Args: os.Args[1:]}
}

func checkCommand() *cobra.Command {
	s := &settings{}
	c := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration: every problem at once, with file, line and what would be right",
		Long: `Check a configuration without starting anything: its keys and values, whether its files, ports and folders can be used, and whether the origin answers.

With --against-recent its rules are tried as well on the ordinary requests that the running Seawall has seen lately. A rule that would have refused more than 0.1 % of them is told, and the command fails, unless the rule says sure: true.`,
		Example: "  seawall check -c seawall.yaml --against-recent",
		Args:    exactly(0, "no argument"),
	}
	s.flags(c)
	recent := c.Flags().Bool("against-recent", false, "try the rules on what the running Seawall has seen lately")
	asJSON := c.Flags().Bool("json", false, "with --against-recent: print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *asJSON && !*recent {
			return usagef("--json is for --against-recent")
		}
		cfg, err := s.load()
		if err := app.Check(c.Context(), cfg, err); err != nil {
			return err
		}
		if *recent {
			t := &target{admin: s.admin, data: s.data, json: *asJSON}
			if err := t.resolve(s.file); err != nil {
				return err
			}
			return tryRules(c.Context(), c.OutOrStdout(), t, cfg.Rules)
		}
		fmt.Fprintln(c.OutOrStdout(), "The configuration is right, its ports are free and the origin answers.")
		return nil
	}
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintln(c.OutOrStdout(), "seawall", version())
			return nil
		},
	}
}

// release is set by the linker for released binaries.
var release string

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
