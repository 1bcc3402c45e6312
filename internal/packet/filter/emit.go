package filter

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf/asm"

	"seawall/internal/match"
	"seawall/internal/traffic"
)

// Where struct facts of bpf/signatures.h has what.
const (
	factSource     = 0
	factPayload    = 16
	factLength     = 48
	factSourcePort = 50
	factDestPort   = 52
	factWindow     = 54
	factProtocol   = 56
	factTTL        = 57
	factFlags      = 58
	factKept       = 59
	factKnown      = 60
	factFragment   = 61
)

// Bits of known in struct facts.
const (
	knownPorts = 1
	knownTCP   = 2
)

// instructionsMost is how many instructions all signatures together may have,
// which bounds the work for a packet: there are no loops in them.
const instructionsMost = 4096

// Registers: what signatures is given, what it works with, what it returns.
const (
	facts = asm.R1
	left  = asm.R2
	right = asm.R3
	mask  = asm.R0
)

// fact is where a field that is a number stands, how large it is there, and what
// must be known for it.
type fact struct {
	at    int16
	size  asm.Size
	known uint64
}

func factOf(f traffic.PacketField) (fact, bool) {
	switch f {
	case traffic.PacketProtocol:
		return fact{factProtocol, asm.Byte, 0}, true
	case traffic.PacketSourcePort:
		return fact{factSourcePort, asm.Half, knownPorts}, true
	case traffic.PacketDestPort:
		return fact{factDestPort, asm.Half, knownPorts}, true
	case traffic.PacketFlags:
		return fact{factFlags, asm.Byte, knownTCP}, true
	case traffic.PacketLength:
		return fact{factLength, asm.Half, 0}, true
	case traffic.PacketTTL:
		return fact{factTTL, asm.Byte, 0}, true
	case traffic.PacketWindow:
		return fact{factWindow, asm.Half, knownTCP}, true
	case traffic.PacketFragmented:
		return fact{factFragment, asm.Byte, 0}, true
	}
	return fact{}, false
}

// compiled makes the body of signatures in bpf/signatures.h: it returns a mask
// of the slots that hit.
func compiled(slots [SignaturesMost]Signature) (*signatures, error) {
	s := &signatures{slots: slots}
	var e emitter
	out := e.label()
	e.add(asm.Mov.Imm(mask, 0))
	e.jumpIf(asm.JEq, facts, 0, out) // the verifier wants to see it
	none := true
	for i, sig := range slots {
		if sig.ID == 0 {
			continue
		}
		none = false
		if !sig.Match.OnPackets() {
			return nil, fmt.Errorf("%w: signature %d: `%s` is not about packets", ErrSignature, sig.ID, sig.Match)
		}
		payload, err := e.signature(sig.Match, i)
		if err != nil {
			return nil, fmt.Errorf("%w: signature %d: %w", ErrSignature, sig.ID, err)
		}
		s.payload = s.payload || payload
		if sig.Enforce {
			s.enforced |= 1 << i
		}
	}
	if none {
		return nil, nil
	}
	e.here(out)
	e.add(asm.Return())
	s.code = e.resolved()
	return s, nil
}

// signature emits one: it sets its bit unless a test fails.
func (e *emitter) signature(m *match.Match, slot int) (payload bool, err error) {
	missed := e.label()
	tests := m.Tests()
	// What is not known hits nothing, negated or not: so it is asked first, once.
	var known uint64
	kept := 0
	for i := range tests {
		t, _ := tests[i].OnPacket()
		if f, ok := factOf(t.Field); ok {
			known |= f.known
		}
		if t.Field == traffic.PacketPayload {
			kept = max(kept, t.Offset+len(t.Bytes))
		}
	}
	if known != 0 {
		e.add(asm.LoadMem(left, facts, factKnown, asm.Byte))
		e.add(asm.And.Imm(left, int32(known)))
		e.jumpIf(asm.JNE, left, known, missed)
	}
	if kept > 0 {
		e.add(asm.LoadMem(left, facts, factKept, asm.Byte))
		e.jumpIf(asm.JLT, left, uint64(kept), missed)
	}
	for i := range tests {
		t, _ := tests[i].OnPacket()
		if err := e.test(t, missed); err != nil {
			return false, fmt.Errorf("`%s`: %w", shown(&tests[i]), err)
		}
		if e.raw > instructionsMost {
			return false, fmt.Errorf("`%s`: with it the signatures need more than %d instructions; shorten lists, or have fewer signatures", shown(&tests[i]), instructionsMost)
		}
	}
	e.add(asm.Or.Imm32(mask, int32(uint32(1)<<slot)))
	e.here(missed)
	return kept > 0, nil
}

// shown is a test as errors show it: a list may be long.
func shown(t *match.Test) string {
	const longest = 120 // bytes
	if s := t.String(); len(s) > longest {
		return s[:longest] + "..."
	}
	return t.String()
}

// test goes on if it hits, and else to missed.
func (e *emitter) test(t match.PacketTest, missed label) error {
	// A positive test leaves for missed at the first thing that is wrong. A
	// negated one goes on there, and comes to missed if nothing is.
	wrong := missed
	if t.Not {
		wrong = e.label()
	}
	switch f, number := factOf(t.Field); {
	case t.Field == traffic.PacketSource:
		if !t.Prefix.IsValid() {
			return fmt.Errorf("%v is no prefix", t.Prefix)
		}
		e.source(t.Prefix, wrong)
	case t.Field == traffic.PacketPayload:
		if t.Offset < 0 || len(t.Bytes) == 0 || t.Offset+len(t.Bytes) > traffic.PayloadKept {
			return fmt.Errorf("only the first %d bytes of a payload are known", traffic.PayloadKept)
		}
		var m, v [traffic.PayloadKept]byte
		for i, b := range t.Bytes {
			m[t.Offset+i], v[t.Offset+i] = 0xff, b
		}
		e.words(factPayload, m[:], v[:], wrong)
	case !number:
		return fmt.Errorf("%s is not compiled", t.Field)
	default:
		e.add(asm.LoadMem(left, facts, f.at, f.size))
		e.oneOf(ranges(t), wrong)
	}
	if t.Not {
		e.jump(missed)
		e.here(wrong)
	}
	return nil
}

// ranges are the numbers of a test, neighbours together.
func ranges(t match.PacketTest) (out [][2]uint64) {
	if t.Numbers == nil {
		return [][2]uint64{{t.Least, t.Most}}
	}
	for _, n := range t.Numbers {
		if last := len(out) - 1; last >= 0 && out[last][1]+1 == n {
			out[last][1] = n
		} else {
			out = append(out, [2]uint64{n, n})
		}
	}
	return out
}

// oneOf goes on if left is in one of the ranges, and else to wrong.
func (e *emitter) oneOf(ranges [][2]uint64, wrong label) {
	found := e.label()
	for i, r := range ranges {
		last := i == len(ranges)-1
		switch {
		case r[0] == r[1] && last:
			e.jumpIf(asm.JNE, left, r[0], wrong)
		case r[0] == r[1]:
			e.jumpIf(asm.JEq, left, r[0], found)
		case last:
			e.jumpIf(asm.JLT, left, r[0], wrong)
			e.jumpIf(asm.JGT, left, r[1], wrong)
		default:
			e.jumpIf(asm.JLT, left, r[0], wrong) // they are sorted
			e.jumpIf(asm.JLE, left, r[1], found)
		}
	}
	e.here(found)
}

// source goes on if the source is within p, and else to wrong. IPv4 stands in
// ::ffff:0:0/96 there, and is within no prefix of IPv6.
func (e *emitter) source(p netip.Prefix, wrong label) {
	a, bits := p.Addr().As16(), p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	var m [16]byte
	for i := range bits {
		m[i/8] |= 0x80 >> (i % 8)
	}
	e.words(factSource, m[:], a[:], wrong)
	if !p.Contains(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})) {
		return
	}
	other := e.label()
	e.add(asm.LoadMem(left, facts, factSource, asm.DWord))
	e.jumpIf(asm.JNE, left, 0, other)
	e.add(asm.LoadMem(left, facts, factSource+8, asm.Word))
	e.compare(asm.JEq, uint64(binary.NativeEndian.Uint32([]byte{0, 0, 0xff, 0xff})), wrong)
	e.here(other)
}

// words goes on if what stands at an offset is value where m has bits, and else
// to wrong.
func (e *emitter) words(at int16, m, value []byte, wrong label) {
	for i := 0; i < len(m); i += 8 {
		bits, want := binary.NativeEndian.Uint64(m[i:]), binary.NativeEndian.Uint64(value[i:])
		if bits == 0 {
			continue
		}
		e.add(asm.LoadMem(left, facts, at+int16(i), asm.DWord))
		if bits != ^uint64(0) {
			e.add(asm.LoadImm(right, int64(bits), asm.DWord))
			e.add(asm.And.Reg(left, right))
		}
		e.compare(asm.JNE, want&bits, wrong)
	}
}
