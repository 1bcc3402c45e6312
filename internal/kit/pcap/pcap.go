// Package pcap reads classic capture files, whole: those of floods that others
// have recorded, for tests that replay them. Ours are written by kit/pcapng.
package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Read reads the frames of a classic capture file of Ethernet, whichever
// byte order it has
// (https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/). They share one
// memory, as large as the file. When the last one is cut, those before it come
// with the error.
func Read(r io.Reader) ([][]byte, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if len(data) < 24 {
		return nil, errors.New("a capture begins with 24 bytes")
	}
	var order binary.ByteOrder
	switch magic := binary.LittleEndian.Uint32(data); magic {
	case 0xa1b2c3d4, 0xa1b23c4d: // micro- or nanoseconds
		order = binary.LittleEndian
	case 0xd4c3b2a1, 0x4d3cb2a1:
		order = binary.BigEndian
	default:
		return nil, fmt.Errorf("no classic capture begins with %08x", magic)
	}
	if link := order.Uint32(data[20:]) & 0xfffffff; link != 1 {
		return nil, fmt.Errorf("link type %d is not Ethernet", link)
	}
	var out [][]byte
	for data = data[24:]; len(data) >= 16; {
		n := int(order.Uint32(data[8:]))
		if data = data[16:]; n > len(data) {
			return out, errors.New("the last packet is cut")
		}
		out, data = append(out, data[:n]), data[n:]
	}
	return out, nil
}
