package doctor

import (
	"fmt"
	"seawall/internal/kit/figures"
	"strconv"
	"strings"
)

// setting is one of the kernel's settings that decides about a flood.
type setting struct {
	name   string // as sysctl(8) writes it
	weight int
	why    string // one sentence: what it does under attack
	// right says whether a value will do, and else what to set.
	right func(value string) (ok bool, set string)
}

// sysctls looks at the kernel's settings.
func sysctls(e Env, links []Link) []Finding {
	n := notes{subject: "settings of the kernel"}
	for _, s := range e.settings(links) {
		value, ok := text(e.Proc, "sys/"+strings.ReplaceAll(s.name, ".", "/"))
		if !ok {
			continue // a module that is not loaded, or an option that this kernel has not
		}
		value = strings.Join(strings.Fields(value), " ")
		if ok, set := s.right(value); !ok {
			n.poor(s.weight, permanent(s.name, set), "%s is %s: %s", s.name, value, s.why)
			continue
		}
		n.good("%s is %s: %s", s.name, value, s.why)
	}
	e.reversePath(&n, links)
	e.conntrack(&n)
	if len(n.list) == 0 {
		n.missing(unknown, "`sysctl -a` lists them", "the kernel's settings cannot be read")
	}
	return n.list
}

// permanent is how a setting is made now and for good.
func permanent(name, value string) string {
	return fmt.Sprintf("`sudo sysctl -w %s=%s`, and for good: `echo '%s = %s' | sudo tee -a /etc/sysctl.d/90-seawall.conf`",
		name, quoted(value), name, value)
}

func quoted(value string) string {
	if strings.Contains(value, " ") {
		return "'" + value + "'"
	}
	return value
}

// settings lists those that matter here. What matters only in some cases is
// listed in those.
func (e Env) settings(links []Link) []setting {
	list := []setting{
		{"net.core.bpf_jit_enable", costly, "programs in the kernel are compiled, not interpreted at several times the cost", least(1)},
		{"net.ipv4.tcp_syncookies", costly, "1 keeps connections possible when half-open ones fill the queue; 2 would do so in peacetime too, and cost every visitor some options", exactly("1")},
		{"net.core.somaxconn", weak, "how many connections may wait until Seawall takes them, and how many half-open ones there may be", least(4096)},
		{"net.ipv4.tcp_synack_retries", tidy, "how often the answer to a half-open connection is repeated; with 3, one is given up after 15 s and not 63", most(3)},
		{"net.ipv4.tcp_timestamps", tidy, "SYN cookies keep window scaling and SACK only with timestamps", least(1)},
		{"fs.file-max", weak, "files and connections of the whole machine", least(4 * int64(e.Site.MaxConns+e.Site.MaxStreams+spare))},
		{"net.ipv4.ip_local_port_range", tidy, "ports for connections to the origin", portRange},
	}
	// Of the queue of half-open connections, only somaxconn counts while there are
	// cookies: tcp_conn_request() looks at tcp_max_syn_backlog without them alone.
	if v, ok := text(e.Proc, "sys/net/ipv4/tcp_syncookies"); ok && v == "0" {
		list = append(list, setting{"net.ipv4.tcp_max_syn_backlog", weak, "half-open connections there may be while SYN cookies are off", least(4096)})
	}
	if remoteOrigin(e.Site.Origins) {
		// 2, the default, is for loopback alone (ip-sysctl).
		list = append(list, setting{"net.ipv4.tcp_tw_reuse", tidy, "1 lets ports of ended connections to an origin elsewhere be used again", exactly("1")})
	}
	for _, l := range links {
		// This queue is used where one processor hands packets to another
		// (receive packet steering) and by virtual pairs; drivers do not.
		if l.Outside && (l.steered(e.Sys) || l.Driver == "veth") {
			list = append(list, setting{"net.core.netdev_max_backlog", weak, "packets that may wait for a processor where they are handed on (" + l.Name + " does so)", least(4096)})
			break
		}
	}
	return list
}

// reversePath looks at the check that a packet's source could have come that way.
// The larger of the value for all and that of the interface holds (ip-sysctl).
func (e Env) reversePath(n *notes, links []Link) {
	const dir = "sys/net/ipv4/conf/"
	all, ok := number(e.Proc, dir+"all/rp_filter")
	if !ok {
		return
	}
	const why = "1 or 2 drops packets whose source could not have come that way"
	for _, l := range links {
		own, ok := number(e.Proc, dir+l.Name+"/rp_filter")
		if ok && l.Outside && max(all, own) == 0 {
			n.poor(tidy, permanent("net.ipv4.conf.all.rp_filter", "2"), "net.ipv4.conf.all.rp_filter is 0, and so is that of %s: %s", l.Name, why)
			return
		}
	}
	n.good("net.ipv4.conf.all.rp_filter is %d, or that of the interface is more: %s", all, why)
}

// least takes values from n on.
func least(n int64) func(string) (bool, string) {
	return func(value string) (bool, string) {
		v, err := strconv.ParseInt(value, 10, 64)
		return err != nil || v >= n, strconv.FormatInt(n, 10)
	}
}

func most(n int64) func(string) (bool, string) {
	return func(value string) (bool, string) {
		v, err := strconv.ParseInt(value, 10, 64)
		return err != nil || v <= n, strconv.FormatInt(n, 10)
	}
}

func exactly(want string) func(string) (bool, string) {
	return func(value string) (bool, string) { return value == want, want }
}

// portsLeast is how many ports of its own the kernel should have to give.
const portsLeast = 16_384

func portRange(value string) (bool, string) {
	f := strings.Fields(value)
	if len(f) != 2 {
		return true, ""
	}
	low, err1 := strconv.Atoi(f[0])
	high, err2 := strconv.Atoi(f[1])
	return err1 != nil || err2 != nil || high-low >= portsLeast, "32768 60999"
}

// remoteOrigin says whether any origin is reached over the network.
func remoteOrigin(origins []string) bool {
	for _, o := range origins {
		if host, port := hostOf(o); port != 0 && !isLocal(host) {
			return true
		}
	}
	return false
}

// Of the table of connections that a firewall with state keeps.
const (
	tracksLeast   = 262_144 // entries
	trackBytes    = 320     // each, about: struct nf_conn with its extensions
	trackMemory   = 16      // share of memory that it may take: one of so many parts
	tracksCrowded = 0.5     // share in use that is too much for peacetime
)

// conntrack looks at the firewall's table of connections. When it is full, the
// kernel drops every new connection, whoever it comes from.
func (e Env) conntrack(n *notes) {
	const dir = "sys/net/netfilter/"
	entries, ok := number(e.Proc, dir+"nf_conntrack_max")
	if !ok {
		return // not loaded: nothing to fill
	}
	want := int64(tracksLeast)
	info, _ := text(e.Proc, "meminfo")
	if total, ok := kilobytes(info, "MemTotal"); ok {
		want = min(want, total/trackMemory/trackBytes)
	}
	do := permanent("net.netfilter.nf_conntrack_max", strconv.FormatInt(want, 10)) +
		"; better still, take the site's ports out of tracking (`notrack` in a raw chain of nftables)"
	used, _ := number(e.Proc, dir+"nf_conntrack_count")
	switch {
	case entries < want:
		n.poor(costly, do, "net.netfilter.nf_conntrack_max is %d: when a flood has filled the firewall's table of connections, nobody gets in", entries)
	case float64(used) > tracksCrowded*float64(entries):
		n.poor(costly, do, "the firewall's table of connections is %.0f %% full already (%s of %s)", 100*float64(used)/float64(entries), figures.Thousands(used), figures.Thousands(entries))
	default:
		n.good("net.netfilter.nf_conntrack_max is %d: the firewall's table of connections has room", entries)
	}
	// Each bucket is a list; long ones cost time for every packet.
	if buckets, ok := number(e.Proc, dir+"nf_conntrack_buckets"); ok && buckets > 0 && entries/buckets > 8 {
		n.poor(weak, permanent("net.netfilter.nf_conntrack_buckets", strconv.FormatInt(entries/4, 10)),
			"net.netfilter.nf_conntrack_buckets is %d: %d connections share one, and each packet goes through them", buckets, entries/buckets)
	}
}
