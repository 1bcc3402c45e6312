package storm

import (
	"context"
	"crypto/aes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"net/netip"
	"time"
)

func quicAttacks() []Attack {
	return []Attack{
		{Name: "QUIC initials", What: "well-formed Initial packets of ever new connections", Unit: "packets",
			Conns: 16, Dials: 200, Rate: 3000, Needs: HTTP3, run: initials},
	}
}

// initialSize is what an Initial packet is padded to (RFC 9000, section 14.1).
const initialSize = 1200

// initials sends a few dozen from each source.
func initials(s *storm, _ *line) error {
	from := netip.AddrPortFrom(source(s.number.Add(1)), 0)
	c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(s.to.QUIC))
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(s.ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	for i := 0; i < 50 && s.may(1); i++ {
		id := make([]byte, 16)
		_, _ = rand.Read(id)
		n, err := c.Write(initial(id[:8], id[8:], s.hello))
		if err != nil {
			return s.unlessOver(err)
		}
		s.out.Add(uint64(n))
	}
	return nil
}

// initialSecret is the client's secret for Initial packets to a connection id (RFC
// 9001, section 5.2; the salt of version 1).
func initialSecret(to []byte) []byte {
	salt := []byte{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}
	prk, err := hkdf.Extract(sha256.New, to, salt)
	if err != nil {
		panic(err) // SHA-256 has no such fault
	}
	return expandLabel(prk, "client in", 32)
}

// initial is an Initial packet of version 1 with a CRYPTO frame, protected as RFC
// 9001, section 5 says.
func initial(to, from, crypto []byte) []byte {
	const number = 4 // bytes of the packet number
	frame := []byte{0x06, 0x00}
	frame = binary.BigEndian.AppendUint16(frame, 1<<14|uint16(len(crypto)))
	frame = append(frame, crypto...)

	head := []byte{0xc0 | number - 1, 0, 0, 0, 1, byte(len(to))}
	head = append(head, to...)
	head = append(head, byte(len(from)))
	head = append(head, from...)
	head = append(head, 0) // no token
	rest := max(initialSize-len(head)-2, number+len(frame)+16)
	head = binary.BigEndian.AppendUint16(head, 1<<14|uint16(rest))
	at := len(head)
	head = append(head, 0, 0, 0, 0)

	secret := initialSecret(to)
	plain := append(frame, make([]byte, rest-number-16-len(frame))...)
	packet := gcm(expandLabel(secret, "quic key", 16)).Seal(head, expandLabel(secret, "quic iv", 12), plain, head)

	block, err := aes.NewCipher(expandLabel(secret, "quic hp", 16))
	if err != nil {
		panic(err) // the key has 16 bytes
	}
	mask := make([]byte, 16)
	block.Encrypt(mask, packet[at+number:at+number+16])
	packet[0] ^= mask[0] & 0x0f
	for i := range number {
		packet[at+i] ^= mask[1+i]
	}
	return packet
}
