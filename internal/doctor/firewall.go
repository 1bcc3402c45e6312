package doctor

import "strings"

// firewall looks for rules that want to see every SYN. Connections that are made
// by SYN cookies have shown none to the firewall: their clients believe that they
// are connected, and all that they send vanishes. rules is what `nft list
// ruleset` and `iptables-save` print; nil where neither could be asked.
func firewall(e Env) []Finding {
	n := notes{subject: "firewall"}
	const loose = "net.netfilter.nf_conntrack_tcp_loose"
	if v, ok := number(e.Proc, "sys/net/netfilter/nf_conntrack_tcp_loose"); ok && v == 0 {
		n.poor(costly, permanent(loose, "1"), "%s is 0: what a SYN cookie has let in is invalid to the firewall, and SYN cookies stay off", loose)
	}
	if e.Firewall == nil {
		return n.list
	}
	rules, ok := e.Firewall()
	if !ok {
		n.missing(unknown, "`sudo nft list ruleset` and `sudo iptables-save` list them", "the firewall's rules cannot be read")
		return n.list
	}
	for rule := range strings.Lines(rules) {
		if rule = strings.TrimSpace(rule); wantsSYN(rule) {
			n.poor(costly, "take it out: Seawall's filter stops what belongs to no connection", "a rule stops connections made by SYN cookies, which stay off: %s", rule)
		}
	}
	if len(n.list) == 0 {
		n.good("no rule of the firewall is in the way of SYN cookies")
	}
	return n.list
}

// wantsSYN says whether a rule drops what begins a connection and is no SYN, as
// nftables and as iptables write it.
func wantsSYN(rule string) bool {
	lower := strings.ToLower(rule)
	if !strings.Contains(lower, "drop") && !strings.Contains(lower, "reject") || !strings.Contains(lower, "new") {
		return false
	}
	state := strings.Contains(lower, "ct state") || strings.Contains(lower, "--state") || strings.Contains(lower, "--ctstate")
	// nft: `tcp flags & (fin | syn | rst | ack) != syn`, `tcp flags != syn / ...`;
	// iptables-save: `! --tcp-flags FIN,SYN,RST,ACK SYN`, from `! --syn`.
	noSYN := strings.Contains(lower, "!= syn") || strings.Contains(lower, "! --tcp-flags") || strings.Contains(lower, "! --syn") || strings.Contains(lower, "!= 0x2")
	return state && noSYN
}
