package doctor

import (
	"io/fs"
	"testing"
)

// owner makes a process that holds a socket.
func owner(e Env, pid, name, inode string) {
	proc := e.Proc.(mapFS)
	proc[pid+"/fd/3"] = &mapFile{Data: []byte("socket:[" + inode + "]"), Mode: fs.ModeSymlink}
	proc[pid+"/comm"] = &mapFile{Data: []byte(name + "\n")}
}

func TestPorts(t *testing.T) {
	look := func(e Env) []Finding {
		links, err := e.links()
		if err != nil {
			t.Fatal(err)
		}
		return ports(e, links)
	}
	e := healthy()
	list := look(e)
	allGood(t, list)
	expect(t, list, Good, "every address, port 443/tcp (seawall): Seawall itself")
	expect(t, list, Good, "every address, port 22/tcp: SSH, left alone on purpose")
	if len(list) != 2 {
		t.Errorf("more than can be reached from outside:%s", show(list))
	}

	// The site can be reached past Seawall, in both ways to say so.
	write(e.Proc, "net/tcp", socketHead+line("00000000:0BB8", "0A", "901"))
	owner(e, "80", "node", "901")
	f := expect(t, look(e), Missing, "port 3000/tcp (node): your site itself")
	if !contains(f.Do, "127.0.0.1:3000") || f.weight != open {
		t.Errorf("%+v", f)
	}
	e.Site.Origins = []string{"http://198.51.100.7:3000"}
	expect(t, look(e), Missing, "your site itself")
	e.Site.Origins = []string{"http://203.0.113.9:3000"} // another machine's
	expect(t, look(e), Poor, "port 3000/tcp (node): nothing shields it")

	// Others.
	e = healthy()
	write(e.Proc, "net/tcp", socketHead+line("00000000:01BB", "0A", "900")+line("00000000:2382", "0A", "910")+line("00000000:0050", "0A", "911"))
	write(e.Proc, "net/udp", socketHead+line("00000000:2BCB", "07", "912")+line("00000000:14E9", "07", "913")+line("00000000:9999", "01", "914"))
	owner(e, "81", "nginx", "911")
	e.Site.Admin = "0.0.0.0:9090"
	list = look(e)
	expect(t, list, Poor, "Seawall's admin address")
	expect(t, list, Poor, "port 80/tcp (nginx): a web server whose packets Seawall does not judge")
	expect(t, list, Poor, "port 11211/udp: nothing shields it, and strangers can make it flood others")
	e.Site.Ports = []uint16{80}
	expect(t, look(e), Good, "port 80/tcp (nginx): packets to it are filtered")

	// Somebody else has Seawall's port.
	owner(e, "82", "apache2", "900")
	delete(e.Proc.(mapFS), "77/fd/5")
	expect(t, look(e), Missing, "another program has the port")

	// Docker, and many ports.
	e = healthy()
	many := socketHead
	for _, port := range []string{"1000", "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009"} {
		many += line("00000000:"+port, "0A", "920")
	}
	write(e.Proc, "net/tcp", many)
	owner(e, "83", "docker-proxy", "920")
	list = look(e)
	expect(t, list, Poor, "Docker is here")
	expect(t, list, Poor, "and 2 more that nothing shields: 4104/tcp, 4105/tcp")

	// Without rights, and without a configuration.
	write(e.Proc, "self/status", "CapEff:\t0000000000000000\n")
	delete(e.Proc.(mapFS), "83/fd/3")
	e.Site = Site{}
	list = look(e)
	expect(t, list, Missing, "which programs they belong to is not known for all")
	expect(t, list, Missing, "no configuration was named")

	for _, name := range []string{"tcp", "tcp6", "udp", "udp6"} {
		delete(e.Proc.(mapFS), "net/"+name)
	}
	expect(t, look(e), Missing, "the listening sockets cannot be read")
}

func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		origin, host string
		port         uint16
	}{
		{"http://127.0.0.1:3000", "127.0.0.1", 3000},
		{"https://site.example", "site.example", 443},
		{"http://[::1]", "::1", 80},
		{"unix:/run/site.sock", "", 0},
		{"", "", 0}, {"http://", "", 0}, {"http://x:99999", "x", 80}, {"%", "", 0},
	} {
		if host, port := hostOf(c.origin); host != c.host || port != c.port {
			t.Errorf("%q is at %q, port %d", c.origin, host, port)
		}
	}
}
