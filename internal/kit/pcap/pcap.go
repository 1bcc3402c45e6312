package pcap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Read reads the frames of a capture file of Ethernet. They share one memory, as large
// as the file. When the last one is cut, those before it come with the error.
func Read(r io.Reader) ([][]byte, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	all, err := NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var frames [][]byte
	room := data[:0:0]
	for {
		var p Packet
		err := all.Next(&p)
		switch {
		case err == io.EOF:
			return frames, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return frames, errors.New("the last packet is cut")
		case err != nil:
			return frames, err
		case p.Link != Ethernet:
			return frames, fmt.Errorf("link type %v is not Ethernet", p.Link)
		}
		if cap(room)-len(room) < len(p.Bytes) {
			room = make([]byte, 0, max(1<<20, len(p.Bytes)))
		}
		room = append(room, p.Bytes...)
		frames = append(frames, room[len(room)-len(p.Bytes):len(room):len(room)])
	}
}
