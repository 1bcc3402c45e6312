package httpflood

import (
	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// blatantLeast is how many requests a glance must hold before it says anything.
const blatantLeast = 20

// youngTimes is how many times as much must come to be blatant by itself at a
// site of which nothing is known: it may be one with many visitors.
const youngTimes = 10

// jump is how many times what the last whole second brought is news. The last
// second has been judged by more than a glance can see.
const jump = 3

// Blatant judges a glance: a Window of a tenth of a second or two in which
// only At, Span, Offered, Admitted, ByKind, ByClearance and Origin are filled.
// Offered and Admitted hold those too that wait in line and so have no answer
// yet; ByKind and ByClearance hold those only that were let in and answered. It
// changes nothing in d. Its finding is for putting newcomers at the end of the
// line until the whole window can be judged, and for nothing harder. A crowd is
// found only where it fills the line for the origin.
//
// What counts is what got past the door: a flood that is being refused is no
// emergency, even if some visitors load a page in the same moment; one that
// changes its shape is one again.
func (d *Detector) Blatant(w *traffic.Window, n *traffic.Normal) (attack.Finding, bool) {
	if n == nil {
		n = &traffic.Normal{}
	}
	if w.Span <= 0 || w.Admitted < blatantLeast {
		return attack.Finding{}, false
	}
	rate := w.Rate(w.Admitted)
	dem := d.demand(rate, n)
	full := lineFull(&w.Origin) && dem.strained
	if !d.flood && rate < jump*d.rate {
		dem.blatant = false
	}
	if n.Learned < youth {
		dem.blatant = dem.blatant && (full || rate > max(youngTimes*d.cfg.BlatantFloor, d.cfg.BlatantTimes*n.Peak))
	}
	if !dem.blatant && !full {
		return attack.Finding{}, false
	}
	vector := attack.HTTPFlood
	if like, asked := likePeople(w, n); like || !asked && (d.crowd || !dem.blatant) {
		if !full {
			return attack.Finding{}, false
		}
		vector = attack.FlashCrowd
	}
	return attack.Finding{
		Vector: vector, Confidence: 0.6, Since: w.At.Add(-w.Span),
		Rate: w.Rate(w.Offered), Normal: n.Requests, Suffering: full, Blatant: true,
		Facts: []attack.Fact{
			{Name: "requests offered", Value: w.Rate(w.Offered), Usual: n.Requests, Unit: "/s"},
			{Name: "let in", Value: rate, Usual: n.Requests, Unit: "/s"},
			{Name: "waiting in line for the origin", Value: float64(w.Origin.Waiting), Unit: "requests"},
		},
	}, true
}

// likePeople says whether those answered fetch assets or keep cookies about as
// usual; asked is false where the site has neither, where what is usual is not
// known yet, or nobody was answered.
func likePeople(w *traffic.Window, n *traffic.Normal) (like, asked bool) {
	answered := uint64(0)
	for _, c := range w.ByKind {
		answered += c
	}
	if answered == 0 {
		return false, false
	}
	share := func(c uint64) float64 { return float64(c) / float64(answered) }
	if n.Learned < youth {
		// Pages and what belongs to them is what browsers ask for.
		return share(w.ByKind[traffic.KindAsset]) >= telling && share(w.ByKind[traffic.KindPage]) >= telling/3, false
	}
	if n.AssetShare >= telling {
		asked = true
		like = like || share(w.ByKind[traffic.KindAsset]) >= 0.5*n.AssetShare
	}
	if n.ClearanceShare >= telling {
		asked = true
		cleared := w.ByClearance[traffic.ClearanceProven] + w.ByClearance[traffic.ClearanceKnown]
		like = like || share(cleared) >= 0.5*n.ClearanceShare
	}
	return like, asked
}
