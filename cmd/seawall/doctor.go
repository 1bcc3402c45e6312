package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"seawall/internal/app"
	"seawall/internal/doctor"
)

func doctorCommand() *cobra.Command {
	var file string
	var asJSON bool
	var o doctor.Options
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can bear, what weakens it, and what to do about each",
		Long: `Looks at kernel, network cards, rights, limits, settings and open ports, and
measures in a few seconds what this machine can drop, refuse and serve. Each line
is good, poor or missing, with what to do about it.

It changes nothing, and measures on loopback and in the kernel's test bench only.
Some lines need root: without it they say so.`,
		Example: `  sudo seawall doctor -c /etc/seawall/seawall.yaml
  seawall doctor --quick       # without measuring`,
		Args: exactly(0, "no argument"),
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "", "configuration file: its interfaces, ports and data folder")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.BoolVar(&o.Quick, "quick", false, "measure nothing")
	f.BoolVar(&o.Attach, "attach", false, "try whether the drivers take a program, with one that lets everything pass; many drop the link for a moment")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadIfNamed(file)
		if err != nil {
			return err
		}
		env := app.Doctor(cfg, file != "")
		self, err := os.Executable()
		if err != nil {
			return err
		}
		env.Executable, env.Shield = self, measuredArgs
		env.Progress = func(what string) { fmt.Fprintln(c.ErrOrStderr(), what) }
		report, err := doctor.Examine(c.Context(), env, o)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(c.OutOrStdout(), report)
		}
		return report.Text(c.OutOrStdout())
	}
	return c
}

// measuredArgs writes the configuration of the Seawall that the doctor measures
// and returns the arguments that start it.
func measuredArgs(s doctor.ShieldSpec) ([]string, error) {
	text, err := json.MarshalIndent(map[string]any{
		"data":            filepath.Join(s.Dir, "data"),
		"listen":          map[string]any{"addresses": []string{"127.0.0.1:0"}},
		"admin":           map[string]any{"listen": "127.0.0.1:0"},
		"proxy":           map[string]any{"origins": []map[string]any{{"url": s.Origin}}},
		"trusted_proxies": []string{"loopback"},
		"admit":           map[string]any{"allow": []string{s.Allow}, "deny": []string{s.Deny}},
	}, "", "  ") // JSON is YAML
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.Dir, "seawall.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	return []string{"run", "-c", path}, nil
}
