package doctor

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestFirewall(t *testing.T) {
	proc := healthyProc()
	for name, c := range map[string]struct {
		rules string
		ok    bool
		loose string
		want  Level
		says  string
	}{
		"none":                {"", true, "1", Good, "no rule"},
		"cannot be read":      {"", false, "1", Missing, "cannot be read"},
		"nothing invalid":     {"", true, "0", Poor, "nf_conntrack_tcp_loose"},
		"usual":               {"ct state established,related accept\nct state invalid drop\ntcp dport 22 ct state new accept\n", true, "1", Good, "no rule"},
		"nftables":            {"\t\ttcp flags & (fin | syn | rst | ack) != syn ct state new counter drop\n", true, "1", Poor, "!= syn ct state new"},
		"nftables, otherwise": {"tcp flags != syn / fin,syn,rst,ack ct state new drop\n", true, "1", Poor, "tcp flags != syn"},
		"iptables":            {"-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m state --state NEW -j DROP\n", true, "1", Poor, "--state NEW"},
		"iptables, accepted":  {"-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m state --state NEW -j ACCEPT\n", true, "1", Good, "no rule"},
	} {
		proc["sys/net/netfilter/nf_conntrack_tcp_loose"] = &fstest.MapFile{Data: []byte(c.loose + "\n")}
		found := firewall(Env{Proc: proc, Firewall: func() (string, bool) { return c.rules, c.ok }})
		if len(found) == 0 || found[0].Level != c.want || !strings.Contains(found[0].What, c.says) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
