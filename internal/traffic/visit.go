package traffic

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"seawall/internal/kit/clock"
)

// Country is an ISO 3166-1 alpha-2 code; the zero value is unknown. It is the
// country in which an address is registered, which is not where anybody is.
type Country [2]byte

// String returns the two letters, or "??" when unknown.
func (c Country) String() string {
	if c == (Country{}) {
		return "??"
	}
	return string(c[:])
}

// MarshalText writes the two letters.
func (c Country) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ParseCountry reads two ASCII letters, in either case.
func ParseCountry(s string) (Country, bool) {
	if len(s) != 2 {
		return Country{}, false
	}
	s = strings.ToUpper(s)
	if s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
		return Country{}, false
	}
	return Country{s[0], s[1]}, true
}

// Visit is one request as the door sees it. listen makes it, identify fills
// it, admit decides on it. One goroutine owns it at a time. Its strings belong
// to the request: keep a Sample (Keep) to use them after the request ended.
type Visit struct {
	At     clock.Instant // when its head had been read
	Peer   netip.Addr    // the other end of the TCP connection
	Client netip.Addr    // Peer, or the PROXY header's source, or the rightmost forwarded address that is not a trusted proxy

	Network uint32  // autonomous system number of Client; 0 unknown
	Country Country // where Client is registered

	// Secure says that the visitor's own connection is HTTPS, as the connection
	// itself or a trusted proxy tells.
	Secure bool

	// HTTP is the version that the connection to us speaks.
	HTTP HTTPVersion
	// JA4 is the fingerprint of the connection's ClientHello; "" for clear text.
	// All visits of a connection share it.
	JA4 string
	// OpeningHTTP2 is the fingerprint of how the connection opened HTTP/2: settings,
	// window and order of pseudo-header fields; 0 where it is spoken otherwise.
	OpeningHTTP2 uint64

	HeaderOrder uint64 // fingerprint of the order of header names; 0 unknown
	QueryShape  uint64 // fingerprint of the query's parameter names; 0 no query
	Method      string
	Host        string // lower case, without port
	Path        string // in its normal form (kit/urlpath), without query
	RawQuery    string
	UserAgent   string
	Kind        Kind
	// Respelt says that the path was sent with segments that Path has not, empty ones or
	// dots. To most sites it is the same; to those that leave them it is not.
	Respelt bool
	// Located says that Network and Country are known already, of the address that the
	// connection vouches for: from an earlier visit on it.
	Located bool

	Standing    Standing // set by admit while deciding
	Clearance   Clearance
	ClearanceID uint64    // valid iff Clearance != ClearanceNone
	ClearanceAt time.Time // when it was issued; valid iff Clearance != ClearanceNone
}

// Direct says that the client itself is at the other end of the connection,
// so that its address was proven by a TCP handshake with us and may be used in
// the kernel.
func (v *Visit) Direct() bool { return v.Client == v.Peer }

// Level is a width of prefix at which clients are counted and budgeted.
type Level uint8

// The levels, finest first. IPv4 has no middle.
const (
	LevelClient Level = iota // /32, /64: one customer, often one household
	LevelMiddle              // /56 (IPv6 only): what many providers give a household
	LevelWide                // /24, /48: a street, an organisation, a rented block
	Levels
)

// PrefixBits returns the prefix length of a level, or false where the address
// family has none.
func PrefixBits(v4 bool, l Level) (int, bool) {
	switch {
	case v4 && l == LevelClient:
		return 32, true
	case v4 && l == LevelWide:
		return 24, true
	case !v4 && l == LevelClient:
		return 64, true
	case !v4 && l == LevelMiddle:
		return 56, true
	case !v4 && l == LevelWide:
		return 48, true
	}
	return 0, false
}

// PrefixOf returns the prefix of an address at a level; the zero Prefix where
// there is none. Addresses in 4-in-6 form count as IPv4.
func PrefixOf(a netip.Addr, l Level) netip.Prefix {
	a = a.Unmap()
	if a.Is4() { // most are, and need no mask or have a short one
		switch l {
		case LevelClient:
			return netip.PrefixFrom(a, 32)
		case LevelWide:
			b := a.As4()
			b[3] = 0
			return netip.PrefixFrom(netip.AddrFrom4(b), 24)
		}
	}
	bits, ok := PrefixBits(a.Is4(), l)
	if !ok || !a.IsValid() {
		return netip.Prefix{}
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// Key returns what heavy hitters call this visit by field f. It allocates for
// some fields, so it belongs to sampled work, not to the door.
func (v *Visit) Key(f Field) string {
	switch f {
	case FieldClient:
		return PrefixOf(v.Client, LevelClient).String()
	case FieldNetwork:
		return strconv.FormatUint(uint64(v.Network), 10)
	case FieldCountry:
		return v.Country.String()
	case FieldMethod:
		return v.Method
	case FieldHost:
		return v.Host
	case FieldPath:
		return v.Path
	case FieldQueryShape:
		return Fingerprint(v.QueryShape)
	case FieldUserAgent:
		return v.UserAgent
	case FieldHeaderOrder:
		return Fingerprint(v.HeaderOrder)
	case FieldKind:
		return v.Kind.String()
	case FieldClearance:
		return v.Clearance.String()
	case FieldStanding:
		return v.Standing.String()
	case FieldJA4:
		return v.JA4
	case FieldHTTP:
		return v.HTTP.String()
	case FieldOpeningHTTP2:
		return Fingerprint(v.OpeningHTTP2)
	}
	return ""
}

// Fingerprint writes a fingerprint the way expressions and reports show it:
// 16 hexadecimal digits, or "" for none.
func Fingerprint(h uint64) string {
	if h == 0 {
		return ""
	}
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := 15; i >= 0; i-- {
		b[i] = digits[h&15]
		h >>= 4
	}
	return string(b[:])
}

// ParseFingerprint reads what Fingerprint wrote.
func ParseFingerprint(s string) (uint64, bool) {
	if s == "" {
		return 0, true
	}
	h, err := strconv.ParseUint(s, 16, 64)
	return h, err == nil && len(s) == 16 && h != 0
}

// Outcome is what became of a visit, known once its answer is finished.
type Outcome struct {
	Status     int           // of the answer; 0 when the client left before one
	BytesIn    int64         // body bytes read from the client
	BytesOut   int64         // body bytes written to the client
	Took       time.Duration // from head read to answer finished; 0 where no room answered
	OriginTime time.Duration // until the origin's first answer byte; valid iff Reached
	Waited     time.Duration // in line for the origin; valid iff Reached or Shed
	Reached    bool          // the origin was asked
	Failed     bool          // the origin gave no usable answer, or was too slow
	Shed       bool          // let in by the door, but the line for the origin was full
	Left       bool          // the client went away before the end
}

// Limits on what a Sample keeps of a request's strings, in bytes. A stranger
// chooses these strings; memory for samples is bounded by these times their
// number.
const (
	keepPath  = 160
	keepHost  = 80
	keepQuery = 160
	keepAgent = 160
	keepJA4   = 36
)

// Sample is a visit kept for study, with the bytes that it needs and no more.
type Sample struct {
	Visit   Visit
	Outcome Outcome
	// Refused says that the door turned it away.
	Refused bool
	// Blind says that it was read from a log, in which nobody brings a clearance or
	// earns a standing: it cannot tell who would have had one. Valid in
	// Normal.OrdinaryDay and OrdinaryWeek.
	Blind bool
}

// Keep makes a Sample that shares no memory with the request.
func (v *Visit) Keep(o Outcome, refused bool) Sample {
	s := Sample{Visit: *v, Outcome: o, Refused: refused}
	s.Visit.Method = clip(v.Method, 16)
	s.Visit.Host = clip(v.Host, keepHost)
	s.Visit.Path = clip(v.Path, keepPath)
	s.Visit.RawQuery = clip(v.RawQuery, keepQuery)
	s.Visit.UserAgent = clip(v.UserAgent, keepAgent)
	s.Visit.JA4 = clip(v.JA4, keepJA4)
	return s
}

func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.Clone(s)
}
