package packet

import (
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"seawall/internal/kit/procnet"
)

// machine is where sshd and those who are logged in are looked for: /proc and /,
// or stand-ins for them.
type machine struct{ proc, root fs.FS }

// connection is one that somebody outside has to sshd.
type connection struct{ local, remote netip.AddrPort }

// sshPorts are the ports at which people reach this machine. 22 is always one.
// Who holds a port can be seen with rights only; then, and where systemd holds it
// for sshd, what the configurations of sshd and of its socket say counts.
func (m machine) sshPorts() map[uint16]bool {
	ports := map[uint16]bool{22: true}
	all, _ := procnet.TCP(m.proc)
	all = slices.DeleteFunc(all, func(s procnet.Socket) bool { return s.State != procnet.Listen })
	owners, named := procnet.Owners(m.proc, all), m.namedPorts()
	for _, s := range all {
		port := s.Local.Port()
		switch owner := owners[s.Inode]; owner {
		case "sshd", "dropbear":
			ports[port] = true
		case "", "systemd":
			if named[port] {
				ports[port] = true
			}
		}
	}
	return ports
}

// namedPorts are those that the configurations of sshd, and of the sockets that
// systemd holds for it, name.
func (m machine) namedPorts() map[uint16]bool {
	ports := map[uint16]bool{}
	add := func(value string) {
		value = strings.Trim(value, `"`)
		if i := strings.LastIndexByte(value, ':'); i >= 0 {
			value = value[i+1:]
		}
		if n, err := strconv.ParseUint(value, 10, 16); err == nil && n > 0 {
			ports[uint16(n)] = true
		}
	}
	for line := range m.lines("etc/ssh/sshd_config", "etc/ssh/sshd_config.d/*.conf") {
		// "Port 2222", "ListenAddress 192.0.2.1:2222"; "=" may stand between.
		f := strings.Fields(strings.Replace(line, "=", " ", 1))
		if len(f) < 2 {
			continue
		}
		// An address without a port listens at that of Port; "::1" has none.
		listens := strings.EqualFold(f[0], "ListenAddress") && (strings.Count(f[1], ":") == 1 || strings.Contains(f[1], "]:"))
		if listens || strings.EqualFold(f[0], "Port") {
			add(f[1])
		}
	}
	var units []string
	for _, dir := range []string{"etc/systemd/system", "run/systemd/system", "run/systemd/generator", "usr/lib/systemd/system", "lib/systemd/system"} {
		units = append(units, dir+"/*ssh*.socket", dir+"/*ssh*.socket.d/*.conf")
	}
	for line := range m.lines(units...) {
		if value, is := strings.CutPrefix(line, "ListenStream="); is {
			add(strings.TrimSpace(value))
		}
	}
	return ports
}

// lines goes through the lines of files that can be read.
func (m machine) lines(patterns ...string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, pattern := range patterns {
			names, _ := fs.Glob(m.root, pattern) // the patterns are proper
			for _, name := range names {
				text, err := fs.ReadFile(m.root, name)
				if err != nil {
					continue
				}
				for line := range strings.Lines(string(text)) {
					if !yield(strings.TrimSpace(line)) {
						return
					}
				}
			}
		}
	}
}

// loggedIn are the addresses from which somebody is logged in, by systemd's book;
// ok is false where there is none.
func (m machine) loggedIn() (from map[netip.Addr]bool, ok bool) {
	const sessions = "run/systemd/sessions"
	if _, err := fs.ReadDir(m.root, sessions); err != nil {
		return nil, false
	}
	from = map[netip.Addr]bool{}
	for line := range m.lines(path.Join(sessions, "*")) {
		if value, is := strings.CutPrefix(line, "REMOTE_HOST="); is {
			if a, err := netip.ParseAddr(value); err == nil {
				from[a.Unmap().WithZone("")] = true
			}
		}
	}
	return from, true
}

// sessions are the connections from outside to sshd. Robots knock there all day:
// where systemd keeps a book, only who is logged in counts.
func (m machine) sessions(ports map[uint16]bool) map[connection]bool {
	out := map[connection]bool{}
	all, _ := procnet.TCP(m.proc)
	people, known := m.loggedIn()
	for _, s := range all {
		from := s.Remote.Addr()
		if s.State == procnet.Established && ports[s.Local.Port()] && !from.IsLoopback() && (!known || people[from]) {
			out[connection{s.Local, s.Remote}] = true
		}
	}
	return out
}
