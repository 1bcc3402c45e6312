package traffic

import (
	"net/netip"
	"testing"
)

// The key of a client is its prefix, in fewer bits.
func TestClientKey(t *testing.T) {
	for _, s := range []string{"203.0.113.9", "::ffff:203.0.113.9", "0.0.0.0", "255.255.255.255", "2001:db8:1:2:3::4", "2001:db8:1:2:ffff::", "::", "fe80::1%eth0"} {
		a := netip.MustParseAddr(s)
		key, ok := ClientKey(a)
		if want := PrefixOf(a, LevelClient); !ok || ClientPrefix(key) != want {
			t.Errorf("%s: %x, %v; want %v", s, key, ClientPrefix(key), want)
		}
	}
	if _, ok := ClientKey(netip.Addr{}); ok {
		t.Error("nobody has a key")
	}
}
