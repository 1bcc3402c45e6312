package doctor

import (
	"io/fs"
	"net/netip"
	"slices"
	"strconv"

	"seawall/internal/kit/procnet"
)

// socket is one that waits for whoever comes.
type socket struct {
	UDP   bool
	At    netip.AddrPort
	Owner string // the program's name; "" where it cannot be read
}

// proto is its protocol as people write it.
func (s socket) proto() string {
	if s.UDP {
		return "udp"
	}
	return "tcp"
}

// waiting lists the listening sockets that can be reached from other machines;
// ok is false where nothing could be read. One that listens on both families
// appears once, as do several of one program on one port.
func waiting(proc fs.FS) (list []socket, ok bool) {
	tcp, okTCP := procnet.TCP(proc)
	udp, okUDP := procnet.UDP(proc)
	all := slices.DeleteFunc(append(tcp, udp...), func(s procnet.Socket) bool {
		want := procnet.Listen
		if s.UDP {
			want = procnet.Closed
		}
		return s.State != want || s.Local.Port() == 0 || s.Local.Addr().IsLoopback()
	})
	owners := procnet.Owners(proc, all)
	for _, s := range all {
		list = append(list, socket{UDP: s.UDP, At: s.Local, Owner: owners[s.Inode]})
	}
	slices.SortStableFunc(list, func(a, b socket) int { return int(a.At.Port()) - int(b.At.Port()) })
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s socket) bool {
		key := s.proto() + strconv.Itoa(int(s.At.Port())) + s.Owner
		twice := seen[key]
		seen[key] = true
		return twice
	}), okTCP || okUDP
}
