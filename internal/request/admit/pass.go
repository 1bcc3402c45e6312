package admit

import (
	"strings"

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

// isACME lets certificate validation in, always (RFC 8555, section 8.3). The
// token has to look like one: letters, digits, - and _ alone, so that nothing
// else can be reached through this path. It gets no better place in line than a
// newcomer.
func (a *Admit) isACME(m *meeting) bool {
	token, ok := strings.CutPrefix(m.v.Path, acmePath)
	if !ok || token == "" || len(token) > 256 || (m.v.Method != "GET" && m.v.Method != "HEAD") {
		return false
	}
	for i := range len(token) {
		c := token[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	m.verdict = mitigation.Verdict{Reason: mitigation.ReasonACME, Rank: mitigation.RankNewcomer}
	return true
}
