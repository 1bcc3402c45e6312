package httpflood

import (
	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// shape is how unlike people the excess of a window behaves: a sum of points,
// each for one trait, below zero for traits that only people show.
type shape struct {
	score float64
	facts []attack.Fact
	top   []attack.Contributor
}

// The least share that must be usual at a site before its absence says
// anything: below it, the site has no assets or sets no cookies.
const telling = 0.15

// excess is a window less what normal explains, in requests a second.
type excess struct {
	w     *traffic.Window
	n     *traffic.Normal
	total float64
}

// share is how much of the excess a trait has that count requests of the
// window showed and that usual (a share) of ordinary traffic shows.
func (e excess) share(count uint64, usual float64) float64 {
	return min(max((e.w.Rate(count)-usual*e.n.Requests)/e.total, 0), 1)
}

func shapeOf(w *traffic.Window, n *traffic.Normal) shape {
	var s shape
	e := excess{w: w, n: n, total: w.Rate(w.Offered) - n.Requests}
	if e.total <= 0.1*w.Rate(w.Offered) || w.Offered == 0 {
		return s
	}
	s.people(e)
	s.standings(e)
	s.concentration(e)
	s.heavy(e)
	return s
}

// people asks for what browsers do by themselves: fetch assets, keep cookies.
func (s *shape) people(e excess) {
	assets := e.share(e.w.ByKind[traffic.KindAsset], e.n.AssetShare)
	cleared := e.w.ByClearance[traffic.ClearanceProven] + e.w.ByClearance[traffic.ClearanceKnown]
	cookies := e.share(cleared, e.n.ClearanceShare)
	if e.n.Learned < youth {
		// Nothing is usual yet. Page after page with neither assets nor cookies
		// is no browser, but a site may have neither.
		if assets < 0.02 && cookies < 0.02 && e.share(e.w.ByKind[traffic.KindPage], 0) > 0.9 {
			s.add(0.3, "assets fetched, of the excess", assets, e.n.AssetShare)
		}
		return
	}
	if e.n.AssetShare >= telling {
		read := e.share(e.w.ByKind[traffic.KindPage], e.n.Share[traffic.FieldKind][traffic.KindPage.String()])
		usual := e.n.Share[traffic.FieldKind][traffic.KindPage.String()]
		switch r := assets / e.n.AssetShare; {
		case r < 0.6:
			s.add(0.35*ramp(r, 0.6, 0.3), "assets fetched, of the excess", assets, e.n.AssetShare)
		case usual >= telling && read < 0.3*usual:
			// Assets without the pages that they belong to.
			s.add(0.35*ramp(read/usual, 0.3, 0.1), "pages read, of the excess", read, usual)
		default:
			s.score -= 0.3
		}
	}
	if e.n.ClearanceShare >= telling {
		// The first page of every new visitor comes without a cookie, so a
		// crowd's share dips; a flood's is gone.
		if r := cookies / e.n.ClearanceShare; r >= 0.5 {
			s.score -= 0.2
		} else {
			s.add(0.25*ramp(r, 0.4, 0.15), "our cookie brought back, of the excess", cookies, e.n.ClearanceShare)
		}
	}
}

// standings asks how the clients behaved so far. New ones say nothing.
func (s *shape) standings(e excess) {
	usual := e.n.Share[traffic.FieldStanding]
	illUsual := usual[traffic.StandingShy.String()] + usual[traffic.StandingGreedy.String()]
	ill := e.share(e.w.ByStanding[traffic.StandingShy]+e.w.ByStanding[traffic.StandingGreedy], illUsual)
	if ill >= 0.2 && ill >= 3*illUsual {
		s.add(0.35*min(ill/0.5, 1), "from shy or greedy clients, of the excess", ill, illUsual)
	}
	if e.share(e.w.ByStanding[traffic.StandingGood], usual[traffic.StandingGood.String()]) >= 0.5 {
		s.score -= 0.2
	}
}

// concentration asks whether one key dominates that usually does not.
func (s *shape) concentration(e excess) {
	for _, c := range []struct {
		field  traffic.Field
		least  float64 // share of the excess
		points float64
		name   string
	}{
		{traffic.FieldPath, 0.6, 0.15, "most wanted path, of the excess"},
		{traffic.FieldHeaderOrder, 0.7, 0.15, "most common header order, of the excess"},
		{traffic.FieldUserAgent, 0.5, 0.1, "most common user agent, of the excess"},
		{traffic.FieldQueryShape, 0.7, 0.1, "most common query shape, of the excess"},
	} {
		key, share, usual := e.most(c.field)
		if share >= 0.3 {
			s.top = append(s.top, attack.Contributor{Field: c.field, Key: key, Share: share * e.total / e.w.Rate(e.w.Offered)})
		}
		if share < c.least || e.n.Learned < youth && share < 0.8 {
			continue
		}
		if usual*3 <= share {
			points := c.points
			switch {
			case e.n.Learned < youth && key == "":
				points = 0 // most requests of any site have no query
			case e.n.Learned < youth:
				points /= 2 // what is usual is not known yet
			case share >= 0.9 && usual < 0.02:
				points *= 1.5 // all of it is something hardly ever seen here
			}
			s.add(points, c.name, share, usual)
		}
	}
	for _, f := range []traffic.Field{traffic.FieldNetwork, traffic.FieldCountry} {
		// Where somebody is registered is told, but never held against anybody.
		if key, share, _ := e.most(f); share >= 0.3 {
			s.top = append(s.top, attack.Contributor{Field: f, Key: key, Share: share * e.total / e.w.Rate(e.w.Offered)})
		}
	}
}

// most finds the key with the largest share of the excess.
func (e excess) most(f traffic.Field) (key string, share, usual float64) {
	for _, h := range e.w.Top[f] {
		count := h.Count - min(h.Error, h.Count)
		u := e.n.Share[f][h.Key]
		if sh := e.share(count, u); sh > share {
			key, share, usual = h.Key, sh, u
		}
	}
	return key, share, usual
}

// heavy asks for clients that each ask far more than a busy ordinary one.
func (s *shape) heavy(e excess) {
	least := max(5*e.n.PerClient, 10)
	var sum uint64
	clients := 0
	for _, h := range e.w.Top[traffic.FieldClient] {
		if count := h.Count - min(h.Error, h.Count); e.w.Rate(count) >= least {
			sum += count
			clients++
		}
	}
	if clients == 0 {
		// Many clients, each too small for the list, can still all be heavy.
		if each := e.w.Rate(e.w.Offered) / float64(max(e.w.Clients, 1)); e.w.Clients >= 10 && each >= least {
			s.add(0.35, "requests of an average client", each, e.n.PerClient)
			s.facts[len(s.facts)-1].Unit = "/s"
		}
		return
	}
	share := e.share(sum, 0)
	if each := e.w.Rate(e.w.Offered) / float64(max(e.w.Clients, 1)); each >= least {
		share = 1 // the list is shorter than their number
	}
	if share >= 0.3 {
		s.add(0.35*min(share/0.5, 1), "from clients far above a busy ordinary one, of the excess", share, 0)
	}
}

func (s *shape) add(points float64, name string, value, usual float64) {
	if points <= 0 {
		return
	}
	s.score += points
	s.facts = append(s.facts, attack.Fact{Name: name, Value: value, Usual: usual, Unit: "share"})
}

// ramp is 1 at or below full, 0 at or above none, and a line between.
func ramp(v, none, full float64) float64 {
	return min(max((none-v)/(none-full), 0), 1)
}
