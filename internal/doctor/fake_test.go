package doctor

import (
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// A machine with which all is well: what the kernel writes, shortened.
const (
	status = "Name:\tseawall\nUid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\n"
	limit  = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max cpu time              unlimited            unlimited            seconds   \n" +
		"Max open files            262144               262144               files     \n"
	mounts = "/dev/vda / ext4 rw 0 0\nsysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n"
	route  = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
	route6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n" +
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
	socketHead = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
)

// line is one of /proc/net/tcp and its kin.
func line(addr, state, inode string) string {
	return "   0: " + addr + " 00000000:0000 " + state + " 00000000:00000000 00:00000000 00000000     0        0 " + inode + " 1 0000000000000000 100 0 0 10 0\n"
}

func healthyProc() fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range map[string]string{
		"self/status": status, "self/limits": limit, "self/mounts": mounts,
		"77/status": status, "77/limits": limit, "77/comm": "seawall\n",
		"meminfo":        "MemTotal:        4028416 kB\nMemFree:          100000 kB\nMemAvailable:    3000000 kB\n",
		"stat":           "cpu  100 0 100 10000 10 0 10 5 0 0\ncpu0 100 0 100 10000 10 0 10 5 0 0\n",
		"net/route":      route,
		"net/ipv6_route": route6,
		"net/tcp":        socketHead + line("00000000:01BB", "0A", "900") + line("0100007F:0BB8", "0A", "901") + line("00000000:01BB", "01", "902"),
		"net/tcp6":       socketHead + line("00000000000000000000000000000000:0016", "0A", "903"),
		"net/udp":        "", "net/udp6": "",
		"sys/kernel/osrelease":                    "6.12.41+deb13-amd64\n",
		"sys/net/core/somaxconn":                  "4096\n",
		"sys/net/core/bpf_jit_enable":             "1\n",
		"sys/net/core/netdev_max_backlog":         "1000\n",
		"sys/net/ipv4/tcp_syncookies":             "1\n",
		"sys/net/ipv4/tcp_max_syn_backlog":        "512\n",
		"sys/net/ipv4/tcp_synack_retries":         "3\n",
		"sys/net/ipv4/tcp_timestamps":             "1\n",
		"sys/net/ipv4/tcp_tw_reuse":               "2\n",
		"sys/net/ipv4/ip_local_port_range":        "32768\t60999\n",
		"sys/net/ipv4/ip_unprivileged_port_start": "1024\n",
		"sys/net/ipv4/conf/all/rp_filter":         "2\n",
		"sys/net/ipv4/conf/eth0/rp_filter":        "0\n",
		"sys/fs/file-max":                         "9223372036854775807\n",
		"sys/net/netfilter/nf_conntrack_max":      "262144\n",
		"sys/net/netfilter/nf_conntrack_count":    "100\n",
		"sys/net/netfilter/nf_conntrack_buckets":  "65536\n",
	} {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	out["77/fd/5"] = &fstest.MapFile{Data: []byte("socket:[900]"), Mode: fs.ModeSymlink}
	return out
}

func healthySys() fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range map[string]string{
		"kernel/btf/vmlinux":                    "x",
		"class/net/eth0/speed":                  "1000\n",
		"class/net/eth0/queues/rx-0/rps_cpus":   "00000000,00000000\n",
		"class/net/eth0/queues/rx-1/rps_cpus":   "0\n",
		"class/net/eth0/queues/tx-0/byte_queue": "0\n",
	} {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	out["class/net/eth0/device/driver"] = &fstest.MapFile{Data: []byte("../../../../bus/pci/drivers/igb"), Mode: fs.ModeSymlink}
	return out
}

// wire is a card that has native mode.
func wire() Link {
	return Link{
		Name: "eth0", Index: 2, Up: true, Ethernet: true, MTU: 1500,
		Addrs:    []netip.Prefix{netip.MustParsePrefix("198.51.100.7/24")},
		Features: Features{Known: true, Basic: true},
	}
}

// stub is a kernel that can everything, unless told otherwise.
type stub struct {
	probe, try, program error
	name                string
	ours                bool
	helpers             []Helper
	tried               *int
}

func (s stub) Probe() error      { return s.probe }
func (s stub) Helpers() []Helper { return s.helpers }
func (s stub) Program(uint32) (string, bool, error) {
	return s.name, s.ours, s.program
}
func (s stub) TryNative(string) error {
	if s.tried != nil {
		*s.tried++
	}
	return s.try
}
func (s stub) DropCost(int, time.Duration) (time.Duration, error) {
	return 100 * time.Nanosecond, s.probe
}

// healthy is an Env with which all is well.
func healthy() Env {
	return Env{
		Proc: healthyProc(), Sys: healthySys(), CPUs: 2, Kernel: stub{},
		Links: func() ([]Link, error) {
			return []Link{{Name: "lo", Index: 1, Up: true, Loopback: true, MTU: 65536}, wire()}, nil
		},
		Site: Site{
			Configured: true, Interfaces: []string{"eth0"}, Pins: "/sys/fs/bpf/seawall",
			Listen: []string{"0.0.0.0:443"}, Admin: "127.0.0.1:9090", Origins: []string{"http://127.0.0.1:3000"},
			MaxConns: 8192, MaxStreams: 4096, Ceiling: 256 << 20, PID: 77,
		},
	}
}

func write(f fs.FS, name, text string) { f.(fstest.MapFS)[name] = &fstest.MapFile{Data: []byte(text)} }

// expect looks for a finding of a level that holds a text.
func expect(t *testing.T, list []Finding, level Level, what string) Finding {
	t.Helper()
	for _, f := range list {
		if f.Level == level && strings.Contains(f.What, what) {
			if level != Good && f.Do == "" {
				t.Errorf("%q does not say what to do", f.What)
			}
			return f
		}
	}
	t.Errorf("nothing %s says %q in %s", level, what, show(list))
	return Finding{}
}

func show(list []Finding) string {
	var b strings.Builder
	for _, f := range list {
		b.WriteString("\n  " + string(f.Level) + ": " + f.What)
	}
	return b.String()
}

// allGood fails for each finding that is not.
func allGood(t *testing.T, list []Finding) {
	t.Helper()
	for _, f := range list {
		if f.Level != Good {
			t.Errorf("%s: %s", f.Level, f.What)
		}
	}
}

type (
	mapFS   = fstest.MapFS
	mapFile = fstest.MapFile
)

func contains(s, sub string) bool { return strings.Contains(s, sub) }
