package doctor

import (
	"net/netip"
	"strconv"
	"strings"
)

// Numbers of capabilities: linux/capability.h.
const (
	capNetBind   = 10
	capNetAdmin  = 12
	capSysPtrace = 19 // to see what others have open
	capSysAdmin  = 21
	capPerfmon   = 38
	capBPF       = 39
)

// capset is what a process may do.
type capset struct {
	mask  uint64
	known bool
}

func (c capset) has(list ...int) bool {
	for _, n := range list {
		// CAP_SYS_ADMIN still stands for both of these (capabilities(7)).
		old := (n == capBPF || n == capPerfmon) && c.mask>>capSysAdmin&1 == 1
		if c.mask>>n&1 == 0 && !old {
			return false
		}
	}
	return true
}

// mayFilter says whether that is enough to load and attach the packet filter.
func (c capset) mayFilter() bool { return c.has(capBPF, capPerfmon, capNetAdmin) }

// capabilities reads the effective ones of a process: its number, or "self".
func (e Env) capabilities(process string) capset {
	status, ok := text(e.Proc, process+"/status")
	if !ok {
		return capset{}
	}
	hex, _ := field(status, "CapEff")
	mask, err := strconv.ParseUint(hex, 16, 64)
	return capset{mask, err == nil}
}

// process is whose rights and limits count: the running Seawall's, or else those
// of whoever runs the doctor, which may not be the service's.
func (e Env) process() (name, who string) {
	if e.Site.PID > 0 {
		return strconv.Itoa(e.Site.PID), "the running Seawall (process " + strconv.Itoa(e.Site.PID) + ")"
	}
	return "self", "whoever runs this"
}

const grant = "with systemd: `sudo systemctl edit seawall`, and the lines of docs/configuration.md, \"Filtering packets\"; " +
	"without: `sudo setcap cap_net_bind_service,cap_bpf,cap_perfmon,cap_net_admin+ep $(command -v seawall)`"

// rights looks at what Seawall may do here.
func rights(e Env) []Finding {
	n := notes{subject: "rights"}
	process, who := e.process()
	if e.Site.Configured && e.Site.PID == 0 {
		n.missing(weak, "`sudo systemctl start seawall`, or `seawall run` with your configuration; then ask again: rights and limits are those of whoever runs it",
			"no Seawall runs with this configuration")
	}
	c := e.capabilities(process)
	if !c.known {
		n.missing(unknown, "`sudo seawall doctor` can tell", "what %s may do cannot be read", who)
		return n.list
	}
	var lacks []string
	for _, cap := range []struct {
		number int
		name   string
	}{{capBPF, "CAP_BPF"}, {capPerfmon, "CAP_PERFMON"}, {capNetAdmin, "CAP_NET_ADMIN"}} {
		if !c.has(cap.number) {
			lacks = append(lacks, cap.name)
		}
	}
	switch {
	case len(lacks) == 0:
		n.good("%s may load and attach the packet filter (CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN)", who)
	case len(e.Site.Interfaces) > 0:
		n.missing(lost, grant, "%s lacks %s: the packet filter that the configuration asks for cannot be attached", who, strings.Join(lacks, ", "))
	default:
		n.poor(weak, grant, "%s lacks %s: packets cannot be filtered, HTTP is defended", who, strings.Join(lacks, ", "))
	}
	e.lowPorts(&n, c, who)
	return n.list
}

// lowPorts looks at the right to listen where everybody may not.
func (e Env) lowPorts(n *notes, c capset, who string) {
	first, ok := number(e.Proc, "sys/net/ipv4/ip_unprivileged_port_start")
	if !ok {
		first = 1024
	}
	for _, a := range e.Site.Listen {
		port := portOf(a)
		if port == 0 || int64(port) >= first {
			continue
		}
		if !c.has(capNetBind) {
			n.missing(lost, grant, "%s lacks CAP_NET_BIND_SERVICE: it cannot listen on %s", who, a)
			return
		}
		n.good("%s may listen on %s (CAP_NET_BIND_SERVICE)", who, a)
		return
	}
	n.good("no port that Seawall listens on needs rights")
}

// portOf is the port of an address such as "127.0.0.1:80" or ":80"; 0 where it
// has none.
func portOf(addr string) uint16 {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return 0
	}
	n, err := strconv.ParseUint(addr[i+1:], 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// onLoopback says whether an address to listen on is out of others' reach.
func onLoopback(addr string) bool {
	if strings.HasPrefix(addr, "localhost:") {
		return true
	}
	a, err := netip.ParseAddrPort(addr)
	return err == nil && a.Addr().Unmap().IsLoopback()
}
