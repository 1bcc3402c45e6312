package filter

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// How is in which mode the program meets an interface's packets.
type How string

// The modes. Generic ones come after the kernel has made a socket buffer, and
// cost several times as much: better than nothing, and to be said loudly.
const (
	Native  How = "native"
	Generic How = "generic"
)

// linkPrefix begins the names of pinned links, the interface's follows.
const linkPrefix = "link-"

// Attach makes the packets that come in at an interface meet the program, in
// native mode where the driver can. Attaching anew, also after a restart when
// the link is pinned, switches from the old program to this one in one step.
func (f *Filter) Attach(name string) (How, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := net.InterfaceByName(name)
	if err != nil {
		f.letGo(name)
		return "", fmt.Errorf("attach the packet filter to %s: no such interface (`ip link` lists them): %w", name, err)
	}
	if at.Flags&net.FlagLoopback == 0 && len(at.HardwareAddr) != 6 {
		return "", fmt.Errorf("attach the packet filter to %s: its packets have no Ethernet header; name the interface below it", name)
	}
	if l, ok := f.links[name]; ok {
		if index(l) == at.Index {
			return f.how[name], nil
		}
		f.letGo(name) // that one is gone, and another has its name
	}
	l, how, err := f.takeOver(at)
	if err == nil && l == nil {
		l, how, err = f.attach(at)
	}
	if err != nil {
		return "", fmt.Errorf("attach the packet filter to %s: %w", name, err)
	}
	f.links[name], f.how[name] = l, how
	return how, nil
}

// index is that of the interface that a link is at; 0 when it is gone.
func index(l link.Link) int {
	info, err := l.Info()
	if err != nil || info.XDP() == nil {
		return 0
	}
	return int(info.XDP().Ifindex)
}

// letGo forgets the link of an interface that is gone.
func (f *Filter) letGo(name string) {
	l, ok := f.links[name]
	if !ok {
		return
	}
	delete(f.links, name)
	if f.pins != "" {
		_ = l.Unpin()
	}
	_ = l.Close()
}

func (f *Filter) attach(at *net.Interface) (link.Link, How, error) {
	o := link.XDPOptions{Program: f.program, Interface: at.Index, Flags: link.XDPDriverMode}
	how := Native
	l, err := link.AttachXDP(o)
	if err != nil && !errors.Is(err, unix.EBUSY) {
		o.Flags, how = link.XDPGenericMode, Generic
		l, err = link.AttachXDP(o)
	}
	if errors.Is(err, unix.EBUSY) {
		return nil, "", fmt.Errorf("another XDP program is there; `ip link set dev %s xdp off` or its own command removes it: %w", at.Name, err)
	}
	if err != nil {
		return nil, "", err
	}
	if f.pins == "" {
		return l, how, nil
	}
	if err := l.Pin(f.linkPin(at.Name, how)); err != nil {
		l.Close()
		return nil, "", err
	}
	return l, how, nil
}

func (f *Filter) linkPin(name string, how How) string {
	return filepath.Join(f.pins, linkPrefix+string(how)+"-"+name)
}

// takeOver finds the link that an earlier Seawall has pinned. One that belongs
// to an interface that is gone (a new one may have its name) is removed.
func (f *Filter) takeOver(at *net.Interface) (link.Link, How, error) {
	if f.pins == "" {
		return nil, "", nil
	}
	for _, how := range []How{Native, Generic} {
		l, err := link.LoadPinnedLink(f.linkPin(at.Name, how), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if index(l) == at.Index {
			if err := l.Update(f.program); err != nil {
				l.Close()
				return nil, "", err
			}
			return l, how, nil
		}
		_ = l.Unpin()
		l.Close()
	}
	return nil, "", nil
}

// Detach lets all packets of an interface pass unseen again.
func (f *Filter) Detach(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.links[name]
	if !ok {
		return nil
	}
	delete(f.links, name)
	var errs []error
	if f.pins != "" {
		errs = append(errs, l.Unpin())
	}
	if err := errors.Join(append(errs, l.Close())...); err != nil {
		return fmt.Errorf("detach the packet filter from %s: %w", name, err)
	}
	return nil
}

// Remove detaches whatever is pinned in a folder, with or without a running
// Seawall, and forgets its lists.
func Remove(pins string) error {
	var at unix.Statfs_t
	if err := unix.Statfs(pins, &at); err == nil && at.Type != bpfMagic {
		return nil // nothing can be pinned there, and whatever is there is not ours
	}
	left, err := os.ReadDir(pins)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
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
			// A link may be held by a process: detach it as well.
			if l, err := link.LoadPinnedLink(path, nil); err == nil {
				errs = append(errs, ignore(l.Detach(), ebpf.ErrNotSupported))
				l.Close()
			}
		}
		errs = append(errs, os.Remove(path))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the packet filter: %w", err)
	}
	return nil
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

const bpfMagic = 0xcafe4a11 // BPF_FS_MAGIC of linux/magic.h

// openPins makes the folder for pins, which must lie in the kernel's file system
// for them, and keeps others from using it until the file is closed.
func openPins(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	d, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.Fd()), &st); err != nil {
		d.Close()
		return nil, err
	}
	if st.Type != bpfMagic {
		d.Close()
		return nil, fmt.Errorf("%w: %s is not in a BPF file system (`mount -t bpf bpf /sys/fs/bpf` mounts it)", ErrUnsupported, path)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.Close()
		return nil, fmt.Errorf("another Seawall keeps its filter in %s: give this one another folder (packet.pins)", path)
	}
	return d, nil
}
