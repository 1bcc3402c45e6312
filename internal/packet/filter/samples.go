package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"seawall/internal/traffic"
)

// sampleHead is how much of struct sample, in bpf/sample.h, is before the frame.
const sampleHead = 26

// Sample is a packet that the filter showed.
type Sample struct {
	At        uint64 // nanoseconds of the monotonic clock
	Every     uint32 // it stands for so many
	Length    int    // of the frame, bytes
	IP        int    // offset of the IP header
	Transport int    // offset of what IP carries; valid unless Later
	Kind      traffic.PacketKind
	Reason    Reason
	Family    uint8 // 4 or 6
	Proto     uint8 // of the innermost header
	Later     bool  // a fragment but the first
	Fragment  bool
	Ports     bool
	Frame     []byte // its beginning; valid until the next sample is read
}

// Samples hands over the samples that wait, at most so many. do must not keep
// Frame. For one goroutine at a time.
func (f *Filter) Samples(most int, do func(*Sample)) error {
	f.samples.SetDeadline(time.Unix(1, 0)) // what is there, and no waiting
	var s Sample
	for range most {
		err := f.samples.ReadInto(&f.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read samples of packets: %w", err)
		}
		if s.read(f.record.RawSample) {
			do(&s)
		}
	}
	return nil
}

func (s *Sample) read(b []byte) bool {
	if len(b) < sampleHead {
		return false
	}
	n := binary.NativeEndian
	*s = Sample{
		At: n.Uint64(b), Every: n.Uint32(b[8:]), Length: int(n.Uint16(b[12:])),
		IP: int(n.Uint16(b[14:])), Transport: int(n.Uint16(b[16:])),
		Kind: traffic.PacketKind(b[18]), Reason: Reason(b[19]), Family: b[20], Proto: b[21],
		Later: b[22] != 0, Fragment: b[23] != 0, Ports: b[24] != 0,
	}
	kept := int(b[25])
	if kept > len(b)-sampleHead {
		return false
	}
	s.Frame = b[sampleHead : sampleHead+kept]
	return true
}

// Packet is the sample in the words of the rest of the house, but for the time.
// What lies beyond the bytes kept is left out.
func (s *Sample) Packet() (p traffic.Packet, ok bool) {
	p = traffic.Packet{
		Kind: s.Kind, Protocol: s.Proto, Fragment: s.Fragment,
		Reason: s.Reason.String(), Stopped: s.Reason >= StopLength,
	}
	if s.IP > len(s.Frame) {
		return p, false
	}
	ip := s.Frame[s.IP:]
	switch {
	case s.Family == 4 && len(ip) >= 20:
		p.Source, p.Dest = netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
		p.TTL, p.Length = ip[8], binary.BigEndian.Uint16(ip[2:])
	case s.Family == 6 && len(ip) >= 40:
		p.Source, p.Dest = netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
		p.TTL, p.Length = ip[7], uint16(min(40+int(binary.BigEndian.Uint16(ip[4:])), 0xffff))
	default:
		return p, false
	}
	if s.Later || s.Transport > len(s.Frame) {
		return p, true
	}
	l4 := s.Frame[s.Transport:]
	if !s.Ports || len(l4) < 4 {
		return p, true
	}
	p.Ports = true
	p.SourcePort, p.DestPort = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:])
	head := 8
	if s.Proto == protoTCP {
		if len(l4) < 20 {
			return p, true
		}
		p.Flags, p.Window = l4[13]&63, binary.BigEndian.Uint16(l4[14:])
		head = int(l4[12]>>4) * 4
	}
	// Frames may be padded; what counts is what IP says.
	end := min(len(s.Frame), s.IP+int(p.Length))
	if at := s.Transport + head; at < end {
		p.PayloadLen = uint8(copy(p.Payload[:], s.Frame[at:end]))
	}
	return p, true
}

const protoTCP = 6
