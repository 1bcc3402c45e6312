package identify

import (
	"fmt"
	"net/netip"

	"github.com/gaissmai/bart"
)

// named returns the prefixes behind a name in trusted_proxies.
//
// The providers' lists change now and then: the operator may always write
// prefixes instead. They say whose addresses these are, and so whose header is
// believed; anybody else who rents there can reach us from there too, but gets
// his own address appended by the provider's proxy.
func named(name string) []string {
	switch name {
	case "loopback":
		return []string{"127.0.0.0/8", "::1/128"}
	case "private": // RFC 1918, RFC 4193
		return []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}
	case "cloudflare": // https://www.cloudflare.com/ips-v4, https://www.cloudflare.com/ips-v6
		return []string{
			"173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18",
			"108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17",
			"162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22",
			"2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32", "2405:8100::/32",
			"2a06:98c0::/29", "2c0f:f248::/32",
		}
	case "fastly": // https://api.fastly.com/public-ip-list
		return []string{
			"23.235.32.0/20", "43.249.72.0/22", "103.244.50.0/24", "103.245.222.0/23", "103.245.224.0/24",
			"104.156.80.0/20", "140.248.64.0/18", "140.248.128.0/17", "146.75.0.0/17", "151.101.0.0/16",
			"157.52.64.0/18", "167.82.0.0/17", "167.82.128.0/20", "167.82.160.0/20", "167.82.224.0/20",
			"172.111.64.0/18", "185.31.16.0/22", "199.27.72.0/21", "199.232.0.0/16",
			"2a04:4e40::/32", "2a04:4e42::/32",
		}
	}
	return nil
}

func prefixes(name string) ([]netip.Prefix, error) {
	list := named(name)
	if list == nil {
		list = []string{name}
	}
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return nil, fmt.Errorf("%q is no prefix, address or known name", s)
			}
			a = a.Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is an IPv4 prefix in IPv6 form", s)
		}
		if p.Bits() == 0 {
			return nil, fmt.Errorf("%q would believe everybody", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// Prefixes returns what a list for trusted_proxies stands for, names resolved.
func Prefixes(names []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, name := range names {
		p, err := prefixes(name)
		if err != nil {
			return nil, err
		}
		out = append(out, p...)
	}
	return out, nil
}

// trusted is the set of proxies that are believed.
type trusted struct {
	any bool
	set *bart.Lite
}

func newTrusted(names []string) (trusted, error) {
	list, err := Prefixes(names)
	if err != nil {
		return trusted{}, err
	}
	t := trusted{any: len(list) > 0, set: new(bart.Lite)}
	for _, p := range list {
		t.set.Insert(p)
	}
	return t, nil
}

// has takes an address that is not in 4-in-6 form.
func (t trusted) has(a netip.Addr) bool { return t.any && t.set.Contains(a) }
