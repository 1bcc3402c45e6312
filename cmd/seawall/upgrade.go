package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"seawall/internal/app"
)

// upgradePatience is how long the new process may take: what app allows for its
// checks and for taking over, and a little more.
const upgradePatience = 45 * time.Second

func upgradeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Have the program that is installed now take over from the one that runs, without losing a request",
		Long: "Have the program that is installed now take over from the one that runs, without losing a request. " +
			"The new one checks itself and the configuration first; if anything is wrong, the old one goes on. " +
			"All settings may have changed, those that need a restart too. Install the new program first.",
		Args: exactly(0, "no argument"),
	}
	t := aim(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(c.Context(), upgradePatience)
		defer cancel()
		var begun struct{ PID int }
		if err := t.callWithin(ctx, upgradePatience, "POST", "/api/v1/upgrade", nil, &begun); err != nil {
			return err
		}
		now, err := t.awaitUpgrade(ctx, begun.PID)
		if err != nil {
			return err
		}
		if t.json {
			return printJSON(c.OutOrStdout(), now)
		}
		fmt.Fprintf(c.OutOrStdout(), "Seawall %s has taken over (process %d). The old process ends when it has finished what it had begun.\n", now.Version, now.PID)
		return nil
	}
	return c
}

// taken is what a command tells of the process that serves.
type taken struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	Upgrade string `json:"upgrade,omitempty"` // why there was none
}

// awaitUpgrade asks who answers until it is a certain process, or one that says why
// it is not.
func (t *target) awaitUpgrade(ctx context.Context, pid int) (taken, error) {
	for {
		var now taken
		err := t.callWithin(ctx, 5*time.Second, "GET", "/api/v1/status", nil, &now)
		switch {
		case err == nil && now.PID == pid:
			return now, nil
		case err == nil && now.Upgrade != "":
			return now, errors.New(now.Upgrade)
		case err != nil:
			// The new process may have been configured with another address.
			if r, e := app.ReadRunning(t.data); e == nil && r.PID == pid {
				t.admin = r.Admin
			}
		}
		select {
		case <-ctx.Done():
			return now, fmt.Errorf("the new process (%d) has checked itself, and nobody says that it serves; the log says why", pid)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
