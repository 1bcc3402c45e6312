package traffic

import "time"

// What is slow of an origin: so much more than usual, or where nothing is known.
const (
	slower = 50 * time.Millisecond
	slow   = time.Second
)

// Visitors tells which clients of a window do what browsers do by themselves: fetch
// what pages are made of, or bring our cookie back.
type Visitors struct{ clients map[uint64]struct{} } // by ClientKey

// Visitors looks through the window's samples. What is asked for at the path besides
// proves nothing: it may be an asset that a flood is after. Where the samples are few
// of many requests, a client's assets may not be among them, and who behaves well over
// time is known by standing only.
func (w *Window) Visitors(besides string) Visitors {
	v := Visitors{make(map[uint64]struct{}, len(w.Samples)/2)}
	for i := range w.Samples {
		s := &w.Samples[i].Visit
		if s.Kind == KindAsset && s.Path != besides && s.Method == "GET" {
			key, _ := ClientKey(s.Client)
			v.clients[key] = struct{}{}
		}
	}
	return v
}

// Like says whether a visit is a visitor's, as far as that shows.
func (v Visitors) Like(s *Visit) bool {
	if s.Clearance != ClearanceNone || s.Standing == StandingGood {
		return true
	}
	key, _ := ClientKey(s.Client)
	_, ok := v.clients[key]
	return ok
}

// Telling is the least share that must be usual at a site before its absence says
// anything: below it, the site has no assets or sets no cookies.
const Telling = 0.15

// Tells says whether at this site visitors can be told by what they do.
func (n *Normal) Tells() bool {
	return n.AssetShare >= Telling || n.ClearanceShare >= Telling
}

// Suffers says whether the origin is slower than usual, fails, or has a full line.
// Thresholds are those that floods of requests are judged by.
func (w *Window) Suffers(n *Normal) bool {
	o := &w.Origin
	limit := max(3*n.OriginP95, n.OriginP95+slower)
	if n.OriginP95 <= 0 {
		limit = slow
	}
	return o.Asked >= 5 && o.P95 > limit ||
		o.Failed >= 3 && float64(o.Failed) >= 0.05*float64(o.Asked) ||
		o.Shed >= 3 && float64(o.Shed) >= 0.01*float64(w.Admitted) ||
		o.Limit > 0 && o.Waiting >= max(8, o.Limit)
}
