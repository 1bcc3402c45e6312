package admit

import (
	"strings"
	"sync/atomic"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/gcra"
	"seawall/internal/mitigation"
)

// SetOff opens the door to everybody (`seawall off`), or ends that.
func (a *Admit) SetOff(off bool) { a.off.Store(off) }

// Off says whether the door is open to everybody.
func (a *Admit) Off() bool { return a.off.Load() }

// isOff lets everybody in while Seawall is switched off. Nothing is charged and
// nothing remembered.
func (a *Admit) isOff(m *meeting) bool {
	if !a.off.Load() {
		return false
	}
	m.verdict = mitigation.Verdict{Reason: mitigation.ReasonOff, Rank: mitigation.RankKnown}
	return true
}

const acmePath = "/.well-known/acme-challenge/"

// How much certificate validation there can be: one order of a hundred names,
// each asked for from half a dozen places in the world, and twenty requests a
// second after that.
const acmeRate, acmeBurst = 20, 600

// isACME lets certificate validation in, always (RFC 8555, section 8.3). The
// token has to look like one: letters, digits, - and _ alone, and no query, so
// that nothing else can be reached through this path. It gets no better place in
// line than a newcomer. A path that was spelt otherwise (x/../ before it) may be another
// one to the site. What is more than all of it could be is a flood that goes
// this way because it is open: it meets the rest of the ladder as anybody else.
func (a *Admit) isACME(m *meeting) bool {
	token, ok := strings.CutPrefix(m.v.Path, acmePath)
	if !ok || m.v.Respelt || token == "" || len(token) > 256 || m.v.RawQuery != "" || (m.v.Method != "GET" && m.v.Method != "HEAD") {
		return false
	}
	for i := range len(token) {
		c := token[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	if !take(&a.acme, gcra.New(acmeRate, acmeBurst), m.now) {
		return false
	}
	m.verdict = mitigation.Verdict{Reason: mitigation.ReasonACME, Rank: mitigation.RankNewcomer}
	return true
}

// take charges one to a budget that all share.
func take(state *atomic.Int64, l gcra.Limit, now clock.Instant) bool {
	for {
		tat := state.Load()
		next, ok, _ := l.Take(clock.Instant(tat), now, 1)
		if !ok || state.CompareAndSwap(tat, int64(next)) {
			return ok
		}
	}
}
