// Command seawall keeps a website up while somebody tries to flood it off the
// internet. See the README; `seawall help` lists the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"seawall/internal/config"
)

// Exit codes are a contract with scripts.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

func main() { os.Exit(seawall(os.Args[1:], os.Stdout, os.Stderr)) }

// seawall runs one command line; tests call it too.
func seawall(args []string, out, errs io.Writer) int {
	ctx, stop := untilSignal()
	defer stop()
	root := commands()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var bad config.Errors
	if errors.As(err, &bad) {
		fmt.Fprintf(errs, "seawall: the configuration has %s:\n%v\n", count(len(bad), "problem"), bad)
		return exitUsage
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errors.New("ended before it was done")
	}
	fmt.Fprintln(errs, "seawall:", err)
	var usage usageError
	if errors.As(err, &usage) || errors.Is(err, errConfiguration) {
		return exitUsage
	}
	return exitFailed
}

// untilSignal returns a context that ends with the first signal to end, which
// asks for a proper end. A second one ends the program at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-asked:
		case <-ctx.Done():
		}
		signal.Stop(asked)
		cancel()
	}()
	return ctx, cancel
}

// usageError is a command line that cannot be right.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func commands() *cobra.Command {
	root := &cobra.Command{
		Use:           "seawall",
		Short:         "Keeps a website up while somebody tries to flood it off the internet",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q; `seawall help` lists them", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; `%s --help` lists what there is", err, c.CommandPath())
	})
	root.AddCommand(
		runCommand(), checkCommand(), reloadCommand(), upgradeCommand(),
		statusCommand(), normalCommand(), letterCommand(), mitigationsCommand(), whyCommand(),
		banCommand(), unbanCommand(), allowCommand(),
		slowCommand(), challengeCommand(), refuseCommand(), liftCommand(),
		undoCommand(), pinCommand(), offCommand(), onCommand(), confirmCommand(), captureCommand(),
		demoCommand(), benchCommand(), replayCommand(), doctorCommand(), versionCommand(),
	)
	return root
}

// loadIfNamed reads a configuration; without a file it is the usual one.
func loadIfNamed(file string) (*config.Config, error) {
	if file == "" {
		return config.Default(), nil
	}
	return config.Load(file)
}

// exactly is cobra.ExactArgs with the exit code for wrong usage.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s takes %s: %s", c.Name(), what, c.UseLine())
		}
		return nil
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
