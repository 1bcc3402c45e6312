package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"seawall/internal/dashboard"
	"seawall/internal/packet"
)

// CaptureLife is how long captures are kept in the data folder.
const CaptureLife = 7 * 24 * time.Hour

// captureStamp is the time in a capture's name, in UTC.
const captureStamp = "20060102T150405Z"

// CaptureName is how a capture that is begun at some time is named. Files with
// such names are deleted when they are CaptureLife old.
func CaptureName(begun time.Time, encrypted bool) string {
	name := begun.UTC().Format(captureStamp) + ".pcapng"
	if encrypted {
		name += ".age"
	}
	return name
}

// captureBegun reads the time from a capture's name.
func captureBegun(name string) (begun time.Time, ok bool) {
	m := regexp.MustCompile(`^(\d{8}T\d{6}Z)\.pcapng(?:\.age)?$`).FindStringSubmatch(name)
	if m == nil {
		return begun, false
	}
	begun, err := time.Parse(captureStamp, m[1])
	return begun, err == nil
}

// CapturesFolder makes the folder for captures in a data folder, and returns its
// path. Only the data folder's owner, whose Seawall deletes what is old, may look
// into it (and root).
func CapturesFolder(data string) (string, error) {
	path := filepath.Join(data, "captures")
	err := os.Mkdir(path, 0o700)
	switch {
	case err == nil:
		err = giveToOwner(path, data)
	case errors.Is(err, fs.ErrExist):
		err = os.Chmod(path, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("make the folder for captures: %w", err)
	}
	return path, nil
}

// giveToOwner gives a path to the owner of another, which matters to root only.
func giveToOwner(path, like string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}

// keepCaptures makes the folder for captures and deletes what is too old in it, at
// the start and once an hour, until ctx ends.
func (p *program) keepCaptures(ctx context.Context) error {
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for {
		dir, err := CapturesFolder(p.cfg.Load().Data)
		if err == nil {
			err = deleteCaptures(dir, time.Now())
		}
		if err != nil {
			p.log.Error("captures may be kept for longer than seven days", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-hourly.C:
		}
	}
}

// deleteCaptures deletes the captures in a folder whose names say that they are
// too old, and no other file.
func deleteCaptures(dir string, now time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for old captures: %w", err)
	}
	var failed []error
	for _, e := range entries {
		begun, ok := captureBegun(e.Name())
		if !ok || !e.Type().IsRegular() || now.Sub(begun) < CaptureLife {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, fmt.Errorf("delete an old capture: %w", err))
		}
	}
	return errors.Join(failed...)
}

// Capture is a person's order, and stands in the log.
func (s shield) Capture(ctx context.Context, o dashboard.CaptureOrder) (io.WriterTo, error) {
	c, err := s.packet.Capture(ctx, packet.Want{Stopped: o.Stopped, Passed: o.Passed, Most: o.Most})
	if err != nil {
		return nil, dashboard.Kind(dashboard.ErrNotNow, err)
	}
	s.log.Info("a person has packets captured, cut behind their headers", "for", o.For, "stopped", o.Stopped, "passed", o.Passed, "bytes", o.Most)
	return c, nil
}
