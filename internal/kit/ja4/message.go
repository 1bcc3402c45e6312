package ja4

import (
	"encoding/binary"
	"slices"
)

// OfMessage makes the fingerprint of a ClientHello, the handshake message with its
// head of four bytes and without the heads of records (RFC 8446, section 4.1.2).
func OfMessage(msg []byte, over Transport) (Print, error) {
	var h hello
	if err := h.read(msg); err != nil {
		return Print{}, err
	}
	return h.print(over), nil
}

// reader takes a message apart. Once something is missing, it stays broken.
type reader struct {
	rest   []byte
	broken bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.broken, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint8() int {
	if b := r.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// vector8 and vector16 take what has its length before it.
func (r *reader) vector8() reader  { return reader{rest: r.take(r.uint8())} }
func (r *reader) vector16() reader { return reader{rest: r.take(int(r.uint16()))} }

func (r *reader) empty() bool { return len(r.rest) == 0 }

const (
	typeClientHello = 1
	randomSize      = 32
	mostSessionID   = 32
)

func (h *hello) read(msg []byte) error {
	r := reader{rest: msg}
	kind := r.uint8()
	length := r.uint8()<<16 | int(r.uint16())
	if r.broken || kind != typeClientHello || length != len(r.rest) {
		return ErrMalformed
	}
	version := r.uint16()
	r.take(randomSize)
	session := r.vector8()
	suites := r.vector16()
	r.vector8() // ways to compress
	if r.broken || len(session.rest) > mostSessionID || len(suites.rest)%2 != 0 {
		return ErrMalformed
	}
	for !suites.empty() {
		if !h.add(ciphers, suites.uint16()) {
			return ErrTooMany
		}
	}
	h.version, h.protocol = versionName(version), noProtocol
	if r.empty() {
		return nil
	}
	rest := r.vector16()
	if r.broken || !r.empty() {
		return ErrMalformed
	}
	return h.readExtensions(rest)
}

func (h *hello) readExtensions(r reader) error {
	var greased [16]bool
	for !r.empty() {
		kind := r.uint16()
		data := r.vector16()
		if r.broken {
			return ErrMalformed
		}
		if grease(kind) {
			if greased[kind>>12] {
				return ErrMalformed // none may come twice
			}
			greased[kind>>12] = true
			continue
		}
		if slices.Contains(h.list(extensions), kind) {
			return ErrMalformed
		}
		if !h.add(extensions, kind) {
			return ErrTooMany
		}
		if err := h.readExtension(kind, data); err != nil {
			return err
		}
	}
	return nil
}

func (h *hello) readExtension(kind uint16, r reader) error {
	var values reader
	switch kind {
	case extServerName:
		h.name = true
		return nil
	case extSignatures, extALPN:
		values = r.vector16()
	case extSupportedVersions:
		values = r.vector8()
	default:
		return nil
	}
	if r.broken || !r.empty() || values.empty() {
		return ErrMalformed
	}
	if kind == extALPN {
		return h.readProtocols(values)
	}
	if len(values.rest)%2 != 0 {
		return ErrMalformed
	}
	highest := uint16(0)
	for !values.empty() {
		v := values.uint16()
		switch {
		case kind == extSupportedVersions:
			if !grease(v) {
				highest = max(highest, v)
			}
		case !h.add(schemes, v):
			return ErrTooMany
		}
	}
	if kind == extSupportedVersions {
		h.version = versionName(highest)
	}
	return nil
}

// readProtocols takes the first protocol that is none of GREASE.
func (h *hello) readProtocols(r reader) error {
	for found := false; !r.empty(); {
		v := r.vector8()
		p := v.rest
		if r.broken || len(p) == 0 {
			return ErrMalformed
		}
		if found || len(p) == 2 && grease(binary.BigEndian.Uint16(p)) {
			continue
		}
		h.protocol, found = protocolName(p[0], p[len(p)-1]), true
	}
	return nil
}
