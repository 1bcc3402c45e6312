package listen

// Bounds of chunked bodies, bytes. net/http reads trailers only as far as its
// own buffer of 4 KiB, and gives up on 16 KiB of extensions.
const (
	maxChunkDigits  = 15 // under 2^60
	maxChunkLine    = 256
	maxExtensions   = 4 << 10 // in all of a body
	maxTrailers     = 2 << 10
	maxTrailerCount = 20
)

// chunkState is where in a chunked body the next byte stands.
type chunkState uint8

const (
	chunkSize      chunkState = iota // digits of the size
	chunkExtension                   // after the ";"
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart // first byte of a trailer line
	trailerName
	trailerValue
	trailerLF
	trailerEndLF
	chunkEnd // the body is over
)

// chunks follows a chunked body (RFC 9112, section 7.1) byte by byte, strictly.
// It is a value without pointers, so that a copy can look ahead.
type chunks struct {
	state   chunkState
	fault   fault
	digits  uint8
	fields  uint8
	nameLen uint8
	line    uint16 // bytes of the current size line
	extra   uint16 // bytes of extensions so far
	trail   uint16 // bytes of trailers so far
	left    int64  // of the current chunk's data
	data    int64  // bytes of data announced so far
	name    [20]byte
}

// advance takes bytes of the body from b and says how many belong to it. Fewer
// than len(b) means that the body is over (state is chunkEnd) or malformed
// (fault is set).
func (k *chunks) advance(b []byte) (n int) {
	for n < len(b) {
		if k.state == chunkData {
			take := min(int64(len(b)-n), k.left)
			n += int(take)
			if k.left -= take; k.left == 0 {
				k.state = chunkDataCR
			}
			continue
		}
		if k.state == chunkEnd || k.fault != faultNone {
			return n
		}
		if k.fault = k.step(b[n]); k.fault != faultNone {
			return n
		}
		n++
	}
	return n
}

// step takes one byte that is not chunk data.
func (k *chunks) step(c byte) fault {
	switch k.state {
	case chunkSize:
		return k.sizeByte(c)
	case chunkExtension:
		k.line++
		k.extra++
		switch {
		case c == '\r':
			k.state = chunkSizeLF
		case c == '\n':
			return faultBareLF
		case c < ' ' && c != '\t' || c == 0x7f, k.line > maxChunkLine, k.extra > maxExtensions:
			return faultChunkExtension
		}
	case chunkSizeLF:
		if c != '\n' {
			return faultBareCR
		}
		k.digits, k.line = 0, 0
		k.state = chunkData
		if k.left == 0 {
			k.state = trailerStart
		}
	case chunkDataCR:
		if c != '\r' {
			return faultChunkEnd
		}
		k.state = chunkDataLF
	case chunkDataLF:
		if c != '\n' {
			return faultChunkEnd
		}
		k.state = chunkSize
	default:
		return k.trailerByte(c)
	}
	return faultNone
}

func (k *chunks) sizeByte(c byte) fault {
	switch {
	case isHex(c):
		if k.digits++; k.digits > maxChunkDigits {
			return faultChunkSize
		}
		k.left = k.left<<4 | int64(hexValue(c))
		return faultNone
	case k.digits == 0:
		return faultChunkSize
	case c == '\r':
		k.state = chunkSizeLF
	case c == ';':
		k.state = chunkExtension
	case c == '\n':
		return faultBareLF
	default:
		return faultChunkSize
	}
	if k.data += k.left; k.data < 0 {
		return faultChunkSize
	}
	return faultNone
}

func (k *chunks) trailerByte(c byte) fault {
	if k.trail++; k.trail > maxTrailers {
		return faultTrailers
	}
	switch k.state {
	case trailerStart:
		if c == '\r' {
			k.state = trailerEndLF
			return faultNone
		}
		if k.fields++; k.fields > maxTrailerCount {
			return faultTrailers
		}
		k.nameLen = 0
		k.state = trailerName
		return k.trailerNameByte(c)
	case trailerName:
		return k.trailerNameByte(c)
	case trailerValue:
		switch {
		case c == '\r':
			k.state = trailerLF
		case c == '\n':
			return faultBareLF
		case c < ' ' && c != '\t' || c == 0x7f:
			return faultTrailers
		}
	case trailerLF:
		if c != '\n' {
			return faultBareCR
		}
		k.state = trailerStart
	case trailerEndLF:
		if c != '\n' {
			return faultBareCR
		}
		k.state = chunkEnd
	}
	return faultNone
}

func (k *chunks) trailerNameByte(c byte) fault {
	if c == ':' && k.nameLen > 0 {
		if int(k.nameLen) <= len(k.name) && framing(k.name[:k.nameLen]) {
			return faultTrailerField
		}
		k.state = trailerValue
		return faultNone
	}
	if !isToken(c) {
		return faultTrailers
	}
	if int(k.nameLen) < len(k.name) {
		k.name[k.nameLen] = c
	}
	if k.nameLen < 255 {
		k.nameLen++
	}
	return faultNone
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
