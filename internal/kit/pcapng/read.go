package pcapng

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// longest is how long a block may be, in bytes; longer ones are nothing that is
// written here.
const longest = 1 << 20

// Blocks goes through a file that was written here, block by block.
type Blocks struct {
	from io.Reader
	b    []byte
}

// NewBlocks makes Blocks. It reads in small pieces: give it a buffer.
func NewBlocks(from io.Reader) *Blocks { return &Blocks{from: from} }

// Next returns the next block, whole; its bytes are valid until the next call. At
// the end it gives io.EOF, and io.ErrUnexpectedEOF where that is within a block.
func (r *Blocks) Next() (kind Kind, block []byte, err error) {
	r.b = append(r.b[:0], make([]byte, 8)...)
	if _, err := io.ReadFull(r.from, r.b); err != nil {
		return 0, nil, err
	}
	kind = Kind(binary.LittleEndian.Uint32(r.b))
	length := binary.LittleEndian.Uint32(r.b[4:])
	if length < 12 || length%4 != 0 || length > longest {
		return 0, nil, fmt.Errorf("a block of %d bytes is no capture of ours", length)
	}
	r.b = append(r.b, make([]byte, length-8)...)
	if _, err := io.ReadFull(r.from, r.b[8:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	if binary.LittleEndian.Uint32(r.b[length-4:]) != length {
		return 0, nil, errors.New("a block does not end with its length: no capture of ours")
	}
	return kind, r.b, nil
}

// ReadTotals reads the numbers of a block of statistics; its times are left out.
func ReadTotals(block []byte) (t Totals) {
	if len(block) < 24 {
		return t
	}
	options := block[20 : len(block)-4]
	for len(options) >= 4 {
		code, n := binary.LittleEndian.Uint16(options), int(binary.LittleEndian.Uint16(options[2:]))
		if options = options[4:]; n > len(options) {
			return t
		}
		if n == 8 {
			number := binary.LittleEndian.Uint64(options)
			switch code {
			case isbReceived:
				t.Received = number
			case isbAccepted:
				t.Accepted = number
			case isbDropped:
				t.Lost = number
			case isbDelivered:
				t.Delivered = number
			}
		}
		options = options[min((n+3)/4*4, len(options)):]
	}
	return t
}
