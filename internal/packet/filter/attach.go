package filter

import (
	"errors"
	"fmt"
	"io/fs"
	"net"

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
		return nil, "", fmt.Errorf("another XDP program is there, whose number `ip link show dev %[1]s` tells; where `bpftool link` has a link of that program, `bpftool link detach id` with the link's number ends it, or else `ip link set dev %[1]s xdp off`: %[2]w", at.Name, err)
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
	// Either ends it: the link is detached whoever holds it, and without its pin
	// nobody but this process does.
	err, pinned := l.Detach(), error(nil)
	if f.pins != "" {
		pinned = l.Unpin()
	}
	if err != nil && pinned != nil {
		return fmt.Errorf("detach the packet filter from %s: %w; `rm %s` ends it", name, errors.Join(err, pinned), f.linkPin(name, f.how[name]))
	}
	delete(f.links, name)
	_ = l.Close()
	return nil
}
