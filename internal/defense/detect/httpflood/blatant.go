package httpflood

import (
	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// blatantLeast is how many requests a glance must hold before it says anything.
const blatantLeast = 20

// Blatant judges a glance: a Window of a tenth of a second or two in which
// only Span, At, Offered, Admitted, ByKind, ByClearance and Origin are filled.
// It changes nothing in d. Its finding is for putting newcomers at the end of
// the line until the whole window can be judged, and for nothing harder.
//
// What counts is what got past the door: a flood that is being refused is no
// emergency, and one that changes its shape is one again.
func (d *Detector) Blatant(w *traffic.Window, n *traffic.Normal) (attack.Finding, bool) {
	if n == nil {
		n = &traffic.Normal{}
	}
	if w.Span <= 0 || w.Offered < blatantLeast {
		return attack.Finding{}, false
	}
	dem := d.demand(w, n)
	if w.Rate(w.Admitted) <= max(2*n.Peak, d.cfg.Floor) {
		return attack.Finding{}, false
	}
	full := lineFull(&w.Origin) && dem.strained
	if !dem.blatant && !full {
		return attack.Finding{}, false
	}
	like, asked := likePeople(w, n)
	if like || !asked && (d.crowd || !dem.blatant) {
		return attack.Finding{}, false
	}
	return attack.Finding{
		Vector: attack.HTTPFlood, Confidence: 0.6, Since: w.At.Add(-w.Span),
		Rate: dem.rate, Normal: n.Requests, Suffering: full, Blatant: true,
		Facts: []attack.Fact{
			{Name: "requests offered", Value: dem.rate, Usual: n.Requests, Unit: "/s"},
			{Name: "let in", Value: w.Rate(w.Admitted), Usual: n.Requests, Unit: "/s"},
			{Name: "waiting in line for the origin", Value: float64(w.Origin.Waiting), Unit: "requests"},
		},
	}, true
}

// likePeople says whether the excess fetches assets or keeps cookies about as
// usual; asked is false where the site has neither.
func likePeople(w *traffic.Window, n *traffic.Normal) (like, asked bool) {
	e := excess{w: w, n: n, total: w.Rate(w.Offered) - n.Requests}
	if e.total <= 0 {
		return true, true
	}
	if n.Learned < youth {
		return false, false
	}
	if n.AssetShare >= telling {
		asked = true
		like = like || e.share(w.ByKind[traffic.KindAsset], n.AssetShare) >= 0.5*n.AssetShare
	}
	if n.ClearanceShare >= telling {
		asked = true
		cleared := w.ByClearance[traffic.ClearanceProven] + w.ByClearance[traffic.ClearanceKnown]
		like = like || e.share(cleared, n.ClearanceShare) >= 0.5*n.ClearanceShare
	}
	return like, asked
}
