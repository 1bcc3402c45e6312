package procnet

import (
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"testing/fstest"
)

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		text string
		want string // "" for what is no address
	}{
		{"0100007F:1F90", "127.0.0.1:8080"},
		{"00000000:0016", "0.0.0.0:22"},
		{"00000000000000000000000001000000:0050", "[::1]:80"},
		{"B80D0120000000000000000001000000:01BB", "[2001:db8::1]:443"},
		{"0000000000000000FFFF0000076433C6:0050", "198.51.100.7:80"},
		{"", ""}, {":", ""}, {"0100007F", ""}, {"0100007F:FFFFF", ""}, {"01:50", ""}, {"xx00007F:0050", ""},
	} {
		got, ok := address(c.text)
		if !ok && c.want == "" {
			continue
		}
		if want, err := netip.ParseAddrPort(c.want); err != nil || !ok || got != want {
			t.Errorf("%q is %v, %v; want %q", c.text, got, ok, c.want)
		}
	}
}

// A connection of this process is found, from both ends, with its owner.
func TestOwnConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	proc := os.DirFS("/proc")
	list, ok := TCP(proc)
	if !ok {
		t.Skip("there is no /proc/net/tcp")
	}
	here, there := netip.MustParseAddrPort(c.LocalAddr().String()), netip.MustParseAddrPort(l.Addr().String())
	found := map[State]int{}
	var ours []Socket
	for _, s := range list {
		switch {
		case s.State == Listen && s.Local == there,
			s.State == Established && s.Local == here && s.Remote == there,
			s.State == Established && s.Local == there && s.Remote == here && s.Inode != "0":
			found[s.State]++
			ours = append(ours, s)
		}
	}
	if found[Listen] != 1 || found[Established] < 1 {
		t.Fatalf("found %v", found)
	}
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	owners := Owners(proc, ours)
	if owners[ours[0].Inode]+"\n" != string(name) {
		t.Errorf("%v hold %v", owners, ours)
	}
}

func FuzzTables(f *testing.F) {
	f.Add("  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 12345 1\n", 7)
	f.Add("0: 00000000:0016 0:0", 1)
	f.Add("", 0)
	f.Fuzz(func(t *testing.T, table string, pid int) {
		proc := fstest.MapFS{
			"net/tcp":                      {Data: []byte(table)},
			strconv.Itoa(pid) + "/fd/3":    {Data: []byte(table), Mode: fs.ModeSymlink},
			strconv.Itoa(pid) + "/comm":    {Data: []byte(table)},
			"no" + strconv.Itoa(pid):       {Data: []byte(table)},
			strconv.Itoa(pid) + "1/status": {Data: []byte(table)},
		}
		list, ok := TCP(proc)
		if !ok {
			t.Fatal("not read")
		}
		for _, s := range list {
			if !s.Local.IsValid() || !s.Remote.IsValid() || s.UDP {
				t.Fatalf("%+v", s)
			}
		}
		Owners(proc, list)
	})
}
