package filter

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"seawall/internal/match"
	"seawall/internal/traffic"
)

// factsLen is the length of struct facts.
const factsLen = 64

// Facts stand where the program has them.
func TestFactsAreThoseOfTheProgram(t *testing.T) {
	set := settings{buckets: [2]uint32{1, 1}}
	spec, err := set.spec()
	if err != nil {
		t.Fatal(err)
	}
	var s *btf.Struct
	if err := spec.Types.TypeByName("facts", &s); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"source": factSource, "payload": factPayload, "length": factLength, "sport": factSourcePort, "dport": factDestPort,
		"window": factWindow, "proto": factProtocol, "ttl": factTTL, "flags": factFlags, "kept": factKept, "known": factKnown,
		"fragment": factFragment, "unused": 62,
	}
	for _, m := range s.Members {
		if at, ok := want[m.Name]; !ok || uint32(at) != m.Offset.Bytes() {
			t.Errorf("%s stands at %d, not at %d", m.Name, m.Offset.Bytes(), at)
		}
		delete(want, m.Name)
	}
	if s.Size != factsLen || len(want) > 0 {
		t.Errorf("%d bytes, without %v", s.Size, want)
	}
	// The body that is put in stands where the old one stood.
	sigs, err := compiled([SignaturesMost]Signature{31: {ID: 1, Match: match.All(match.PacketPayload(30, []byte{1, 2}))}})
	if err != nil {
		t.Fatal(err)
	}
	set.signatures = sigs
	with, err := set.spec()
	if err != nil {
		t.Fatal(err)
	}
	text := with.Programs[programName].Instructions.String()
	if n := strings.Count(text, "signatures:"); n != 1 || !strings.Contains(text, "climb_extensions:") {
		t.Errorf("the program has %d functions of that name", n)
	}
}

// alone wraps compiled signatures in a program that takes struct facts for a
// packet and returns the mask.
func alone(t testing.TB, code asm.Instructions) *ebpf.Program {
	t.Helper()
	ins := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Imm(asm.R0, 0),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, factsLen),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
	}
	for at := int16(0); at < factsLen; at += 8 {
		ins = append(ins, asm.LoadMem(asm.R5, asm.R2, at, asm.DWord), asm.StoreMem(asm.RFP, at-factsLen, asm.R5, asm.DWord))
	}
	ins = append(ins,
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, -factsLen),
		asm.Call.Label(signaturesName),
		asm.Return().WithSymbol("out"),
	)
	code[0] = code[0].WithSymbol(signaturesName)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "Dual BSD/GPL", Instructions: append(ins, code...),
	})
	if errors.Is(err, unix.EPERM) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%+v\n%v", err, code)
	}
	return p
}

// packetOf is what facts say, as a Packet; it makes them agree with each other
// first, as those of the program always do.
func packetOf(facts []byte) (p traffic.Packet) {
	ne := binary.NativeEndian
	facts[factFlags] &= traffic.FlagsKnown
	facts[factKnown] &= knownPorts | knownTCP
	facts[factFragment] &= 1
	facts[factKept] %= traffic.PayloadKept + 1
	if facts[factKnown]&knownPorts == 0 {
		facts[factKnown], facts[factKept] = 0, 0
	} else if facts[factKnown]&knownTCP != 0 {
		facts[factProtocol] = 6
	} else if facts[factProtocol] == 6 {
		facts[factKnown] |= knownTCP
	}
	p = traffic.Packet{
		Source: netip.AddrFrom16([16]byte(facts[factSource:])), Protocol: facts[factProtocol],
		Ports: facts[factKnown]&knownPorts != 0, SourcePort: ne.Uint16(facts[factSourcePort:]), DestPort: ne.Uint16(facts[factDestPort:]),
		Flags: facts[factFlags], Window: ne.Uint16(facts[factWindow:]), Length: ne.Uint16(facts[factLength:]),
		TTL: facts[factTTL], Fragment: facts[factFragment] == 1, PayloadLen: facts[factKept],
	}
	copy(p.Payload[:], facts[factPayload:])
	return p
}

// testOf makes a random test of a field, about the values of a packet or near them.
func testOf(r *rand.Rand, p *traffic.Packet) (match.Test, error) {
	f := traffic.PacketField(r.IntN(int(traffic.PacketFields)))
	switch f {
	case traffic.PacketSource:
		prefix, err := p.Source.Unmap().Prefix(r.IntN(p.Source.Unmap().BitLen() + 1))
		return match.PacketWithin(prefix), err
	case traffic.PacketPayload:
		from := r.IntN(traffic.PayloadKept)
		to := from + 1 + r.IntN(traffic.PayloadKept-from)
		p.Payload[from] ^= byte(r.IntN(8) / 7)
		return match.PacketPayload(from, p.Payload[from:to]), nil
	case traffic.PacketProtocol, traffic.PacketFlags, traffic.PacketFragmented:
		return match.PacketIs(f, p.Key(f))
	}
	n := p.Number(f)
	if r.IntN(2) == 0 {
		return match.PacketRange(f, n-min(n, r.Uint64N(3)), n+r.Uint64N(3))
	}
	return match.PacketIs(f, p.Key(f), []string{"1", "2", "255", p.Key(f)}[r.IntN(4)])
}

// FuzzCompiled compares compiled signatures with their matches on any facts,
// those of packets that the ladder shows to no signature among them: without
// ports, without a payload, with impossible sources.
func FuzzCompiled(f *testing.F) {
	whole := make([]byte, factsLen)
	for i := range whole {
		whole[i] = byte(i)
	}
	f.Add(uint64(1), make([]byte, factsLen), whole)
	f.Add(uint64(2), whole, append([]byte{10: 0xff, 11: 0xff, 12: 198, 18, 0, 7}, whole[16:]...))
	f.Fuzz(func(t *testing.T, seed uint64, a, b []byte) {
		if len(a) != factsLen || len(b) != factsLen {
			return
		}
		packets := []traffic.Packet{packetOf(a), packetOf(b)}
		r := rand.New(rand.NewPCG(seed, 2))
		var slots [SignaturesMost]Signature
		for i := range slots {
			var tests []match.Test
			for range 1 + r.IntN(3) {
				like := packets[r.IntN(2)]
				if x, err := testOf(r, &like); err == nil {
					if r.IntN(3) == 0 {
						x = match.Not(x)
					}
					tests = append(tests, x)
				}
			}
			if len(tests) > 0 {
				slots[i] = Signature{ID: uint32(i + 1), Match: match.All(tests...)}
			}
		}
		s, err := compiled(slots)
		if err != nil || s == nil {
			t.Fatalf("%v, %v", s, err)
		}
		p := alone(t, s.code)
		defer p.Close()
		for i, facts := range [][]byte{a, b} {
			got, err := p.Run(&ebpf.RunOptions{Data: facts})
			if err != nil {
				t.Fatal(err)
			}
			for slot, sig := range slots {
				if want := sig.Match.HitsPacket(&packets[i]); want != (got>>slot&1 == 1) {
					t.Fatalf("%s hits: %v; compiled: %v\n%+v", sig.Match, want, !want, packets[i])
				}
			}
		}
	})
}
