package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"seawall/internal/app"
	"seawall/internal/demo"
)

func demoCommand() *cobra.Command {
	o := demo.DefaultOptions()
	var without, siteOnly bool
	var kind, role string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show Seawall at work: a campaign site, its visitors and a flood, all on this machine",
		Long: `A small campaign site, ordinary visitors, Seawall in front, and then a flood by
a botnet whose addresses lie in Russia and Brazil. All of it stays on loopback:
addresses are told to Seawall by PROXY protocol, and no packet leaves the
machine.`,
		Example: `  seawall demo                 # 200 sources at 50 requests a second each
  seawall demo --kind wide     # 2,000 sources at 2 requests a second each
  seawall demo --kind crowd    # ten times as many visitors, and no attack
  seawall demo --without       # the same flood with no Seawall
  seawall demo --site          # the campaign site alone`,
		Args: exactly(0, "no argument"),
	}
	f := c.Flags()
	f.StringVar(&kind, "kind", string(o.Kind), "heavy, wide, crowd or none")
	f.IntVar(&o.Seconds, "seconds", o.Seconds, "length of the flood")
	f.IntVar(&o.Quiet, "quiet", o.Quiet, "seconds of ordinary traffic before it")
	f.IntVar(&o.Visitors, "visitors", o.Visitors, "ordinary visitors")
	f.IntVar(&o.Newcomers, "newcomers", o.Newcomers, "visitors who first come during the flood")
	f.BoolVar(&without, "without", false, "the same flood with no Seawall, for the comparison")
	f.BoolVar(&siteOnly, "site", false, "run the campaign site alone")
	f.StringVar(&o.SiteListen, "site-listen", o.SiteListen, "where the campaign site listens (loopback)")
	f.BoolVar(&o.JSON, "json", false, "print the summary as JSON")
	f.BoolVar(&o.Keep, "keep", false, "stay up afterwards to be looked at")
	f.StringVar(&role, "role", "", "a part of the demo, in a process of its own")
	if err := f.MarkHidden("role"); err != nil {
		panic(err) // the flag stands two lines above
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		env, err := demoEnv(c)
		if err != nil {
			return err
		}
		if role != "" {
			return demo.RunRole(c.Context(), role, c.InOrStdin(), c.OutOrStdout(), env)
		}
		o.Kind = demo.Kind(kind)
		if without {
			o.Front = demo.FrontNone
		}
		if err := o.Validate().Err(); err != nil {
			return usageError{err}
		}
		if siteOnly {
			return demo.RunSite(c.Context(), demo.SiteSpec{Listen: o.SiteListen, Config: o.Site}, func(a demo.SiteAddrs) error {
				_, err := fmt.Fprintf(c.OutOrStdout(), "The campaign site is at http://%s; Ctrl-C ends it.\n", a.Site)
				return err
			})
		}
		_, err = demo.Run(c.Context(), o, env)
		return err
	}
	return c
}

// demoEnv is what the demo needs of the program that it is part of.
func demoEnv(c *cobra.Command) (demo.Env, error) {
	self, err := os.Executable()
	if err != nil {
		return demo.Env{}, err
	}
	addresses, err := app.Addresses()
	if err != nil {
		return demo.Env{}, err
	}
	file, isFile := c.OutOrStdout().(*os.File)
	return demo.Env{
		Executable: self,
		Role:       func(role string) []string { return []string{"demo", "--role", role} },
		Shield:     shieldArgs,
		Addresses:  addresses,
		Out:        c.OutOrStdout(),
		Terminal:   isFile && term.IsTerminal(int(file.Fd())),
		Width: func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 80
			}
			return width
		},
	}, nil
}

// shieldArgs writes the configuration of the demo's Seawall and returns the
// arguments that start it.
func shieldArgs(s demo.ShieldSpec) ([]string, error) {
	cfg := map[string]any{
		"data":   filepath.Join(s.Dir, "data"),
		"listen": map[string]any{"addresses": []string{s.Listen}},
		"admin":  map[string]any{"listen": s.Admin},
		"proxy":  map[string]any{"origins": []map[string]any{{"url": s.Origin}}},
	}
	if s.Relay || s.Forwarded {
		cfg["trusted_proxies"] = []string{"loopback"}
	}
	if s.Relay {
		cfg["listen"].(map[string]any)["proxy_protocol"] = "required"
	}
	if s.Memory > 0 {
		cfg["memory"] = s.Memory
	}
	text, err := json.MarshalIndent(cfg, "", "  ") // JSON is YAML
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.Dir, "seawall.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	return []string{"run", "-c", path}, nil
}
