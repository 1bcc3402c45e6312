package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"seawall/internal/app"
	"seawall/internal/config"
	"seawall/internal/dashboard"
)

func captureCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "capture",
		Short: "Record the headers of sampled packets as evidence, encrypted",
		Long: "Record sampled packets that were stopped, or that passed, in a pcapng file: cut behind their headers, " +
			"bounded in size and encrypted (age-encryption.org). Seawall deletes it after seven days.",
		Example: "  seawall capture --to age1... --for 30s\n  seawall capture --passed --plain -o - | tcpdump -nn -r -",
		Args:    exactly(0, "no argument"),
	}
	t := aim(c)
	s, o, most := &secrecy{}, dashboard.CaptureOrder{}, config.Size(10<<20)
	f := c.Flags()
	out := f.StringP("output", "o", "", "file to write, - for standard output (default: captures/TIME.pcapng.age in the data folder)")
	f.DurationVar(&o.For, "for", 30*time.Second, "how long, up to 1h")
	f.BoolVar(&o.Stopped, "stopped", false, "packets that were stopped (the default, unless --passed is given)")
	f.BoolVar(&o.Passed, "passed", false, "packets that passed")
	f.TextVar(&most, "most", most, "end when so much is recorded, up to 1GiB")
	f.StringArrayVar(&s.to, "to", nil, "encrypt for this public key, age1... or ssh-ed25519 ...; may be repeated")
	f.StringVar(&s.passphrase, "passphrase-file", "", "encrypt with the passphrase in this file")
	f.BoolVar(&s.plain, "plain", false, "do not encrypt")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.Most = int64(most)
		o.Stopped = o.Stopped || !o.Passed
		if err := o.Check(); err != nil {
			return usageError{err}
		}
		to, err := s.recipients()
		if err != nil {
			return err
		}
		if f, ok := c.OutOrStdout().(*os.File); *out == "-" && ok && term.IsTerminal(int(f.Fd())) {
			return usagef("a capture is no text for a terminal: name a file with -o, or send it on with | tcpdump -nn -r -")
		}
		got, err := record(c, t, o, to, *out)
		if got == nil {
			return err
		}
		say := c.OutOrStdout()
		if got.File == "" {
			say = c.ErrOrStderr() // the capture went to standard output
		}
		if t.json {
			return errors.Join(err, printJSON(say, got))
		}
		fmt.Fprint(say, got.text(o, s.reading()))
		return err
	}
	return c
}

// record has packets captured. Where something is kept, it says what, also beside
// an error.
func record(c *cobra.Command, t *target, o dashboard.CaptureOrder, to []age.Recipient, out string) (*captured, error) {
	stream, err := t.stream(c.Context(), "/api/v1/capture?"+o.Query())
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	k, err := keepIn(out, t.data, to, c.OutOrStdout())
	if err != nil {
		return nil, err
	}
	got, err := copyCapture(k, stream, newProgress(c.ErrOrStderr(), o.For))
	if bad := k.close(); got.broken || bad != nil {
		if !got.broken {
			err = bad
		}
		k.discard()
		return nil, fmt.Errorf("write the capture: %w", err)
	}
	got.File, got.Encrypted, got.Deleted = k.name, len(to) > 0, k.deleted
	switch {
	case err != nil && c.Context().Err() != nil:
		got.Ended = "it was interrupted" // by a person, who wants what is there
		err = nil
	case err != nil:
		got.Ended = "Seawall broke it off"
		err = fmt.Errorf("the capture broke off, and what was there is kept: %w", err)
	case o.Most-got.Bytes < fullBelow:
		got.Ended = group(uint64(o.Most)) + " bytes were full"
	default:
		got.Ended = "the time was over"
	}
	return &got, err
}

// fullBelow is how many bytes may be left in a capture that is full: fewer than
// its longest packet has.
const fullBelow = 512

// kept is where a capture is kept.
type kept struct {
	io.Writer
	name    string     // "": standard output
	deleted *time.Time // when Seawall deletes it; nil: it does not
	file    *os.File   // nil: standard output
	seal    io.Closer  // nil: not encrypted
}

// keepIn opens a capture's file, or names standard output. Nothing is replaced.
func keepIn(out, data string, to []age.Recipient, stdout io.Writer) (*kept, error) {
	k := &kept{Writer: stdout}
	if out != "-" {
		if k.name = out; out == "" {
			dir, err := app.CapturesFolder(data)
			if err != nil {
				return nil, err
			}
			begun := time.Now().UTC().Truncate(time.Second)
			end := begun.Add(app.CaptureLife)
			k.name, k.deleted = filepath.Join(dir, app.CaptureName(begun, len(to) > 0)), &end
		}
		var err error
		k.file, err = os.OpenFile(k.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, fmt.Errorf("make the capture's file: %w", err)
		}
		k.Writer = k.file
	}
	if len(to) > 0 {
		w, err := age.Encrypt(k.Writer, to...)
		if err != nil {
			k.discard()
			return nil, fmt.Errorf("encrypt the capture: %w", err)
		}
		k.Writer, k.seal = w, w
	}
	return k, nil
}

// close ends the file; it is on the disk then.
func (k *kept) close() error {
	var err error
	if k.seal != nil {
		err = k.seal.Close()
	}
	if k.file != nil {
		err = errors.Join(err, k.file.Sync(), k.file.Close())
	}
	return err
}

// discard removes what is of no use.
func (k *kept) discard() {
	if k.file != nil {
		k.file.Close()
		_ = os.Remove(k.name) // whoever gave the name is told of the error that led here
	}
}
