package refuse

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/sealed"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// purposePrefix sets the hash of a refused prefix apart from other hashes under
// the same key.
const purposePrefix = 'r'

// epoch is minute 0 of a code: 1 January 2025. Three bytes of minutes last until
// November 2056.
const epoch = 1_735_689_600 // Unix seconds

// Ref is what a reference code says.
type Ref struct {
	ID     mitigation.ID     // the mitigation behind the refusal; 0 none
	Reason mitigation.Reason // why
	At     time.Time         // when, to the minute
	Prefix uint32            // PrefixHash of the client's prefix
}

// Encode makes the code of a refusal. At is cut to the minute.
func Encode(box *sealed.Box, r Ref) string {
	return box.SealCode(payload(r.ID, r.Reason, r.At.Unix(), r.Prefix))
}

func payload(id mitigation.ID, why mitigation.Reason, unix int64, prefix uint32) (p [12]byte) {
	minute := uint32(min(max(unix-epoch, 0)/60, 1<<24-1))
	binary.BigEndian.PutUint32(p[:], uint32(id))
	binary.BigEndian.PutUint32(p[4:], minute|uint32(why)<<24)
	binary.BigEndian.PutUint32(p[8:], prefix)
	return p
}

// ErrNoRef says that a text is no code of ours, or was mistyped.
var ErrNoRef = errors.New("not a reference code")

// DecodeRef reads a code as a person typed it.
func DecodeRef(box *sealed.Box, code string) (Ref, error) {
	p, ok := box.OpenCode(code)
	if !ok || int(p[4]) >= int(mitigation.Reasons) {
		return Ref{}, ErrNoRef
	}
	minute := binary.BigEndian.Uint32(p[4:]) & (1<<24 - 1)
	return Ref{
		ID:     mitigation.ID(binary.BigEndian.Uint32(p[:])),
		Reason: mitigation.Reason(p[4]),
		At:     time.Unix(epoch+60*int64(minute), 0).UTC(),
		Prefix: binary.BigEndian.Uint32(p[8:]),
	}, nil
}

// PrefixHash is the short keyed hash of a prefix that codes carry. It tells
// nobody who lacks the key anything about the prefix.
func PrefixHash(box *sealed.Box, p netip.Prefix) uint32 {
	var b [17]byte
	a := p.Masked().Addr().As16()
	copy(b[:], a[:])
	b[16] = byte(p.Bits())
	return uint32(box.Hash(purposePrefix, b[:]))
}

// ref makes the code of this refusal. It works in room, which it may overwrite.
func (r *Refuse) ref(room []byte, v *traffic.Visit, id mitigation.ID, why mitigation.Reason) string {
	wall := r.wall(v.At)
	of := refusal{prefix: traffic.PrefixOf(v.Client, traffic.LevelClient), id: id, why: why, minute: uint32(wall / 60)}
	place := r.codes.place(&of)
	if m := place.Load(); m != nil && m.of == of {
		return m.code
	}
	code := string(r.box.AppendCode(room[:0], payload(id, why, wall, PrefixHash(r.box, of.prefix))))
	place.Store(&made{of, code})
	return code
}

// reading is what the wall clock showed at a moment.
type reading struct {
	at   clock.Instant
	unix int64
}

// wall is the wall clock at a moment in Unix seconds, which may be a second late: the
// clock is read once a second and not for each refusal.
func (r *Refuse) wall(at clock.Instant) int64 {
	last := r.last.Load()
	if last == nil || at < last.at || at.Sub(last.at) >= time.Second {
		last = &reading{at, time.Now().Unix()}
		r.last.Store(last)
	}
	return last.unix
}
