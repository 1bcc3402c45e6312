package filter

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"seawall/internal/match"
)

// SignaturesMost is how many signatures there can be at once.
const SignaturesMost = 32

// ErrSignature says that a signature cannot be compiled; its text says which
// term is the reason.
var ErrSignature = errors.New("the packet filter cannot have this signature")

// Signature is what the packets of a flood have in common. Only packets for
// protected ports are ever compared with it, and of those only what no earlier
// rung has stopped.
type Signature struct {
	ID      uint32       // the mitigation's, to which its hits are counted; not 0
	Match   *match.Match // it is OnPackets
	Enforce bool         // what it hits is stopped; else it is only counted
}

func (s *Signature) same(o *Signature) bool {
	return s.ID == o.ID && s.Enforce == o.Enforce && s.Match.Equal(o.Match)
}

// signatures are those of a loaded program, compiled. They are immutable.
type signatures struct {
	slots    [SignaturesMost]Signature // an ID of 0: nothing
	enforced uint32                    // bit i: slot i is
	payload  bool                      // one of them looks at payloads
	code     asm.Instructions
}

// SetSignatures puts signatures in the place of those that there were, all in one
// step. On an error all is as it was. What a signature has hit is counted on
// while its ID is among them, whatever else changes.
func (f *Filter) SetSignatures(list []Signature) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.set
	slots, err := f.places(list)
	if err != nil {
		return fmt.Errorf("set signatures: %w", err)
	}
	var before [SignaturesMost]Signature
	if s.signatures != nil {
		before = s.signatures.slots
	}
	if slices.EqualFunc(slots[:], before[:], func(a, b Signature) bool { return a.same(&b) }) {
		return nil
	}
	if s.signatures, err = compiled(slots); err != nil {
		return fmt.Errorf("set signatures: %w", err)
	}
	sums, err := f.sums()
	if err != nil {
		return err
	}
	if err := f.load(s); err != nil {
		return fmt.Errorf("set signatures: %w", err)
	}
	for i := range slots {
		if slots[i].ID != before[i].ID {
			f.bases[i] = sums[i]
		}
	}
	return nil
}

// places gives each signature a slot. One that has a slot keeps it; a new one
// gets one that nothing counts in at present, as long as there is one: in a slot
// that changes hands, packets that are on their way during the change may be
// counted to the new one.
func (f *Filter) places(list []Signature) (slots [SignaturesMost]Signature, err error) {
	if len(list) > SignaturesMost {
		return slots, fmt.Errorf("%w: there are %d signatures, and room for %d", ErrFull, len(list), SignaturesMost)
	}
	var before [SignaturesMost]Signature
	if f.set.signatures != nil {
		before = f.set.signatures.slots
	}
	var fresh []Signature
	for _, s := range list {
		has := func(o Signature) bool { return o.ID == s.ID }
		switch i := slices.IndexFunc(before[:], has); {
		case s.ID == 0 || slices.ContainsFunc(slots[:], has) || slices.ContainsFunc(fresh, has):
			return slots, fmt.Errorf("%w: signature %d has no ID of its own", ErrSignature, s.ID)
		case i >= 0:
			slots[i] = s
		default:
			fresh = append(fresh, s)
		}
	}
	slices.SortFunc(fresh, func(a, b Signature) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range fresh {
		free := slices.IndexFunc(slots[:], func(o Signature) bool { return o.ID == 0 })
		for i := range slots {
			if slots[i].ID == 0 && before[i].ID == 0 {
				free = i
				break
			}
		}
		slots[free] = s
	}
	return slots, nil
}

// Hits tells what each signature has hit since it was first set.
func (f *Filter) Hits() (map[uint32]Tally, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[uint32]Tally{}
	if f.set.signatures == nil {
		return out, nil
	}
	sums, err := f.sums()
	if err != nil {
		return nil, err
	}
	for i, s := range f.set.signatures.slots {
		if s.ID != 0 {
			out[s.ID] = Tally{sums[i].Packets - f.bases[i].Packets, sums[i].Bytes - f.bases[i].Bytes}
		}
	}
	return out, nil
}

// sums are the counters of all slots since the maps were made.
func (f *Filter) sums() (sum [SignaturesMost]Tally, err error) {
	var each [][SignaturesMost]Tally
	if err := f.maps[mapHits].Lookup(uint32(0), &each); err != nil {
		return sum, fmt.Errorf("read the packet filter's hits: %w", err)
	}
	for i := range each {
		for slot := range sum {
			sum[slot].add(each[i][slot])
		}
	}
	return sum, nil
}

// graft puts code in the place of the body of a function that a program calls.
// The function keeps its name and its type, by which the verifier judges it.
func graft(p *ebpf.ProgramSpec, function string, code asm.Instructions) error {
	from := slices.IndexFunc(p.Instructions, func(i asm.Instruction) bool { return i.Symbol() == function })
	if from < 0 || len(code) == 0 {
		return fmt.Errorf("the packet filter's object has no function %s: run `make bpf`", function)
	}
	to := from + 1
	for to < len(p.Instructions) && btf.FuncMetadata(&p.Instructions[to]) == nil {
		to++
	}
	code = slices.Clone(code) // one of a Filter's is shared by all that it loads
	code[0].Metadata = p.Instructions[from].Metadata
	p.Instructions = slices.Concat(p.Instructions[:from], code, p.Instructions[to:])
	return nil
}
