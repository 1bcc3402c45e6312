package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MachineLinks lists this machine's interfaces: what netlink and the drivers say
// of them. It needs no rights.
func MachineLinks() ([]Link, error) {
	table, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	var list []Link
	below := map[int]int{} // index to the index of what it stands on
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < syscall.SizeofIfInfomsg {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			continue
		}
		l := linkOf(m.Data, attributes, below)
		list = append(list, l)
	}
	names := map[int]string{}
	for _, l := range list {
		names[l.Index] = l.Name
	}
	features := allFeatures()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
	}
	for i := range list {
		l := &list[i]
		if n := below[l.Index]; n != l.Index {
			l.Below = names[n]
		}
		if l.Kind == "veth" {
			l.Below = "" // it is the other end, not below
		}
		if f, ok := features[l.Index]; ok {
			l.Features = f
		}
		l.Addrs = addressesOf(l.Index)
		if err == nil {
			askDriver(fd, l)
		}
	}
	return list, nil
}

// linkOf reads one message: struct ifinfomsg of linux/rtnetlink.h, then the
// attributes of linux/if_link.h.
func linkOf(data []byte, attributes []syscall.NetlinkRouteAttr, below map[int]int) Link {
	kind := binary.NativeEndian.Uint16(data[2:])
	flags := binary.NativeEndian.Uint32(data[8:])
	l := Link{
		Index:    int(int32(binary.NativeEndian.Uint32(data[4:]))),
		Up:       flags&unix.IFF_UP != 0,
		Loopback: flags&unix.IFF_LOOPBACK != 0,
		Ethernet: kind == unix.ARPHRD_ETHER,
	}
	for _, a := range attributes {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.IFLA_IFNAME:
			l.Name = strings.TrimRight(string(a.Value), "\x00")
		case unix.IFLA_MTU:
			l.MTU = int(word(a.Value))
		case unix.IFLA_LINK:
			below[l.Index] = int(word(a.Value))
		case unix.IFLA_LINKINFO:
			l.Kind = strings.TrimRight(string(nested(a.Value)[unix.IFLA_INFO_KIND]), "\x00")
		case unix.IFLA_XDP:
			in := nested(a.Value)
			if b := in[unix.IFLA_XDP_ATTACHED]; len(b) > 0 {
				// XDP_ATTACHED_* of linux/if_link.h; 4 is several at once.
				l.XDP = [...]Mode{None, Native, Generic, Offload, Native}[min(b[0], 4)]
			}
			l.XDPOwner = word(in[unix.IFLA_XDP_PROG_ID])
			if l.XDPOwner == 0 {
				l.XDPOwner = word(in[unix.IFLA_XDP_DRV_PROG_ID])
			}
		}
	}
	return l
}

// nested reads attributes inside an attribute; what is malformed ends the list.
func nested(b []byte) map[uint16][]byte {
	out := map[uint16][]byte{}
	for len(b) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofNlAttr || n > len(b) {
			break
		}
		out[binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED] = b[unix.SizeofNlAttr:n]
		b = b[min((n+3)&^3, len(b)):]
	}
	return out
}

// word is a number of four bytes; 0 where there are fewer.
func word(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

func addressesOf(index int) (out []netip.Prefix) {
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return nil
	}
	list, err := i.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// ethtool is struct ifreq of linux/if.h with a pointer to what is asked.
type ethtool struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// askDriver asks for the driver's name, its channels, and whether it joins
// packets: linux/ethtool.h.
func askDriver(fd int, l *Link) {
	if info, err := unix.IoctlGetEthtoolDrvinfo(fd, l.Name); err == nil {
		l.Driver = unix.ByteSliceToString(info.Driver[:])
	}
	channels := struct {
		cmd, maxRX, maxTX, maxOther, maxCombined, rx, tx, other, combined uint32
	}{cmd: unix.ETHTOOL_GCHANNELS}
	if ask(fd, l.Name, unsafe.Pointer(&channels)) == nil {
		l.Channels = Channels{Known: channels.maxCombined > 0, Combined: int(channels.combined), MaxCombined: int(channels.maxCombined)}
	}
	flags := struct{ cmd, data uint32 }{cmd: unix.ETHTOOL_GFLAGS}
	if ask(fd, l.Name, unsafe.Pointer(&flags)) == nil {
		const lro = 1 << 15 // ETH_FLAG_LRO
		l.LRO = flags.data&lro != 0
	}
}

func ask(fd int, name string, what unsafe.Pointer) error {
	r := ethtool{data: what}
	if len(name) >= len(r.name) {
		return errors.New("that is no interface's name")
	}
	copy(r.name[:], name)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r))); e != 0 {
		return e
	}
	return nil
}
