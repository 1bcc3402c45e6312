package refuse

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"seawall/internal/mitigation"
)

// memory keeps the last codes, because who is refused mostly asks again within the
// minute, and is given the same code then: a refusal takes 75 ns so, and 224 ns where
// the code is made (BenchmarkCodes). It has a fixed size and is lossy. Who chooses
// addresses that fall together loses the advantage, and nothing else.
type memory [places]atomic.Pointer[made]

const places = 1 << placeBits // at most 0.5 MiB with all that they point to

const placeBits = 12

// made is a code, and all that it was made of.
type made struct {
	of   refusal
	code string
}

type refusal struct {
	prefix netip.Prefix
	id     mitigation.ID
	minute uint32
	why    mitigation.Reason
}

// place is where the code of a refusal is kept.
func (m *memory) place(of *refusal) *atomic.Pointer[made] {
	a := of.prefix.Addr().As16()
	mixed := binary.BigEndian.Uint64(a[:]) ^ binary.BigEndian.Uint64(a[8:]) ^ uint64(of.id)<<32 ^ uint64(of.why)
	const golden = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4)
	return &m[mixed*golden>>(64-placeBits)]
}
