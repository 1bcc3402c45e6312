package packets

import (
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"seawall/internal/kit/pcap"
	"seawall/internal/packet/craft"
	"seawall/internal/traffic"
)

// captures is where floods lie that others captured.
const captures = "../../../../shared/data/pcap"

// captureFile is where a capture is, or skips the test where it is missing.
func captureFile(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(captures, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs %s: %v", filepath.Join(captures, name), err)
	}
	return path
}

// readCapture reads the frames of a flood, turned to the host.
func readCapture(path string, mac net.HardwareAddr) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	all, err := pcap.Read(z)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out [][]byte
	for _, b := range all {
		if b, ok := turn(b, mac); ok {
			out = append(out, b)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no flood", path)
	}
	return out, nil
}

// turn makes a captured frame one to the host's site: its hardware address, its
// address, and its protected port where there is one. All else stays as it was
// captured, and the checksums are made right: where an address was made
// anonymous they are not. What is no IPv4 or not of the flood is left out: the
// capturing machine's own neighbours, and its own connections, which are a
// tunnel over UDP and a shell, 2 % of the SYN-ACK capture.
func turn(b []byte, mac net.HardwareAddr) ([]byte, bool) {
	if len(b) < craft.EthernetLen+20 || binary.BigEndian.Uint16(b[12:]) != 0x0800 {
		return nil, false
	}
	length := int(binary.BigEndian.Uint16(b[craft.EthernetLen+2:]))
	header := int(b[craft.EthernetLen]&15) * 4
	if header < 20 || length < header || length > len(b)-craft.EthernetLen {
		return nil, false
	}
	out := append([]byte{}, b[:craft.EthernetLen+length]...) // Ethernet pads what is short
	copy(out, mac)
	copy(out[6:], []byte{2, 0, 0, 0, 0, 1}) // the router that all comes through
	ip, body := out[craft.EthernetLen:][:header], out[craft.EthernetLen+header:]
	cut := binary.BigEndian.Uint16(ip[6:]) & 0x3fff
	if !turnBody(ip[9], cut, body) {
		return nil, false
	}
	dest := netip.MustParseAddr(hostAddr).As4()
	copy(ip[16:], dest[:])
	mend(ip, 10, craft.Checksum(0, nil))
	if cut != 0 {
		return out, true // its checksum is over what other fragments hold too
	}
	pseudo := append([]byte{}, ip[12:20]...)
	pseudo = append(pseudo, 0, ip[9])
	pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(body)))
	switch ip[9] {
	case craft.TCP:
		mend(body, 16, craft.Checksum(0, pseudo))
	case craft.UDP:
		if body[6]|body[7] != 0 { // else it has none
			mend(body, 6, craft.Checksum(0, pseudo))
		}
	case craft.ICMP:
		mend(body, 2, craft.Checksum(0, nil))
	}
	return out, true
}

// turnBody points a segment or datagram at the protected port, and says whether
// it is of the flood. cut is the fragment's offset and whether more follow.
func turnBody(proto byte, cut uint16, body []byte) bool {
	switch {
	case cut&0x1fff != 0:
		return true // a later fragment has no header
	case proto == craft.TCP && len(body) >= 20:
		binary.BigEndian.PutUint16(body[2:], web)
		return body[13]&(craft.SYN|craft.RST) != 0
	case proto == craft.UDP && len(body) >= 8:
		binary.BigEndian.PutUint16(body[2:], quic)
		return traffic.Amplifier(binary.BigEndian.Uint16(body)) != ""
	}
	return proto == craft.ICMP && len(body) >= 8
}

// mend writes the checksum at an offset of b, over b and what has the checksum
// besides.
func mend(b []byte, at int, besides uint16) {
	b[at], b[at+1] = 0, 0
	binary.BigEndian.PutUint16(b[at:], craft.Checksum(^besides, b))
}

// TestTurn looks at what becomes of frames of a capture.
func TestTurn(t *testing.T) {
	source, victim := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("10.10.10.10")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	for _, c := range []struct {
		name string
		from craft.Frame
		port uint16 // 0: is left out
	}{
		{"SYN", craft.Frame{SPort: 4000, DPort: 25565, Flags: craft.SYN}, web},
		{"SYN-ACK", craft.Frame{SPort: 443, DPort: 4000, Flags: craft.SYN | craft.ACK}, web},
		{"SNMP", craft.Frame{Proto: craft.UDP, SPort: 161, DPort: 4000, Payload: []byte("public")}, quic},
		{"shell", craft.Frame{SPort: 4000, DPort: 22, Flags: craft.ACK | craft.PSH}, 0},
		{"tunnel", craft.Frame{Proto: craft.UDP, SPort: 51820, DPort: 4000, Payload: []byte("secret")}, 0},
	} {
		c.from.Source, c.from.Dest = source, victim
		got, ok := turn(append(c.from.Bytes(), 0, 0, 0), mac) // and padded
		if ok != (c.port != 0) {
			t.Errorf("%s: is of the flood: %v", c.name, ok)
		}
		if !ok {
			continue
		}
		want := c.from
		want.To, want.Dest, want.DPort = mac, netip.MustParseAddr(hostAddr), c.port
		if string(got) != string(want.Bytes()) {
			t.Errorf("%s: % x\nwant % x", c.name, got, want.Bytes())
		}
	}
}
