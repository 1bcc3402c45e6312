package defense

import (
	"compress/gzip"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"seawall/internal/kit/pcap"
	"seawall/internal/traffic"
)

const captures = "../../../shared/data/pcap"

// capture reads the packets of a capture as if they had been sent to port 443
// of ours, or skips the test where it is missing.
func capture(t *testing.T, name string) []traffic.Packet {
	t.Helper()
	path := filepath.Join(captures, name)
	f, err := os.Open(path)
	if err != nil {
		t.Skipf("needs %s: %v", path, err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	frames, err := pcap.Read(z)
	if err != nil {
		t.Fatal(err)
	}
	var out []traffic.Packet
	for _, b := range frames {
		if p, ok := parseFrame(b); ok {
			out = append(out, p)
		}
	}
	return out
}

// parseFrame reads a frame that holds IPv4, as the packet filter would.
func parseFrame(b []byte) (p traffic.Packet, ok bool) {
	if len(b) < 34 || b[12] != 8 || b[13] != 0 {
		return p, false
	}
	ip := b[14:]
	header := int(ip[0]&15) * 4
	length := int(binary.BigEndian.Uint16(ip[2:]))
	if header < 20 || length < header || length > len(ip) {
		return p, false
	}
	ip = ip[:length] // Ethernet pads what is short
	cut := binary.BigEndian.Uint16(ip[6:])
	p = traffic.Packet{
		Source: netip.AddrFrom4([4]byte(ip[12:16])), Dest: netip.AddrFrom4([4]byte{192, 0, 2, 1}),
		Protocol: ip[9], Length: uint16(length), TTL: ip[8], Fragment: cut&0x3fff != 0,
	}
	body := ip[header:]
	switch {
	case cut&0x1fff != 0:
		p.Kind = traffic.PacketFragment
	case p.Protocol == 6 && len(body) >= 20:
		p.Ports, p.SourcePort, p.DestPort = true, binary.BigEndian.Uint16(body), 443
		p.Flags, p.Window = body[13]&63, binary.BigEndian.Uint16(body[14:])
		p.PayloadLen = uint8(copy(p.Payload[:], body[min(int(body[12]>>4)*4, len(body)):]))
		p.Kind = kindOfFlags(p.Flags)
	case p.Protocol == 17 && len(body) >= 8:
		p.Ports, p.SourcePort, p.DestPort = true, binary.BigEndian.Uint16(body), 443
		p.PayloadLen = uint8(copy(p.Payload[:], body[8:]))
		p.Kind = traffic.PacketUDP
	case p.Protocol == 1:
		p.Kind = traffic.PacketICMP
	}
	climb(&p)
	return p, true
}

func kindOfFlags(flags uint8) traffic.PacketKind {
	const syn, rst, ack = 2, 4, 16
	switch {
	case flags&rst != 0:
		return traffic.PacketReset
	case flags&(syn|ack) == syn|ack:
		return traffic.PacketSynAck
	case flags&syn != 0:
		return traffic.PacketSyn
	}
	return traffic.PacketOther
}

// climb says what the filter's rungs against reflected packets would do.
func climb(p *traffic.Packet) {
	switch {
	case p.Kind == traffic.PacketSynAck:
		p.Stopped, p.Reason = true, "synack"
	case p.Kind == traffic.PacketUDP && traffic.Amplifier(p.SourcePort) != "":
		p.Stopped, p.Reason = true, "reflected"
	default:
		p.Reason = "pass_ours"
	}
}
