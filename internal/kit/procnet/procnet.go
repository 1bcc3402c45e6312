package procnet

import (
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
)

// State is what a socket does: include/net/tcp_states.h of Linux.
type State uint8

// The states that are asked for. A UDP socket that is connected to nobody is
// Closed.
const (
	Established State = 1
	Closed      State = 7
	Listen      State = 10
)

// Socket is a line of one of the kernel's tables. IPv4 addresses are IPv4, also
// where a socket of both families has them.
type Socket struct {
	UDP    bool
	State  State
	Local  netip.AddrPort
	Remote netip.AddrPort
	Inode  string // by which a program's open files name it
}

// TCP lists the TCP sockets of this process's network namespace; ok is false
// where nothing could be read.
func TCP(proc fs.FS) (list []Socket, ok bool) { return read(proc, false, "net/tcp", "net/tcp6") }

// UDP does the same for UDP.
func UDP(proc fs.FS) (list []Socket, ok bool) { return read(proc, true, "net/udp", "net/udp6") }

func read(proc fs.FS, udp bool, names ...string) (list []Socket, ok bool) {
	if proc == nil {
		return nil, false
	}
	for _, name := range names {
		table, err := fs.ReadFile(proc, name)
		ok = ok || err == nil
		for line := range strings.Lines(string(table)) {
			if s, is := parse(line); is {
				s.UDP = udp
				list = append(list, s)
			}
		}
	}
	return list, ok
}

// parse reads a line:
//
//	sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
func parse(line string) (s Socket, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return s, false
	}
	state, err := strconv.ParseUint(f[3], 16, 8)
	var okLocal, okRemote bool
	s.Local, okLocal = address(f[1])
	s.Remote, okRemote = address(f[2])
	s.State, s.Inode = State(state), f[9]
	return s, err == nil && okLocal && okRemote
}

// address reads "0100007F:1F90": words of the address as the machine keeps them,
// and the port.
func address(s string) (netip.AddrPort, bool) {
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

// Owners finds the names of the programs that hold sockets, by inode. Without
// rights, only one's own can be seen.
func Owners(proc fs.FS, list []Socket) map[string]string {
	out := map[string]string{}
	wanted := map[string]bool{}
	for _, s := range list {
		wanted[s.Inode] = true
	}
	if proc == nil || len(wanted) == 0 {
		return out
	}
	entries, err := fs.ReadDir(proc, ".")
	if err != nil {
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
			name, _ := fs.ReadFile(proc, e.Name()+"/comm")
			out[inode] = strings.TrimSpace(string(name))
		}
	}
	return out
}
