package doctor

import (
	"encoding/binary"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Of the generic netlink family "netdev", since Linux 6.3: linux/netdev.h.
const (
	netdevName      = "netdev"
	netdevGet       = 1  // NETDEV_CMD_DEV_GET
	netdevIndex     = 1  // NETDEV_A_DEV_IFINDEX
	netdevFeatures  = 3  // NETDEV_A_DEV_XDP_FEATURES
	xdpBasic        = 1  // NETDEV_XDP_ACT_BASIC
	xdpFrags        = 32 // NETDEV_XDP_ACT_RX_SG
	genericHeader   = 4  // struct genlmsghdr
	answerMost      = 1 << 16
	answersPatience = 2 // seconds
)

// allFeatures asks which drivers have native mode, by index; empty where the
// kernel does not tell.
func allFeatures() map[int]Features {
	out := map[int]Features{}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return out
	}
	defer unix.Close(fd)
	// A kernel that answers does so at once; nobody shall wait for one that does not.
	if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answersPatience}) != nil {
		return out
	}
	name := append([]byte(netdevName), 0)
	family := uint16(0)
	err = request(fd, unix.GENL_ID_CTRL, unix.NLM_F_REQUEST|unix.NLM_F_ACK, unix.CTRL_CMD_GETFAMILY, attribute(unix.CTRL_ATTR_FAMILY_NAME, name), func(in map[uint16][]byte) {
		if b := in[unix.CTRL_ATTR_FAMILY_ID]; len(b) >= 2 {
			family = binary.NativeEndian.Uint16(b)
		}
	})
	if err != nil || family == 0 {
		return out
	}
	_ = request(fd, family, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, netdevGet, nil, func(in map[uint16][]byte) {
		if b := in[netdevFeatures]; len(b) >= 8 {
			bits := binary.NativeEndian.Uint64(b)
			out[int(word(in[netdevIndex]))] = Features{Known: true, Basic: bits&xdpBasic != 0, Frags: bits&xdpFrags != 0}
		}
	})
	return out
}

// request sends a message of generic netlink, and hands over the attributes of
// each answer.
func request(fd int, family uint16, flags, command int, attributes []byte, each func(map[uint16][]byte)) error {
	b := make([]byte, unix.SizeofNlMsghdr+genericHeader, 64)
	b = append(b, attributes...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], family)
	binary.NativeEndian.PutUint16(b[6:], uint16(flags))
	b[unix.SizeofNlMsghdr], b[unix.SizeofNlMsghdr+1] = byte(command), 1
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, answerMost)
	for {
		n, _, err := unix.Recvfrom(fd, answer, 0)
		if err != nil {
			return err
		}
		// What is kept of it must not change with the next answer.
		messages, err := syscall.ParseNetlinkMessage(slices.Clone(answer[:n]))
		if err != nil {
			return err
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return nil
			case unix.NLMSG_ERROR: // 0 is no error, but the end
				if code := int32(word(m.Data)); code != 0 {
					return syscall.Errno(-code)
				}
				return nil
			}
			if len(m.Data) >= genericHeader {
				each(nested(m.Data[genericHeader:]))
			}
		}
	}
}

func attribute(kind uint16, value []byte) []byte {
	b := make([]byte, unix.SizeofNlAttr, unix.SizeofNlAttr+len(value)+3)
	binary.NativeEndian.PutUint16(b, uint16(unix.SizeofNlAttr+len(value)))
	binary.NativeEndian.PutUint16(b[2:], kind)
	b = append(b, value...)
	return append(b, make([]byte, (4-len(b)%4)%4)...)
}
