package doctor

import (
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// socket is one that waits for whoever comes.
type socket struct {
	UDP   bool
	At    netip.AddrPort
	inode string
	Owner string // the program's name; "" where it cannot be read
}

// proto is its protocol as people write it.
func (s socket) proto() string {
	if s.UDP {
		return "udp"
	}
	return "tcp"
}

// States in /proc/net/tcp and udp: include/net/tcp_states.h. A UDP socket that
// is connected to nobody is "closed".
const (
	stateListen = "0A"
	stateClosed = "07"
)

// sockets lists the listening sockets that can be reached from other machines;
// ok is false where nothing could be read. One that listens on both families
// appears once, as do several of one program on one port.
func sockets(proc fs.FS) (list []socket, ok bool) {
	for _, t := range []struct {
		name, state string
		udp         bool
	}{{"tcp", stateListen, false}, {"tcp6", stateListen, false}, {"udp", stateClosed, true}, {"udp6", stateClosed, true}} {
		table, read := text(proc, "net/"+t.name)
		ok = ok || read
		for line := range strings.Lines(table) {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != t.state {
				continue
			}
			at, valid := kernelAddr(f[1])
			if !valid || at.Port() == 0 || at.Addr().IsLoopback() {
				continue
			}
			list = append(list, socket{UDP: t.udp, At: at, inode: f[9]})
		}
	}
	owners := owners(proc, list)
	for i := range list {
		list[i].Owner = owners[list[i].inode]
	}
	slices.SortStableFunc(list, func(a, b socket) int { return int(a.At.Port()) - int(b.At.Port()) })
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s socket) bool {
		key := s.proto() + strconv.Itoa(int(s.At.Port())) + s.Owner
		twice := seen[key]
		seen[key] = true
		return twice
	}), ok
}

// kernelAddr reads "0100007F:1F90": words of the address as the machine keeps
// them, and the port.
func kernelAddr(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok
}

// owners finds the programs that hold sockets, by inode. Without rights, only
// one's own can be seen.
func owners(proc fs.FS, list []socket) map[string]string {
	wanted := map[string]bool{}
	for _, s := range list {
		wanted[s.inode] = true
	}
	out := map[string]string{}
	entries, err := fs.ReadDir(proc, ".")
	if err != nil || len(wanted) == 0 {
		return out
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		files, err := fs.ReadDir(proc, e.Name()+"/fd")
		if err != nil {
			continue
		}
		for _, f := range files {
			target, err := fs.ReadLink(proc, e.Name()+"/fd/"+f.Name())
			inode, isSocket := strings.CutPrefix(strings.TrimSuffix(target, "]"), "socket:[")
			if err != nil || !isSocket || !wanted[inode] || out[inode] != "" {
				continue
			}
			out[inode], _ = text(proc, e.Name()+"/comm")
		}
	}
	return out
}
