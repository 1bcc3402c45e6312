package filter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// ErrInUse says that a running Seawall keeps its filter in a folder of pins.
var ErrInUse = errors.New("another Seawall keeps its filter there")

// linkPrefix begins the names of pinned links; the mode and the interface's name
// follow.
const linkPrefix = "link-"

func (f *Filter) linkPin(name string, how How) string {
	return filepath.Join(f.pins, linkPrefix+string(how)+"-"+name)
}

// openPins makes the folder for pins, which must lie in the kernel's file system
// for them, and keeps others from using it until the file is closed.
func openPins(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	d, err := lockPins(path)
	switch {
	case errors.Is(err, errNoPins):
		return nil, fmt.Errorf("%w: %s is not in a BPF file system (`mount -t bpf bpf /sys/fs/bpf` mounts it)", ErrUnsupported, path)
	case errors.Is(err, ErrInUse):
		return nil, fmt.Errorf("%w (%s): give this one another folder (packet.pins)", err, path)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return d, nil
}

// errNoPins says that a folder cannot hold pins.
var errNoPins = errors.New("not in a BPF file system")

// lockPins keeps others from using a folder of pins until the file is closed.
func lockPins(path string) (*os.File, error) {
	const magic = 0xcafe4a11 // BPF_FS_MAGIC of linux/magic.h
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var st unix.Statfs_t
	err = unix.Fstatfs(int(d.Fd()), &st)
	if err == nil && st.Type != magic {
		err = errNoPins
	}
	if err == nil {
		err = unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		d.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, err
	}
	return d, nil
}

// Remove detaches whatever a dead Seawall has pinned in a folder, and forgets its
// lists. That of a living one is left alone: ErrInUse.
func Remove(pins string) error {
	lock, err := lockPins(pins)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoPins) {
		return nil // nobody has pinned anything there
	}
	if err != nil {
		return fmt.Errorf("remove the packet filter in %s: %w", pins, err)
	}
	defer lock.Close()
	return removeAll(pins)
}

// End is Close after which nothing is left, neither attached nor pinned. Nobody
// else gets the folder of the pins before that: what is in it would be theirs.
func (f *Filter) End() error {
	defer f.Close()
	if f.pins == "" {
		return nil
	}
	return removeAll(f.pins)
}

// removeAll needs the lock of the folder.
func removeAll(pins string) error {
	left, err := os.ReadDir(pins)
	if err != nil {
		return fmt.Errorf("remove the packet filter: %w", err)
	}
	var errs []error
	if v, err := vouched(pins); err == nil {
		errs = append(errs, v.restore())
	}
	for _, e := range left {
		path := filepath.Join(pins, e.Name())
		if strings.HasPrefix(e.Name(), linkPrefix) {
			errs = append(errs, removeLink(path))
		} else {
			errs = append(errs, os.Remove(path))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the packet filter: %w", err)
	}
	return nil
}

// removeLink ends a pinned link, also one that a process holds.
func removeLink(path string) error {
	var detached error
	if l, err := link.LoadPinnedLink(path, nil); err == nil {
		detached = ignore(l.Detach(), ebpf.ErrNotSupported)
		l.Close()
	}
	return errors.Join(detached, os.Remove(path))
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}
