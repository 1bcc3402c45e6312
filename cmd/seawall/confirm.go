package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"seawall/internal/app"
)

func confirmCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "confirm",
		Short: "Say that this machine can still be reached, so that packets stay filtered",
		Long: `The first time that packets are filtered, and whenever interfaces or ports have
changed, Seawall stops filtering after packet.confirm_within unless somebody
confirms that the machine can still be reached. This does; where the time is
over, packets are filtered again.

With no Seawall running, the next one that uses the data folder counts as
confirmed.`,
		Args: exactly(0, "no argument"),
	}
	t := aim(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		err := t.call(c.Context(), "POST", "/api/v1/confirm", nil, nil)
		daemon := err == nil
		if errors.Is(err, errNotRunning) {
			if err = app.WriteConfirmed(t.data); err != nil {
				err = fmt.Errorf("%w (name the right folder with --data)", err)
			}
		}
		switch {
		case err != nil:
			return err
		case t.json:
			return printJSON(c.OutOrStdout(), confirmed{Daemon: daemon, Data: t.data})
		case daemon:
			fmt.Fprintln(c.OutOrStdout(), "Confirmed: packets stay filtered.")
		default:
			fmt.Fprintf(c.OutOrStdout(), "No daemon answers on %s. It is confirmed in %s: a Seawall that uses this folder goes by it.\n", t.admin, t.data)
		}
		return nil
	}
	return c
}

// confirmed is what `seawall confirm` prints as JSON.
type confirmed struct {
	Daemon bool   `json:"daemon"` // a running Seawall took it
	Data   string `json:"data"`   // the folder in which it stands
}
