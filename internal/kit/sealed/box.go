package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
)

const (
	nonceSize = 12 // bytes; NIST SP 800-38D, 5.2.1.1
	tagSize   = 16 // bytes
)

// encoding refuses spare bits that are not zero, so that a text has one form.
var encoding = base64.RawURLEncoding.Strict()

// Box seals with its first key and opens with all of them.
type Box struct {
	keys []key
	// purposes holds every byte at its own index. A slice of it is the
	// associated data: a slice made on the spot would have to be allocated.
	purposes [256]byte
}

// key is what is derived from one 32-byte secret.
type key struct {
	aead   cipher.AEAD
	block  cipher.Block   // for codes
	hashes [256][2]uint64 // SipHash keys by purpose
}

// New makes a Box from secret keys: the first one seals, all of them open.
// Without any it makes one of its own, which is gone with the process.
func New(keys ...[32]byte) *Box {
	if len(keys) == 0 {
		keys = [][32]byte{newSecret()}
	}
	b := &Box{keys: make([]key, len(keys))}
	for i := range b.purposes {
		b.purposes[i] = byte(i)
	}
	for i := range keys {
		b.keys[i].derive(keys[i][:])
	}
	return b
}

func newSecret() (k [32]byte) {
	rand.Read(k[:]) // never fails: it ends the process instead
	return k
}

// derive makes the keys of each use from one secret (HKDF, RFC 5869), so that
// none of them says anything about another.
func (k *key) derive(secret []byte) {
	k.block = newBlock(expand(secret, "seawall code", 32))
	gcm, err := cipher.NewGCM(newBlock(expand(secret, "seawall cookie", 32)))
	if err != nil {
		panic("sealed: AES-GCM is not to be had: " + err.Error())
	}
	k.aead = gcm
	h := expand(secret, "seawall hash", 256*16)
	for i := range k.hashes {
		k.hashes[i][0] = binary.LittleEndian.Uint64(h[i*16:])
		k.hashes[i][1] = binary.LittleEndian.Uint64(h[i*16+8:])
	}
}

func expand(secret []byte, use string, n int) []byte {
	out, err := hkdf.Key(sha256.New, secret, nil, use, n)
	if err != nil {
		panic("sealed: HKDF: " + err.Error())
	}
	return out
}

func newBlock(k []byte) cipher.Block {
	c, err := aes.NewCipher(k)
	if err != nil {
		panic("sealed: AES: " + err.Error())
	}
	return c
}

// SealedLen tells how many characters Seal writes for n plain bytes.
func SealedLen(n int) int { return encoding.EncodedLen(nonceSize + n + tagSize) }

// Seal appends plain to dst as sealed text: base64url without padding of a
// random nonce, the AES-256-GCM ciphertext and its tag. plain must not lie in
// the unused part of dst. It allocates nothing when dst has room for
// 2*SealedLen(len(plain)).
//
// Random nonces bear about 2^32 texts a key (SP 800-38D, 8.3); see Rotate.
func (b *Box) Seal(dst, plain []byte, purpose byte) []byte {
	start, text := len(dst), SealedLen(len(plain))
	dst = slices.Grow(dst, text+nonceSize+len(plain)+tagSize)
	raw := dst[start+text : start+text+nonceSize]
	rand.Read(raw)
	raw = b.keys[0].aead.Seal(raw, raw, plain, b.about(purpose))
	dst = dst[:start+text]
	encoding.Encode(dst[start:], raw)
	return dst
}

// Open appends to dst what Seal had been given, iff text was sealed for this
// purpose by one of the keys; otherwise it returns nil and false. It uses up to
// 3/4 of len(text) bytes of dst's unused part as room to work in, and allocates
// only where that is missing.
func (b *Box) Open(dst []byte, text string, purpose byte) (plain []byte, ok bool) {
	n := encoding.DecodedLen(len(text))
	if n < nonceSize+tagSize {
		return nil, false
	}
	start := len(dst)
	dst = slices.Grow(dst, n)
	raw := dst[start : start+n]
	for i := range b.keys {
		// Decoded anew for each key: a failed opening overwrites the bytes. The
		// decoder skips line breaks, which shows in the length.
		if got, err := encoding.Decode(raw, []byte(text)); err != nil || got != n {
			return nil, false
		}
		body := raw[nonceSize:]
		if p, err := b.keys[i].aead.Open(body[:0], raw[:nonceSize], body, b.about(purpose)); err == nil {
			return append(dst, p...), true
		}
	}
	return nil, false
}

func (b *Box) about(purpose byte) []byte { return b.purposes[purpose : int(purpose)+1] }

// Hash is a short keyed hash (SipHash-2-4) of data for one purpose, by the
// first key. It is the same after a restart, and another one after Rotate.
func (b *Box) Hash(purpose byte, data []byte) uint64 {
	k := &b.keys[0].hashes[purpose]
	return siphash(k[0], k[1], data)
}
