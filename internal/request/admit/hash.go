package admit

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"seawall/internal/traffic"
)

// seeds key the hashes, so that an attacker, who chooses prefixes, cookies and
// user agents, cannot choose which entries they fall on.
type seeds [4]uint64

// mix hashes two words under the seeds with two folded 64x64->128 bit products,
// the construction of wyhash (Wang Yi, 2019). It is a keyed hash for tables,
// not a cryptographic one; no output of it ever leaves the process.
func (s *seeds) mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^s[0], b^s[1])
	hi, lo = bits.Mul64(lo^s[2], hi^s[3])
	return hi ^ lo
}

// text hashes what a visit says of itself, as far as hashedText goes.
func (s *seeds) text(t string) uint64 {
	h := uint64(len(t))
	t = t[:min(len(t), hashedText)]
	for ; len(t) >= 16; t = t[16:] {
		h = s.mix(h^word(t), word(t[8:]))
	}
	for ; len(t) >= 8; t = t[8:] {
		h = s.mix(h, word(t))
	}
	var rest uint64
	for i := range len(t) {
		rest = rest<<8 | uint64(t[i])
	}
	return s.mix(h, rest)
}

// hashedText bounds the work on a text, in bytes: a user agent is no longer.
const hashedText = 256

func word(t string) uint64 {
	_ = t[7]
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
		uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
}

// What a hash is of, so that equal bits of different kinds do not meet.
const (
	kindV4 = uint64(iota+1) << 56
	kindV6
	kindClearance
	kindStanding
	kindAnyProgram // a client prefix with whatever program
	kindOver       // how many hellos were over their budget
)

// address is a client's address in words: the upper half of an IPv6 address, or
// an IPv4 address.
type address struct {
	bits uint64
	v4   bool
}

func addressOf(a netip.Addr) address {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return address{uint64(binary.BigEndian.Uint32(b[:])), true}
	}
	b := a.As16()
	return address{binary.BigEndian.Uint64(b[:8]), false}
}

// prefix is the client's own prefix, written out again.
func (a address) prefix() netip.Prefix {
	if a.v4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(a.bits))
		return netip.PrefixFrom(netip.AddrFrom4(b), 32)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.bits)
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// hash is the key of the address's prefix at a level; IPv4 has no middle.
func (a address) hash(s *seeds, l traffic.Level) uint64 {
	length, _ := traffic.PrefixBits(a.v4, l)
	if a.v4 {
		return s.mix(a.bits>>(32-length), kindV4|uint64(length))
	}
	return s.mix(a.bits>>(64-length), kindV6|uint64(length))
}
