package doctor

import (
	"errors"
	"testing"
)

func TestRelease(t *testing.T) {
	for _, c := range []struct {
		text, version string
		major, minor  int
		ok            bool
	}{
		{"6.1.0-18-amd64", "6.1.0", 6, 1, true},
		{"6.18.44", "6.18.44", 6, 18, true},
		{"5.15-generic", "5.15", 5, 15, true},
		{"7.0.", "7.0", 7, 0, true},
		{"", "", 0, 0, false},
		{"six.one", "", 0, 0, false},
		{"6", "6", 0, 0, false},
	} {
		version, major, minor, ok := parseRelease(c.text)
		if version != c.version || major != c.major || minor != c.minor || ok != c.ok {
			t.Errorf("%q is %q, %d, %d, %v", c.text, version, major, minor, ok)
		}
	}
}

func TestMountOf(t *testing.T) {
	for _, c := range []struct {
		mounts, path, at string
		ok               bool
	}{
		{mounts, "/sys/fs/bpf/seawall", "/sys/fs/bpf", true},
		{mounts, "/sys/fs/bpf", "/sys/fs/bpf", true},
		{mounts, "/sys/fs/bpfx", "/sys", false},
		{mounts + "tmpfs /sys/fs/bpf tmpfs rw 0 0\n", "/sys/fs/bpf", "/sys/fs/bpf", false}, // hidden
		{"/dev/vda / ext4 rw 0 0\n", "/sys/fs/bpf", "/", false},
		{"x", "/sys/fs/bpf", "", false},
	} {
		if at, ok := mountOf(c.mounts, c.path, "bpf"); at != c.at || ok != c.ok {
			t.Errorf("%s is in %q, %v", c.path, at, ok)
		}
	}
}

func TestKernel(t *testing.T) {
	e := healthy()
	e.Kernel = stub{helpers: []Helper{
		{Name: "bpf_a", For: "a"}, {Name: "bpf_b", For: "b", Err: errors.New("no"), Lacks: true}, {Name: "bpf_c", For: "c", Err: errors.New("who knows")},
	}}
	list := kernel(e)
	expect(t, list, Good, "Linux 6.12.41 ")
	expect(t, list, Good, "optional helpers: bpf_a")
	expect(t, list, Poor, "bpf_b is not there: b")
	expect(t, list, Missing, "whether bpf_c is there is not known")

	write(e.Proc, "sys/kernel/osrelease", "5.10.0-28-amd64")
	write(e.Proc, "self/mounts", "/dev/vda / ext4 rw 0 0\n")
	e.Kernel = stub{probe: errors.New("the verifier says no\nin many lines")}
	list = kernel(e)
	expect(t, list, Missing, "Linux 5.10.0: packets cannot be filtered")
	expect(t, list, Missing, "no BPF file system is mounted at /sys/fs/bpf/seawall")
	expect(t, list, Missing, "cannot be loaded: the verifier says no")

	// Without rights, nobody can tell.
	write(e.Proc, "self/status", "CapEff:\t0000000000000000\n")
	expect(t, kernel(e), Missing, "whether the packet filter loads is not known")
}

func TestRights(t *testing.T) {
	e := healthy()
	allGood(t, rights(e))
	expect(t, rights(e), Good, "the running Seawall (process 77) may listen on 0.0.0.0:443")

	// The service's rights count, not those of whoever asks.
	write(e.Proc, "77/status", "CapEff:\t0000000000000400\n")
	expect(t, rights(e), Missing, "lacks CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN: the packet filter that the configuration asks for")
	e.Site.Interfaces = nil
	expect(t, rights(e), Poor, "packets cannot be filtered, HTTP is defended")
	write(e.Proc, "77/status", "CapEff:\t000000c000001000\n")
	expect(t, rights(e), Good, "may load and attach")
	expect(t, rights(e), Missing, "lacks CAP_NET_BIND_SERVICE: it cannot listen on 0.0.0.0:443")
	e.Site.Listen = []string{"127.0.0.1:8080"}
	expect(t, rights(e), Good, "needs rights")
	write(e.Proc, "77/status", "CapEff:\t0000000000201000\n") // CAP_SYS_ADMIN and CAP_NET_ADMIN
	expect(t, rights(e), Good, "may load and attach")

	e.Site.PID = 0
	expect(t, rights(e), Missing, "no Seawall runs")
	write(e.Proc, "self/status", "?")
	expect(t, rights(e), Missing, "what whoever runs this may do cannot be read")
}

func TestLimits(t *testing.T) {
	e := healthy()
	allGood(t, limits(e))
	write(e.Proc, "77/limits", "Max open files            1024                 4096                 files     \n")
	expect(t, limits(e), Missing, "may open 4,096 files; 8,192 connections and 4,096 to the origin need 13,312")
	write(e.Proc, "77/limits", "Max open files            1024                 unlimited            files     \n")
	expect(t, limits(e), Good, "any number of files")
	write(e.Proc, "77/limits", "")
	expect(t, limits(e), Missing, "cannot be read")

	e.Site.PID = 0
	write(e.Proc, "meminfo", "MemTotal: 1000000 kB\nMemAvailable: 100000 kB\n")
	expect(t, limits(e), Poor, "97 MiB of memory are available; Seawall may take up to 256 MiB")
	write(e.Proc, "meminfo", "")
	expect(t, limits(e), Missing, "how much memory")

	write(e.Proc, "stat", "cpu  100 0 100 600 0 0 0 200 0 0\n")
	expect(t, limits(e), Poor, "2 processors, of whose time 20 % have gone")
}

func TestSysctls(t *testing.T) {
	links := []Link{wire()}
	links[0].Outside = true
	allGood(t, sysctls(healthy(), links))
	for _, c := range []struct{ file, value, what, do string }{
		{"net/core/bpf_jit_enable", "0", "net.core.bpf_jit_enable is 0", "net.core.bpf_jit_enable=1"},
		{"net/core/somaxconn", "128", "net.core.somaxconn is 128", "net.core.somaxconn=4096"},
		{"net/ipv4/tcp_syncookies", "2", "net.ipv4.tcp_syncookies is 2", "net.ipv4.tcp_syncookies=1"},
		{"net/ipv4/tcp_syncookies", "0", "net.ipv4.tcp_max_syn_backlog is 512", "net.ipv4.tcp_max_syn_backlog=4096"},
		{"net/ipv4/tcp_synack_retries", "5", "net.ipv4.tcp_synack_retries is 5", "net.ipv4.tcp_synack_retries=3"},
		{"net/ipv4/tcp_timestamps", "0", "net.ipv4.tcp_timestamps is 0", "net.ipv4.tcp_timestamps=1"},
		{"net/ipv4/conf/all/rp_filter", "0", "net.ipv4.conf.all.rp_filter is 0", "net.ipv4.conf.all.rp_filter=2"},
		{"net/ipv4/ip_local_port_range", "60000\t61000", "net.ipv4.ip_local_port_range is 60000 61000", "net.ipv4.ip_local_port_range='32768 60999'"},
		{"fs/file-max", "10000", "fs.file-max is 10000", "fs.file-max=53248"},
		{"net/netfilter/nf_conntrack_max", "65536", "net.netfilter.nf_conntrack_max is 65536", "net.netfilter.nf_conntrack_max=262144"},
		{"net/netfilter/nf_conntrack_count", "200000", "76 % full already", "net.netfilter.nf_conntrack_max=262144"},
		{"net/netfilter/nf_conntrack_buckets", "1024", "256 connections share one", "net.netfilter.nf_conntrack_buckets=65536"},
	} {
		e := healthy()
		write(e.Proc, "sys/"+c.file, c.value+"\n")
		f := expect(t, sysctls(e, links), Poor, c.what)
		if !contains(f.Do, "sudo sysctl -w "+c.do) {
			t.Errorf("%s: %q does not set %s", c.file, f.Do, c.do)
		}
	}

	// Some matter only in some cases.
	e := healthy()
	e.Site.Origins = []string{"https://10.0.0.11"}
	expect(t, sysctls(e, links), Poor, "net.ipv4.tcp_tw_reuse is 2")
	write(e.Sys, "class/net/eth0/queues/rx-0/rps_cpus", "00000000,00000003\n")
	expect(t, sysctls(e, links), Poor, "net.core.netdev_max_backlog is 1000")
	// What is not there does not matter, but not everything can be missing.
	delete(e.Proc.(mapFS), "sys/net/netfilter/nf_conntrack_max")
	for _, f := range sysctls(e, links) {
		if contains(f.What, "conntrack") {
			t.Errorf("no firewall keeps a table, and yet: %s", f.What)
		}
	}
}
