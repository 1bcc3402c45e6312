package traffic

import "time"

// What is slow of an origin: so much more than usual, or where nothing is known.
const (
	slower = 50 * time.Millisecond
	slow   = time.Second
)

// Visitors tells which clients of a window do what browsers do by themselves: fetch
// what pages are made of, or bring our cookie back.
type Visitors struct{ clients map[uint64]fetches } // by ClientKey

// fetches is what a client that fetches assets asked for, among the samples.
type fetches struct{ assets, others int }

// An asset excuses fewer than two requests for something else: browsers fetch several with
// a page, unless they have them, and then bring our cookie back.
const perAsset = 2

// Visitors looks through the window's samples. An asset counts where the site has it, for
// anybody can ask for what is not there. What is asked for at the path besides proves
// nothing: it may be an asset that a flood is after. Where the samples are few of many
// requests, a client's assets may not be among them, and who behaves well over time is
// known by standing only.
func (w *Window) Visitors(besides string) Visitors {
	v := Visitors{make(map[uint64]fetches, len(w.Samples)/2)}
	asset := func(s *Visit) bool { return s.Kind == KindAsset && s.Path != besides && s.Method == "GET" }
	for i := range w.Samples {
		if s := &w.Samples[i]; asset(&s.Visit) && s.Outcome.had() {
			key, _ := ClientKey(s.Visit.Client)
			f := v.clients[key]
			f.assets++
			v.clients[key] = f
		}
	}
	// What they ask for besides; who needs no excuse uses none up.
	for i := range w.Samples {
		if s := &w.Samples[i].Visit; !asset(s) && !s.earned() {
			key, _ := ClientKey(s.Client)
			if f, fetches := v.clients[key]; fetches {
				f.others++
				v.clients[key] = f
			}
		}
	}
	return v
}

// had says that the site had what was asked for.
func (o *Outcome) had() bool { return o.Status >= 200 && o.Status < 300 || o.Status == 304 }

// earned says that a visit brings what takes longer to get than a second.
func (v *Visit) earned() bool { return v.Clearance != ClearanceNone || v.Standing == StandingGood }

// Like says whether a visit is a visitor's, as far as that shows.
func (v Visitors) Like(s *Visit) bool {
	if s.earned() {
		return true
	}
	key, _ := ClientKey(s.Client)
	f := v.clients[key]
	return f.others < perAsset*f.assets
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
