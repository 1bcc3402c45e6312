package observe

import (
	"cmp"
	"slices"
	"strconv"

	"seawall/internal/kit/sketch"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// window writes down what all shards counted together (t) and what the exact
// counters saw (g). Times, samples and the proxy's part are the caller's.
func (t *tally) window(g *Glance, top int) *traffic.Window {
	w := &traffic.Window{
		Offered: g.Offered, Admitted: g.Admitted, Slowed: g.Slowed, Challenged: g.Challenged, Refused: g.Refused, Ruled: min(t.ruled, g.Refused),
		ByKind: g.ByKind, ByClearance: g.ByClearance, ByStanding: t.standing,
		Reasons: map[string]uint64{}, Hits: map[uint32]uint64{}, Cleared: map[uint32]uint64{}, RefusedIn: map[string]uint64{},
		Stopped: t.stopped[didStop].told(), Would: t.stopped[wouldStop].told(),
		BytesIn: t.bytesIn, BytesOut: t.bytesOut, Status: t.status,
		Clients: min(t.clients.Count(), g.Offered),
		Origin: traffic.Origin{
			Asked: g.Asked, Failed: g.Failed, Shed: g.Shed,
			P50: t.origin.Quantile(0.50), P95: t.origin.Quantile(0.95), P99: t.origin.Quantile(0.99),
		},
	}
	for r, n := range t.reasons {
		// ReasonNone says nothing, a great many times.
		if n > 0 && mitigation.Reason(r) != mitigation.ReasonNone {
			w.Reasons[mitigation.Reason(r).String()] = n
		}
	}
	sure(w.Hits, t.hits)
	sure(w.Cleared, t.cleared)
	for i, n := range &t.refusedIn {
		if n > 0 {
			w.RefusedIn[countryAt(i).String()] = n
		}
	}
	for c := range w.Felt {
		w.Felt[c] = traffic.Felt{
			Offered: g.ByClearance[c] - g.AskedBy[c], Served: g.ServedBy[c],
			P50: t.felt[c].Quantile(0.50), P99: t.felt[c].Quantile(0.99),
		}
	}
	w.Top = t.tops(g, top)
	return w
}

// tops lists the heavy hitters of every field. Those of fields with few values
// are exact.
func (t *tally) tops(g *Glance, n int) (top [traffic.Fields][]traffic.Heavy) {
	top[traffic.FieldClient] = numbers(t.client.Top(n), clientName)
	top[traffic.FieldNetwork] = numbers(t.network.Top(n), func(k uint64) string { return strconv.FormatUint(k, 10) })
	top[traffic.FieldCountry] = exact(t.offeredIn[:], n, func(i int) string { return countryAt(i).String() })
	top[traffic.FieldMethod] = texts(t.method.Top(n))
	top[traffic.FieldHost] = texts(t.host.Top(n))
	top[traffic.FieldPath] = texts(t.path.Top(n))
	top[traffic.FieldQueryShape] = numbers(t.query.Top(n), traffic.Fingerprint)
	top[traffic.FieldUserAgent] = texts(t.agent.Top(n))
	top[traffic.FieldHeaderOrder] = numbers(t.header.Top(n), traffic.Fingerprint)
	top[traffic.FieldKind] = exact(g.ByKind[:], n, func(i int) string { return traffic.Kind(i).String() })
	top[traffic.FieldClearance] = exact(g.ByClearance[:], n, func(i int) string { return traffic.Clearance(i).String() })
	top[traffic.FieldStanding] = exact(t.standing[:], n, func(i int) string { return traffic.Standing(i).String() })
	top[traffic.FieldJA4] = texts(t.ja4.Top(n))
	top[traffic.FieldHTTP] = exact(t.http[:], n, func(i int) string { return traffic.HTTPVersion(i).String() })
	top[traffic.FieldOpeningHTTP2] = numbers(t.opening.Top(n), traffic.Fingerprint)
	return top
}

// heavies is room for n; nil for none.
func heavies(n int) []traffic.Heavy {
	if n == 0 {
		return nil
	}
	return make([]traffic.Heavy, 0, n)
}

func numbers(list []sketch.Entry[uint64], name func(uint64) string) []traffic.Heavy {
	out := heavies(len(list))
	for _, e := range list {
		out = append(out, traffic.Heavy{Key: name(e.Key), Count: e.Count, Error: e.Error})
	}
	return out
}

// sure writes down what was counted for certain.
func sure(to map[uint32]uint64, s *sketch.Numbers) {
	for _, e := range s.Top(s.Len()) {
		if n := e.Count - e.Error; n > 0 {
			to[uint32(e.Key)] = n
		}
	}
}

func texts(list []sketch.Entry[string]) []traffic.Heavy {
	out := heavies(len(list))
	for _, e := range list {
		out = append(out, traffic.Heavy{Key: e.Key, Count: e.Count, Error: e.Error})
	}
	return out
}

func exact(by []uint64, n int, name func(int) string) []traffic.Heavy {
	type counted struct {
		i int
		n uint64
	}
	some := make([]counted, 0, min(len(by), 64))
	for i, c := range by {
		if c > 0 {
			some = append(some, counted{i, c})
		}
	}
	slices.SortStableFunc(some, func(a, b counted) int { return cmp.Compare(b.n, a.n) })
	some = some[:min(n, len(some))]
	out := heavies(len(some))
	for _, c := range some {
		out = append(out, traffic.Heavy{Key: name(c.i), Count: c.n})
	}
	return out
}
