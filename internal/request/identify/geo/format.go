package geo

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// The layout of a table, all numbers little endian:
//
//	magic     8 bytes
//	checksum  CRC-32C of all that follows, 4 bytes
//	lengths   of the sections in bytes, 4 bytes each
//	sections  in the order of the constants below
//
// The address space of a family is cut into ranges without gaps; a range holds
// a place: a pair of country and network, numbered from the most frequent on.
// Ranges are stored in blocks of blockRanges. The index has the first key of
// each block, so that a look-up is a binary search over the index and a walk
// through one block. A block is
//
//	wide2, wide3  a bit for each range: its place number takes two bytes at
//	              least, or three; 4 bytes each
//	places        1 to 3 bytes each
//	lengths       of each range but the last (see appendLength)
//
// so that the bytes of the n-th place are found by counting bits. Keys are the
// IPv4 address, or the upper half of the IPv6 address.
//
// A name is stored with its most frequent runs of letters replaced by tokens:
// the byte 0x80+n stands for the n-th token; 0xff says that the byte after it
// is to be taken as it is.
const (
	magic       = "SWGEO02\n"
	blockRanges = 32
	maxPlaces   = 1 << 24
	wideBytes   = 8 // of the two bit sets at the head of a block
	pairBytes   = 5 // network, 4 bytes; country, 1 byte
	nameStride  = 16
	maxName     = 255 // stored bytes of a network's name; longer ones are cut
	maxTokens   = 127
	maxToken    = 255 // bytes of a token
	asItIs      = 0xff
)

const (
	secAbout     = iota // text: day of the data, then one source a line
	secCountries        // two letters each; number 0 is "unknown"
	secNetworks         // autonomous system numbers, 4 bytes each, ascending
	secTokens           // a length byte and the token, for each
	secNameIndex        // where every nameStride-th name begins, 4 bytes each
	secNames            // a length byte and the name, in the order of secNetworks
	secPairs            // pairBytes each
	secCount4           // number of IPv4 ranges, 4 bytes
	secIndex4           // first key of each IPv4 block, 4 bytes each
	secOffset4          // where each IPv4 block begins in secBlocks4, 4 bytes each
	secBlocks4          // the IPv4 blocks
	secCount6           // the same for IPv6, the index with 8 bytes each
	secIndex6
	secOffset6
	secBlocks6
	sections
)

const headerBytes = len(magic) + 4 + 4*sections

// checksum goes in small steps, so that the table is never copied to the heap.
func checksum(data string) uint32 {
	var step [4096]byte
	table, sum := crc32.MakeTable(crc32.Castagnoli), uint32(0)
	for len(data) > 0 {
		n := copy(step[:], data)
		sum, data = crc32.Update(sum, table, step[:n]), data[n:]
	}
	return sum
}

func le32(s string, i int) uint32 {
	_ = s[i+3]
	return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
}

func le64(s string, i int) uint64 {
	return uint64(le32(s, i)) | uint64(le32(s, i+4))<<32
}

// A length of a range is odd x 2^shift, and nearly always a power of two. Its
// first byte has, from the top: a bit that says that more bytes follow, the
// shift (five bits for IPv4, six for IPv6), and the lowest bits of odd>>1; what
// is left of odd follows as a varint.

func shiftBits(v4 bool) int {
	if v4 {
		return 5
	}
	return 6
}

func appendLength(dst []byte, n uint64, v4 bool) []byte {
	shift := bits.TrailingZeros64(n)
	low := 7 - shiftBits(v4)
	half := n >> shift >> 1
	b := byte(shift<<low) | byte(half&(1<<low-1))
	rest := half >> low
	if rest == 0 {
		return append(dst, b)
	}
	return binary.AppendUvarint(append(dst, b|0x80), rest)
}

// length reads a length at s[i] and returns it with where the next one begins.
// The caller has checked (check, at load) that s holds a whole one.
func length(s string, i int, v4 bool) (n uint64, next int) {
	b := s[i]
	i++
	low := uint(7 - shiftBits(v4))
	half := uint64(b) & (1<<low - 1)
	shift := uint(b&0x7f) >> low
	if b&0x80 != 0 {
		at := low
		for {
			c := s[i]
			i++
			half |= uint64(c&0x7f) << (at & 63)
			if c&0x80 == 0 {
				break
			}
			at += 7
		}
	}
	return (half<<1 | 1) << (shift & 63), i
}

// safeLength is length for bytes that nobody has checked yet. ok is false where
// the bytes end early or say more than a length can be.
func safeLength(s string, i int, v4 bool) (n uint64, next int, ok bool) {
	if i >= len(s) {
		return 0, i, false
	}
	if b := s[i]; b < 0x80 { // nearly all: wrong only where the shift loses bits
		low := uint(7 - shiftBits(v4))
		odd, shift := (uint64(b)&(1<<low-1))<<1|1, uint(b)>>low
		n = odd << (shift & 63)
		return n, i + 1, n>>(shift&63) == odd
	}
	end := i + 1
	for {
		if end >= len(s) || end > i+9 {
			return 0, i, false
		}
		if s[end]&0x80 == 0 {
			break
		}
		end++
	}
	n, next = length(s, i, v4)
	// An overflow shows as a length that does not say the same when written again.
	var again [12]byte
	if string(appendLength(again[:0], n, v4)) != s[i:next] {
		return 0, i, false
	}
	return n, next, true
}
