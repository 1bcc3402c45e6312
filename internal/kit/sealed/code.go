package sealed

import (
	"crypto/aes"
	"encoding/binary"
	"slices"
)

// CodeLen is how many characters a code has, dashes among them.
const CodeLen = codeSymbols + 4

const (
	codePayload = 12 // bytes
	codeSymbols = 26 // of 5 bits: one AES block and two zero bits in front
	codeGroup   = 5  // symbols between dashes; the last group has one more
)

// alphabet is Douglas Crockford's base 32: no I, L, O or U.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// AppendCode appends the code of a payload to dst: one AES block over the
// payload and four zero bytes, in groups for reading out:
// 2T6VX-0K9QF-Z8M3H-R1D7C-W4B5NA. The same payload gives the same code. It
// allocates nothing when dst has room for CodeLen.
func (b *Box) AppendCode(dst []byte, payload [codePayload]byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, CodeLen)
	// The cipher works in dst's unused part: an array of our own would escape
	// through its interface and be allocated.
	raw := dst[start : start+aes.BlockSize]
	copy(raw, payload[:])
	clear(raw[codePayload:])
	b.keys[0].block.Encrypt(raw, raw)
	hi, lo := binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])

	// From the end, which is the last group and one more.
	code := dst[start : start+CodeLen]
	at := CodeLen - 1
	for i := codeSymbols - 1; i >= 0; i-- {
		code[at] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
		at--
		if i > 0 && i%codeGroup == 0 && i < codeSymbols-1 {
			code[at] = '-'
			at--
		}
	}
	return dst[:start+CodeLen]
}

// SealCode returns the code of a payload as a string; see AppendCode.
func (b *Box) SealCode(payload [codePayload]byte) string {
	return string(b.AppendCode(make([]byte, 0, CodeLen), payload))
}

// OpenCode returns the payload of a code that one of the keys made. It forgives
// what people do when they copy by hand: lower case, dashes and blanks anywhere
// or nowhere, O for 0, I and L for 1. A made-up code is taken for a true one
// with a chance of 2^-32 a key, so a code proves little: it helps to look
// things up and permits nothing.
func (b *Box) OpenCode(s string) (payload [codePayload]byte, ok bool) {
	const longest = 3 * codeSymbols // with a blank and a dash around each symbol
	if len(s) > longest {
		return payload, false
	}
	var hi, lo uint64
	n := 0
	for i := range len(s) {
		if s[i] == '-' || s[i] == ' ' {
			continue
		}
		v, valid := symbol(s[i])
		if !valid || n == codeSymbols || n == 0 && v > 7 {
			return payload, false
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
		n++
	}
	if n != codeSymbols {
		return payload, false
	}
	var sealed, plain [aes.BlockSize]byte
	binary.BigEndian.PutUint64(sealed[:], hi)
	binary.BigEndian.PutUint64(sealed[8:], lo)
	for i := range b.keys {
		b.keys[i].block.Decrypt(plain[:], sealed[:])
		if binary.BigEndian.Uint32(plain[codePayload:]) == 0 {
			return [codePayload]byte(plain[:codePayload]), true
		}
	}
	return payload, false
}

// symbol reads one character of a code.
func symbol(c byte) (byte, bool) {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	switch c {
	case 'O':
		c = '0'
	case 'I', 'L':
		c = '1'
	}
	for i := range len(alphabet) {
		if alphabet[i] == c {
			return byte(i), true
		}
	}
	return 0, false
}
