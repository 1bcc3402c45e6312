package pcap

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// file is a capture of two frames, 1,500 bytes long on the wire.
func file(order binary.AppendByteOrder, frame []byte) []byte {
	b := order.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, make([]byte, 12)...)
	b = order.AppendUint32(b, 65535)
	b = order.AppendUint32(b, 1)
	for range 2 {
		b = append(b, make([]byte, 8)...)
		b = order.AppendUint32(b, uint32(len(frame)))
		b = append(order.AppendUint32(b, 1500), frame...)
	}
	return b
}

func TestRead(t *testing.T) {
	frame := []byte("a frame")
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		b := file(order, frame)
		frames, err := Read(bytes.NewReader(b))
		if err != nil || len(frames) != 2 || !bytes.Equal(frames[1], frame) {
			t.Errorf("%s endian: %q, %v", name, frames, err)
		}
		frames, err = Read(bytes.NewReader(b[:len(b)-1]))
		if err == nil || len(frames) != 1 {
			t.Errorf("%s endian: a cut file is taken for whole: %q", name, frames)
		}
	}
}

// Whatever the bytes are, what is read is no more than they are.
func FuzzRead(f *testing.F) {
	f.Add(file(binary.LittleEndian, []byte("a frame")))
	f.Add(file(binary.BigEndian, nil))
	f.Add([]byte("no capture"))
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, _ := Read(bytes.NewReader(b))
		n := 24
		for _, frame := range frames {
			n += 16 + len(frame)
		}
		if len(frames) > 0 && n > len(b) {
			t.Errorf("%d bytes from %d", n, len(b))
		}
	})
}
