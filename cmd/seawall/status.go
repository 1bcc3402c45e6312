package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// status is what GET /api/v1/status answers, as far as the view shows it.
type status struct {
	State   string          `json:"state"`
	Mode    string          `json:"mode"`
	Version string          `json:"version"`
	Listen  []string        `json:"listen"`
	Now     time.Time       `json:"now"`
	Started time.Time       `json:"started"`
	Window  *traffic.Window `json:"window"`
	Attack  *attackStatus   `json:"attack"`
	Attacks []attackStatus  `json:"attacks"`
	Packets []packetAttack  `json:"packet_attacks"`
	Found   []found         `json:"findings"`
	Doing   []listed        `json:"mitigations"` // the first 200
	Active  int             `json:"active"`      // how many in all
	Bans    int             `json:"bans"`        // how many of them are bans by the machine
	// Troubles are what does not work.
	Troubles []string `json:"troubles"`
	Records  []struct {
		At   time.Time `json:"at"`
		Step string    `json:"step"`
		Text string    `json:"text"`
	} `json:"records"`
	Memory struct {
		Resident int64 `json:"resident"`
		Ceiling  int64 `json:"ceiling"`
	} `json:"memory"`
}

type attackStatus struct {
	Vector    string            `json:"vector"`
	Since     time.Time         `json:"since"`
	Noticed   time.Time         `json:"noticed"`
	Mitigated *time.Time        `json:"mitigated"`
	Ended     *time.Time        `json:"ended"`
	Peak      float64           `json:"peak"`
	Normal    float64           `json:"normal"`
	Refused   uint64            `json:"refused"`
	Countries map[string]uint64 `json:"countries"`
}

// packetAttack is a flood of packets.
type packetAttack struct {
	What   string    `json:"what"`
	Target string    `json:"target"`
	Since  time.Time `json:"since"`
	Rate   float64   `json:"rate"`
	Normal float64   `json:"normal"`
	Doing  string    `json:"doing"`
}

// found is something else that was found.
type found struct {
	Vector attack.Vector `json:"vector"`
	What   string        `json:"what"`
	Since  time.Time     `json:"since"`
	Rate   float64       `json:"rate"`
	Normal float64       `json:"normal"`
	Unit   string        `json:"unit"`
	Doing  string        `json:"doing"`
}

func statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show traffic, attack, what is being done and who is hurt, live",
		Args:  exactly(0, "no argument"),
	}
	t := aim(c)
	once := c.Flags().Bool("once", false, "print once and end (the default where the output is no terminal)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if t.json {
			var raw any
			if err := t.call(c.Context(), "GET", "/api/v1/status", nil, &raw); err != nil {
				return err
			}
			return printJSON(c.OutOrStdout(), raw)
		}
		f, isFile := c.OutOrStdout().(*os.File)
		if *once || !isFile || !term.IsTerminal(int(f.Fd())) {
			var s status
			if err := t.call(c.Context(), "GET", "/api/v1/status", nil, &s); err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), (&view{width: 100}).draw(&s))
			return nil
		}
		return live(c, t, f)
	}
	return c
}

// live redraws the view each second until the person has seen enough.
func live(c *cobra.Command, t *target, f *os.File) error {
	const (
		enter = "\x1b[?1049h\x1b[?25l" // the other screen, no cursor
		leave = "\x1b[?25h\x1b[?1049l"
		home  = "\x1b[H"
		rest  = "\x1b[J" // clear what is below
	)
	var s status
	if err := t.call(c.Context(), "GET", "/api/v1/status", nil, &s); err != nil {
		return err
	}
	fmt.Fprint(f, enter)
	defer fmt.Fprint(f, leave)
	v := &view{color: true}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil {
			width, height = 100, 30
		}
		v.width = width
		lines := strings.Split(strings.TrimRight(v.draw(&s), "\n"), "\n")
		if len(lines) > height-2 {
			lines = lines[:max(height-2, 1)]
		}
		fmt.Fprint(f, home, strings.Join(lines, "\x1b[K\n"), "\x1b[K\n\x1b[2mCtrl-C ends this view; Seawall goes on.\x1b[0m\x1b[K", rest)
		select {
		case <-c.Context().Done():
			return nil
		case <-tick.C:
		}
		next := status{}
		if err := t.call(c.Context(), "GET", "/api/v1/status", nil, &next); err != nil {
			if c.Context().Err() != nil {
				return nil
			}
			fmt.Fprint(f, home, "\x1b[31m", err, "\x1b[0m", rest)
			continue
		}
		s = next
	}
}
