package packet

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"seawall/internal/packet/craft"
)

// FuzzFrames shows the program any bytes. It must answer, count the packet
// exactly once, and stop what a plain reading of the bytes finds to come from a
// blocked address.
func FuzzFrames(f *testing.F) {
	for _, p := range ordinary() {
		f.Add(p.frame)
	}
	for _, pictures := range odd() {
		for _, p := range pictures {
			f.Add(p.frame)
		}
	}
	shield := load(f, nil)
	block(f, shield, netip.PrefixFrom(client4, 32), false)
	block(f, shield, netip.PrefixFrom(client6, 64), false)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < craft.EthernetLen || len(frame) > 3000 {
			return // no network card hands these over
		}
		done, dry, passed := result(t, shield, frame)
		if len(done) != 1 || len(dry) > 0 {
			t.Fatalf("counted %v, %v", done, dry)
		}
		if passed && isOurs(frame) {
			t.Fatalf("a packet of a blocked address passes as %v", done)
		}
	})
}

// isOurs reads the simplest packets only: whole, untagged TCP and UDP, without
// options, from a blocked address to a protected port.
func isOurs(b []byte) bool {
	be := binary.BigEndian
	guarded := func(proto byte, port uint16) bool {
		return proto == craft.TCP && (port == 80 || port == 443) || proto == craft.UDP && port == 443
	}
	switch {
	case len(b) >= tcp4+8 && be.Uint16(b[12:]) == 0x0800 && b[ip4] == 0x45 && be.Uint16(b[ip4+6:])&0x3fff == 0:
		return netip.AddrFrom4([4]byte(b[ip4+12:ip4+16])) == client4 && guarded(b[ip4+9], be.Uint16(b[tcp4+2:]))
	case len(b) >= tcp6+8 && be.Uint16(b[12:]) == 0x86dd && b[ip4]>>4 == 6:
		inside := netip.PrefixFrom(client6, 64).Masked().Contains(netip.AddrFrom16([16]byte(b[ip4+8 : ip4+24])))
		return inside && guarded(b[ip4+6], be.Uint16(b[tcp6+2:]))
	}
	return false
}
