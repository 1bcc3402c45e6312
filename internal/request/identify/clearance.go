package identify

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"seawall/internal/kit/sealed"
	"seawall/internal/traffic"
)

// Purposes of the box (one byte each, bound to what is sealed).
const (
	purposeClearance = 'c' // the cookie
	purposePrefix    = 'p' // the hash of a wide prefix within it
	purposeBudget    = 'b' // the hash of a wide prefix in the table of budgets
)

const (
	clearanceVersion = 1
	clearanceBytes   = 1 + 8 + 4 + 4 + 8 + 8
	sealedRoom       = 64              // bytes that opening takes: 3/4 of the sealed text
	clockSkew        = 5 * time.Minute // a cookie may come from a clock so much ahead
)

// clearance is what our cookie holds. On the wire: the version, then the fields
// in this order, big endian, times in unix seconds.
type clearance struct {
	id     uint64    // random, never 0
	issued time.Time // first issued; kept when renewed
	until  time.Time // good until then, unless renewed
	prefix uint64    // keyed hash of the wide prefix of the client
	order  uint64    // fingerprint of the order of its header names
}

func (c *clearance) append(dst []byte) []byte {
	be := binary.BigEndian
	dst = be.AppendUint64(append(dst, clearanceVersion), c.id)
	dst = be.AppendUint32(dst, uint32(c.issued.Unix()))
	dst = be.AppendUint32(dst, uint32(c.until.Unix()))
	dst = be.AppendUint64(dst, c.prefix)
	return be.AppendUint64(dst, c.order)
}

func (c *clearance) read(b []byte) bool {
	if len(b) != clearanceBytes || b[0] != clearanceVersion {
		return false
	}
	be := binary.BigEndian
	c.id = be.Uint64(b[1:])
	c.issued = time.Unix(int64(be.Uint32(b[9:])), 0)
	c.until = time.Unix(int64(be.Uint32(b[13:])), 0)
	c.prefix = be.Uint64(b[17:])
	c.order = be.Uint64(b[25:])
	return c.id != 0
}

// clearanceOf finds the first clearance among the request's cookies that is
// ours, in time and still fits the visit.
func (id *Identify) clearanceOf(v *traffic.Visit, h traffic.Headers) (c clearance, ok bool) {
	fields := h.Values("Cookie")
	if len(fields) == 0 {
		return c, false
	}
	now := id.clock.Wall(v.At)
	var room *[sealedRoom]byte
	ours(fields, id.cookie, func(value string) bool {
		if len(value) != sealed.SealedLen(clearanceBytes) {
			return false
		}
		if room == nil {
			room = id.rooms.Get().(*[sealedRoom]byte)
		}
		plain, opened := id.box.Open(room[:0], value, purposeClearance)
		if !opened || !c.read(plain) || now.After(c.until) || c.issued.After(now.Add(clockSkew)) {
			return false
		}
		ok = c.prefix == id.widePrefix(v.Client, purposePrefix) || c.order != 0 && c.order == v.HeaderOrder
		return ok
	})
	if room != nil {
		id.rooms.Put(room)
	}
	return c, ok
}

// due says that a valid clearance had better be renewed: half its time is over,
// or the visitor has moved to where only one of the two bindings fits.
func (id *Identify) due(v *traffic.Visit, c *clearance) bool {
	return id.clock.Wall(v.At).Add(id.goodFor/2).After(c.until) || c.prefix != id.widePrefix(v.Client, purposePrefix)
}

// widePrefix is a keyed hash of the client's /24 or /48, so that neither the
// cookie nor the table of budgets says anything about an address.
func (id *Identify) widePrefix(a netip.Addr, purpose byte) uint64 {
	var b [17]byte
	raw := a.As16()
	n := 6
	if a.Is4() || a.Is4In6() {
		n = 15
		b[0] = 4
	}
	copy(b[1:], raw[:n])
	return id.box.Hash(purpose, b[:])
}

// Cookie returns the value of a Set-Cookie field with a clearance for this
// visit: a renewed one for who has one, a new one for who has none; "" where the
// visitor's wide prefix has had its share of new ones for this minute. Calling
// it takes one of that share.
func (id *Identify) Cookie(v *traffic.Visit) string { return id.setCookie(v, v.Secure) }

func (id *Identify) setCookie(v *traffic.Visit, secure bool) string {
	now := id.clock.Wall(v.At)
	c := clearance{
		id:     v.ClearanceID,
		issued: v.ClearanceAt,
		until:  now.Add(id.goodFor),
		prefix: id.widePrefix(v.Client, purposePrefix),
		order:  v.HeaderOrder,
	}
	if v.Clearance == traffic.ClearanceNone {
		if !id.budget.take(id.widePrefix(v.Client, purposeBudget), now) {
			return ""
		}
		c.id, c.issued = newID(), now
	}
	var plain [clearanceBytes]byte
	buf := make([]byte, 0, 256)
	buf = append(append(buf, id.cookie...), '=')
	buf = id.box.Seal(buf, c.append(plain[:0]), purposeClearance)
	buf = append(buf, "; Path=/; Max-Age="...)
	buf = strconv.AppendInt(buf, int64(id.goodFor/time.Second), 10)
	buf = append(buf, "; HttpOnly; SameSite=Lax"...)
	if secure {
		buf = append(buf, "; Secure"...)
	}
	return string(buf)
}

func newID() uint64 {
	var b [8]byte
	for {
		rand.Read(b[:]) // never fails: it ends the process instead
		if n := binary.BigEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}

// secure says that the visitor's own connection is HTTPS. v.Client is still
// the address that the connection vouches for: only a trusted proxy is believed.
func (id *Identify) secure(v *traffic.Visit, h traffic.Headers) bool {
	if v.Secure || id.https {
		return true
	}
	return id.trusted.has(v.Client.Unmap()) && strings.EqualFold(h.Get("X-Forwarded-Proto"), "https")
}
