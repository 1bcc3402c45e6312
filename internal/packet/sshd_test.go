package packet

import (
	"bytes"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// tcpTable writes lines of /proc/net/tcp.
func tcpTable(lines ...string) *fstest.MapFile {
	text := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for _, l := range lines {
		f := strings.Fields(l) // local, remote, state, inode
		text += "   0: " + f[0] + " " + f[1] + " " + f[2] + " 00000000:00000000 00:00000000 00000000     0        0 " + f[3] + " 1 0000000000000000 100 0 0 10 0\n"
	}
	return &fstest.MapFile{Data: []byte(text)}
}

func TestSSHPorts(t *testing.T) {
	listens := tcpTable(
		"00000000:08AE 00000000:0000 0A 11", // 2222, held by sshd
		"00000000:0457 00000000:0000 0A 12", // 1111, held by systemd, named by a socket
		"00000000:115C 00000000:0000 0A 13", // 4444, held by nobody that can be seen, named by sshd_config
		"00000000:15B3 00000000:0000 0A 14", // 5555, the same, in the folder beside it
		"00000000:0050 00000000:0000 0A 15", // 80, held by nginx, though sshd_config names it
		"00000000:01BB 00000000:0000 0A 16", // 443, held by systemd, for something else
		"0100007F:1A0A 0200007F:C350 01 17", // 6666, a connection only
	)
	proc := fstest.MapFS{"net/tcp": listens}
	for inode, name := range map[string]string{"11": "sshd", "12": "systemd", "15": "nginx", "16": "systemd", "17": "sshd"} {
		proc["1"+inode+"/fd/3"] = &fstest.MapFile{Data: []byte("socket:[" + inode + "]"), Mode: fs.ModeSymlink}
		proc["1"+inode+"/comm"] = &fstest.MapFile{Data: []byte(name + "\n")}
	}
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	m := machine{proc: proc, root: fstest.MapFS{
		"etc/ssh/sshd_config":                               file("# Port 9\nPort 80\n  port=4444\nListenAddress ::1\nListenAddress\nPort x\n\x00\xff"),
		"etc/ssh/sshd_config.d/more.conf":                   file("ListenAddress [2001:db8::1]:5555\nMatch User x\n"),
		"run/systemd/generator/ssh.socket.d/addresses.conf": file("[Socket]\nListenStream=\nListenStream=0.0.0.0:1111\n"),
	}}
	got := slices.Sorted(maps.Keys(m.sshPorts()))
	if want := []uint16{22, 1111, 2222, 4444, 5555}; !slices.Equal(got, want) {
		t.Errorf("sshd's ports are %v, want %v", got, want)
	}
	// Where nothing can be read, 22 is.
	m = machine{proc: fstest.MapFS{}, root: fstest.MapFS{}}
	if got := slices.Sorted(maps.Keys(m.sshPorts())); !slices.Equal(got, []uint16{22}) {
		t.Errorf("sshd's ports are %v", got)
	}

	// They are never protected, whatever is asked.
	var log bytes.Buffer
	p := New(DefaultConfig(), slog.New(slog.NewTextHandler(&log, nil)))
	p.here = machine{proc: proc, root: fstest.MapFS{}}
	p.asked = []uint16{80, 2222, 443, 22}
	if got := p.spareSSH(); !slices.Equal(got, []uint16{80, 443}) || strings.Count(log.String(), "sshd's") != 2 {
		t.Errorf("protected: %v\n%s", got, &log)
	}
}

func TestSessions(t *testing.T) {
	ssh := map[uint16]bool{22: true}
	m := machine{root: fstest.MapFS{}, proc: fstest.MapFS{"net/tcp": tcpTable(
		"010012C6:0016 020012C6:C350 01 1", // from 198.18.0.2
		"010012C6:0016 030012C6:C350 01 2", // from 198.18.0.3
		"010012C6:0016 040012C6:C350 06 3", // ended
		"010012C6:0050 050012C6:C350 01 4", // to another port
		"0100007F:0016 0200007F:C350 01 5", // from this machine
	)}}
	from := func() (out []string) {
		for c := range m.sessions(ssh) {
			out = append(out, c.remote.Addr().String())
		}
		slices.Sort(out)
		return out
	}
	if got := from(); !slices.Equal(got, []string{"198.18.0.2", "198.18.0.3"}) {
		t.Errorf("sessions from %v", got)
	}
	// systemd's book knows who is logged in, and who only knocks.
	m.root = fstest.MapFS{
		"run/systemd/sessions/1":     {Data: []byte("# private\nUID=0\nREMOTE=1\nREMOTE_HOST=198.18.0.3\nSERVICE=sshd\n")},
		"run/systemd/sessions/2":     {Data: []byte("REMOTE_HOST=a name\n\x00")},
		"run/systemd/sessions/2.ref": {Mode: fs.ModeNamedPipe},
	}
	if got := from(); !slices.Equal(got, []string{"198.18.0.3"}) {
		t.Errorf("sessions from %v", got)
	}
}

func FuzzConfigurations(f *testing.F) {
	f.Add("Port 22\nListenAddress [::1]:2\n", "REMOTE_HOST=::1\n")
	f.Add("ListenAddress=:", "REMOTE_HOST")
	f.Fuzz(func(t *testing.T, sshd, session string) {
		m := machine{root: fstest.MapFS{
			"etc/ssh/sshd_config":           {Data: []byte(sshd)},
			"etc/systemd/system/ssh.socket": {Data: []byte(sshd)},
			"run/systemd/sessions/1":        {Data: []byte(session)},
		}}
		if m.namedPorts()[0] {
			t.Error("port 0")
		}
		people, ok := m.loggedIn()
		if !ok || people[netip.Addr{}] {
			t.Error(people, ok)
		}
	})
}
