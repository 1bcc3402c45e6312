package ja4

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"slices"
)

// Bounds on what a hello may list. The registries of IANA have some 350 cipher
// suites, 70 extensions and 60 signature algorithms.
const (
	MostCiphers    = 512
	MostExtensions = 128
)

// Errors of OfMessage and OfInfo.
var (
	// ErrMalformed says that it is no ClientHello.
	ErrMalformed = errors.New("no well-formed ClientHello")
	// ErrTooMany says that it lists more than any honest client does.
	ErrTooMany = errors.New("the ClientHello lists too much")
)

// Size is the length of a fingerprint in writing.
const Size = 36

// Print is a fingerprint in writing: letters, digits and two underscores.
type Print [Size]byte

func (p Print) String() string { return string(p[:]) }

// Transport is what carries the handshake.
type Transport byte

// The transports.
const (
	TCP  Transport = 't'
	QUIC Transport = 'q'
)

// Extensions that the fingerprint looks into.
const (
	extServerName        = 0x0000
	extSignatures        = 0x000d
	extALPN              = 0x0010
	extSupportedVersions = 0x002b
)

// hello is what the fingerprint is made of. Its lists keep the order sent and have
// no values of GREASE. It stands on the stack.
type hello struct {
	version    [2]byte
	name       bool
	protocol   [2]byte
	counts     [lists]int
	ciphers    [MostCiphers]uint16
	extensions [MostExtensions]uint16
	schemes    [MostExtensions]uint16
}

// which names a list of a hello.
type which uint8

const (
	ciphers which = iota
	extensions
	schemes
	lists
)

// all returns the room of a list.
func (h *hello) all(w which) []uint16 {
	switch w {
	case ciphers:
		return h.ciphers[:]
	case extensions:
		return h.extensions[:]
	}
	return h.schemes[:]
}

// list returns what is on a list.
func (h *hello) list(w which) []uint16 { return h.all(w)[:h.counts[w]] }

// add appends a code to a list, unless it is one of GREASE; false where there is
// no room.
func (h *hello) add(to which, code uint16) bool {
	if grease(code) {
		return true
	}
	room, n := h.all(to), h.counts[to]
	if n == len(room) {
		return false
	}
	room[n] = code
	h.counts[to]++
	return true
}

// grease says whether a code is reserved to be ignored: 0x0a0a, 0x1a1a, ... (RFC
// 8701, section 2).
func grease(code uint16) bool { return code&0x0f0f == 0x0a0a && code>>8 == code&0xff }

// OfInfo makes the fingerprint of a hello that crypto/tls has read, whose lists
// are as sent and in that order.
func OfInfo(info *tls.ClientHelloInfo, over Transport) (Print, error) {
	var h hello
	for _, c := range info.CipherSuites {
		if !h.add(ciphers, c) {
			return Print{}, ErrTooMany
		}
	}
	for _, e := range info.Extensions {
		h.name = h.name || e == extServerName
		if !h.add(extensions, e) {
			return Print{}, ErrTooMany
		}
	}
	for _, s := range info.SignatureSchemes {
		if !h.add(schemes, uint16(s)) {
			return Print{}, ErrTooMany
		}
	}
	highest := uint16(0)
	for _, v := range info.SupportedVersions {
		if !grease(v) {
			highest = max(highest, v)
		}
	}
	h.version = versionName(highest)
	h.protocol = noProtocol
	for _, p := range info.SupportedProtos {
		if len(p) == 2 && grease(uint16(p[0])<<8|uint16(p[1])) {
			continue
		}
		if p != "" {
			h.protocol = protocolName(p[0], p[len(p)-1])
		}
		break
	}
	return h.print(over), nil
}

// versionName writes a version of TLS.
func versionName(v uint16) [2]byte {
	switch v {
	case tls.VersionTLS13:
		return [2]byte{'1', '3'}
	case tls.VersionTLS12:
		return [2]byte{'1', '2'}
	case tls.VersionTLS11:
		return [2]byte{'1', '1'}
	case tls.VersionTLS10:
		return [2]byte{'1', '0'}
	case 0x0300:
		return [2]byte{'s', '3'}
	case 0x0002:
		return [2]byte{'s', '2'}
	}
	return [2]byte{'0', '0'}
}

var noProtocol = [2]byte{'0', '0'}

// protocolName writes the first and the last byte of a protocol's name, or, where
// either is no letter or digit, the first and the last hexadecimal digit of it.
func protocolName(first, last byte) [2]byte {
	if alphanumeric(first) && alphanumeric(last) {
		return [2]byte{first, last}
	}
	return [2]byte{digits[first>>4], digits[last&15]}
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

const digits = "0123456789abcdef"

// print writes the fingerprint. It sorts the lists of ciphers and extensions.
func (h *hello) print(over Transport) (p Print) {
	suites, kinds, algorithms := h.list(ciphers), h.list(extensions), h.list(schemes)
	slices.Sort(suites)
	slices.Sort(kinds)

	at := append(p[:0], byte(over), h.version[0], h.version[1], 'i')
	if h.name {
		at[3] = 'd'
	}
	at = append(count(count(at, len(suites)), len(kinds)), h.protocol[0], h.protocol[1], '_')

	var text [MostCiphers * 5]byte // holds either list
	at = append(digest(at, codes(text[:0], suites)), '_')
	second := text[:0]
	for _, e := range kinds {
		if e != extServerName && e != extALPN {
			second = code(second, e)
		}
	}
	if len(second) > 0 && len(algorithms) > 0 {
		second[len(second)-1] = '_'
		second = codes(second, algorithms)
	}
	digest(at, second)
	return p
}

// count appends a number of two digits; 99 is "or more".
func count(to []byte, n int) []byte {
	n = min(n, 99)
	return append(to, '0'+byte(n/10), '0'+byte(n%10))
}

func code(to []byte, c uint16) []byte {
	return append(to, digits[c>>12], digits[c>>8&15], digits[c>>4&15], digits[c&15], ',')
}

func codes(to []byte, list []uint16) []byte {
	for _, c := range list {
		to = code(to, c)
	}
	return to
}

// digest appends the first twelve hexadecimal digits of the SHA-256 of a list,
// whose last comma does not belong to it; zeros for an empty one.
func digest(to, text []byte) []byte {
	if len(text) == 0 {
		return append(to, "000000000000"...)
	}
	sum := sha256.Sum256(text[:len(text)-1])
	for _, b := range sum[:6] {
		to = append(to, digits[b>>4], digits[b&15])
	}
	return to
}
