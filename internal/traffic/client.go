package traffic

import (
	"encoding/binary"
	"net/netip"
)

// fourTag sets IPv4 addresses apart from the first halves of IPv6 ones: it puts
// them into 0:1::/32, a part of 0000::/8, which is reserved (RFC 4291, 2.4).
const fourTag = 1 << 32

// ClientKey is a client's own prefix, the /32 or the /64, as a number, which is compared
// and hashed much faster than a netip.Prefix; false where the address is not known.
func ClientKey(a netip.Addr) (uint64, bool) {
	if !a.IsValid() {
		return 0, false
	}
	b := a.As16()
	if a.Is4() || a.Is4In6() {
		return fourTag | uint64(binary.BigEndian.Uint32(b[12:])), true
	}
	return binary.BigEndian.Uint64(b[:8]), true
}

// ClientPrefix is the prefix of a key.
func ClientPrefix(key uint64) netip.Prefix {
	if key>>32 == 1 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(key))
		return netip.PrefixFrom(netip.AddrFrom4(b), 32)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], key)
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}
