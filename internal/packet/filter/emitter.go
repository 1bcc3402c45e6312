package filter

import (
	"math"

	"github.com/cilium/ebpf/asm"
)

// emitter collects instructions with jumps forward, whose targets may not be
// known yet.
type emitter struct {
	code   asm.Instructions
	raw    int   // their length in the kernel's units
	places []int // of labels, in those units
	jumps  []pending
}

// label is a place to jump to.
type label int

// pending is a jump without its target.
type pending struct {
	at  int // in code
	raw int // where the next instruction is
	to  label
}

func (e *emitter) add(i asm.Instruction) {
	e.code = append(e.code, i)
	e.raw += int(i.Size() / asm.InstructionSize)
}

// label makes one that is nowhere yet.
func (e *emitter) label() label {
	e.places = append(e.places, 0)
	return label(len(e.places) - 1)
}

// here is where the next instruction will be.
func (e *emitter) here(l label) { e.places[l] = e.raw }

func (e *emitter) branch(i asm.Instruction, to label) {
	e.add(i)
	e.jumps = append(e.jumps, pending{len(e.code) - 1, e.raw, to})
}

// jump goes to a label always.
func (e *emitter) jump(to label) {
	e.branch(asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja)}, to)
}

// jumpIf goes to a label if a register compares so with a number of 31 bits at
// most, as unsigned.
func (e *emitter) jumpIf(op asm.JumpOp, r asm.Register, n uint64, to label) {
	e.branch(asm.Instruction{
		OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.ImmSource), Dst: r, Constant: int64(n),
	}, to)
}

// compare goes to a label if left compares so with any number.
func (e *emitter) compare(op asm.JumpOp, n uint64, to label) {
	if n <= math.MaxInt32 {
		e.jumpIf(op, left, n, to)
		return
	}
	e.add(asm.LoadImm(right, int64(n), asm.DWord))
	e.branch(asm.Instruction{
		OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.RegSource), Dst: left, Src: right,
	}, to)
}

// resolved gives the jumps their targets. Offsets count from the instruction
// behind the jump, and all are positive: no code of an emitter has loops.
func (e *emitter) resolved() asm.Instructions {
	for _, j := range e.jumps {
		e.code[j.at].Offset = int16(e.places[j.to] - j.raw)
	}
	return e.code
}
