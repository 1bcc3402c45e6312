package storm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// expandLabel is HKDF-Expand-Label of RFC 8446, section 7.1, with SHA-256 and
// without a context.
func expandLabel(secret []byte, label string, length int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	label = "tls13 " + label
	info = append(info, byte(len(label)))
	info = append(info, label...)
	info = append(info, 0)
	out, err := hkdf.Expand(sha256.New, secret, string(info), length)
	if err != nil {
		panic(err) // length is a constant that SHA-256 has room for
	}
	return out
}

// keyed enciphers a client's records after its handshake (RFC 8446, section 5.2):
// crypto/tls sends no records of an attacker's choice.
type keyed struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	number uint64 // of the next record under this key
}

// keyed makes a handshake on the connection with crypto/tls, and takes the keys
// from its key log. c goes on to write to TCP.
func (s *storm) keyed(c *line) (*keyed, error) {
	var log bytes.Buffer
	cfg := s.tls("http/1.1")
	cfg.MinVersion, cfg.KeyLogWriter = tls.VersionTLS13, &log
	raw := c.Conn
	if err := c.handshake(cfg); err != nil {
		return nil, err
	}
	state := c.Conn.(*tls.Conn).ConnectionState()
	c.Conn = raw
	if state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		return nil, fmt.Errorf("the target chose %s", tls.CipherSuiteName(state.CipherSuite))
	}
	for line := range bytes.Lines(log.Bytes()) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(string(f[2]))
			if err != nil {
				return nil, err
			}
			k := &keyed{}
			k.use(secret)
			return k, nil
		}
	}
	return nil, fmt.Errorf("the key log names no secret of the client's")
}

func (k *keyed) use(secret []byte) {
	k.secret, k.number = secret, 0
	k.aead, k.iv = gcm(expandLabel(secret, "key", 16)), expandLabel(secret, "iv", 12)
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has 16 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// update goes on to the next key, as a KeyUpdate announces.
func (k *keyed) update() { k.use(expandLabel(k.secret, "traffic upd", 32)) }

// nonce is that of packet or record n.
func nonce(iv []byte, n uint64) []byte {
	out := bytes.Clone(iv)
	for i := range 8 {
		out[len(out)-1-i] ^= byte(n >> (8 * i))
	}
	return out
}

// seal appends a record to dst.
func (k *keyed) seal(dst []byte, kind byte, content []byte) []byte {
	inner := append(append(make([]byte, 0, len(content)+1), content...), kind)
	size := len(inner) + k.aead.Overhead()
	head := []byte{recordApplication, 3, 3, byte(size >> 8), byte(size)}
	dst = append(dst, head...)
	dst = k.aead.Seal(dst, nonce(k.iv, k.number), inner, head)
	k.number++
	return dst
}
