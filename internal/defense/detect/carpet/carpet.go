package carpet

import (
	"fmt"
	"net/netip"
	"strings"

	"seawall/internal/attack"
	"seawall/internal/kit/spell"
	"seawall/internal/traffic"
)

const (
	// connections and packets are how many of them one request explains, and bytes
	// how many of a body a packet carries.
	connections = 2
	packets     = 30
	bytes       = 1000
	// assets is the share of requests for assets among people's, where it is not
	// known.
	assets = 0.3
)

// Detector finds carpet bombing. It remembers what it said of the windows before.
// Make it with New.
type Detector struct {
	cfg   Config
	spell spell.Spell
	comes traffic.Arrivals
	last  []view // those that showed it last
}

// view is one way of looking at the traffic.
type view struct {
	what   string // "requests from"
	unit   string // "requests a second"
	field  traffic.PacketField
	packet bool
	rate   float64
	usual  traffic.Rates
	here   bool // there is far more than usual; else half of that
	spread spread
}

// New makes a detector that has seen nothing.
func New(cfg Config) *Detector { return &Detector{cfg: cfg} }

// Name tells the detector's name.
func (d *Detector) Name() string { return "carpet" }

// Detect judges the next window. n may be nil: nothing is known yet.
func (d *Detector) Detect(w *traffic.Window, n *traffic.Normal) []attack.Finding {
	if w == nil || w.Span <= 0 {
		return nil
	}
	if n == nil {
		n = &traffic.Normal{}
	}
	visits := d.comes.Above(w, n)
	var views []view
	here := false
	for _, v := range []view{d.toUs(w, n, visits), d.fromThem(w, n, visits), d.opens(w, n, visits), d.asks(w, n)} {
		if v.spread.over() {
			views, here = append(views, v), here || v.here
		}
	}
	if !d.spell.Step(w.At, w.Span, here, len(views) > 0, d.cfg.EndAfter) {
		return nil
	}
	if len(views) == 0 {
		views = d.last // it has been calm, for too short a time to call it over
		for i := range views {
			views[i].rate = 0
		}
	}
	d.last = views
	return []attack.Finding{d.finding(views)}
}

// judge says whether rate, of which so much is explained, is far more than usual,
// and where it is half of that, whether it is worth looking at.
func (d *Detector) judge(v *view, explained, floor float64) (look bool) {
	more := v.rate - v.usual.Peak - explained
	least := max(floor, (d.cfg.Times-1)*v.usual.Peak)
	v.here = more > least
	return v.here || d.spell.On() && more > least/2
}

// toUs looks at the addresses of ours that packets are for.
func (d *Detector) toUs(w *traffic.Window, n *traffic.Normal, visits float64) view {
	v := view{what: "packets to", unit: "packets a second", field: traffic.PacketDestPort, packet: true}
	d.packets(&v, w, n, visits, func(p *traffic.Packet) netip.Addr { return p.Dest })
	return v
}

// fromThem looks at the addresses that packets come from, or say so.
func (d *Detector) fromThem(w *traffic.Window, n *traffic.Normal, visits float64) view {
	v := view{what: "packets from", unit: "packets a second", field: traffic.PacketSource, packet: true}
	d.packets(&v, w, n, visits, func(p *traffic.Packet) netip.Addr { return p.Source })
	return v
}

func (d *Detector) packets(v *view, w *traffic.Window, n *traffic.Normal, visits float64, of func(*traffic.Packet) netip.Addr) {
	p := &w.Packets
	if !p.Filtered {
		return
	}
	v.rate, v.usual = w.Rate(p.Total().Packets), n.Packets.Packets
	if d.judge(v, packets*visits+w.Rate(w.BytesIn+w.BytesOut)/bytes, d.cfg.FloorPackets) {
		v.spread = gather(len(p.Samples), func(i int) netip.Addr { return of(&p.Samples[i]) })
	}
}

// opens looks at who opens connections.
func (d *Detector) opens(w *traffic.Window, n *traffic.Normal, visits float64) view {
	v := view{what: "connections from", unit: "connections a second", rate: w.Rate(w.Links.Opened), usual: n.Links.Opened}
	if w.Links.Counted && d.judge(&v, connections*visits, d.cfg.Floor) {
		v.spread = opened(&w.Links)
	}
	return v
}

// asks looks at who asks for something.
func (d *Detector) asks(w *traffic.Window, n *traffic.Normal) view {
	v := view{what: "requests from", unit: "requests a second", rate: w.Rate(w.Offered), usual: traffic.Rates{Usual: n.Requests, Peak: n.Peak}}
	if !d.judge(&v, 0, d.cfg.Floor) {
		return v
	}
	s := gather(len(w.Samples), func(i int) netip.Addr { return w.Samples[i].Visit.Client })
	if s.over() && !people(&s, w, n) && v.rate*s.share > d.cfg.Times*n.Peak*ordinary(&s, n) {
		v.spread = s
	}
	return v
}

// people says whether the requests from a carpet are such as people make.
func people(s *spread, w *traffic.Window, n *traffic.Normal) bool {
	all, asset := 0, 0
	for i := range w.Samples {
		v := &w.Samples[i].Visit
		if s.covers(v.Client) {
			all++
			if v.Kind == traffic.KindAsset {
				asset++
			}
		}
	}
	usual := n.AssetShare
	if usual == 0 {
		usual = assets
	}
	return float64(asset) >= usual/2*float64(all)
}

// ordinary is how much of ordinary traffic comes from the networks of a carpet.
func ordinary(s *spread, n *traffic.Normal) float64 {
	hits := 0
	for i := range n.Ordinary {
		if s.covers(n.Ordinary[i].Visit.Client) {
			hits++
		}
	}
	return float64(hits) / float64(max(len(n.Ordinary), 1))
}

func (d *Detector) finding(views []view) attack.Finding {
	first := &views[0]
	f := attack.Finding{
		Vector: attack.CarpetBombing, Since: d.spell.Since(), Confidence: 0.7,
		Rate: first.rate, Normal: first.usual.Usual, Unit: first.unit,
	}
	var parts []string
	for i := range views {
		v := &views[i]
		parts = append(parts, fmt.Sprintf("%s %d addresses or more in %s", v.what, v.spread.addresses(), named(v.spread.networks)))
		f.Facts = append(f.Facts,
			attack.Fact{Name: v.unit[:len(v.unit)-len(" a second")], Value: v.rate, Usual: v.usual.Usual, Unit: "/s"},
			attack.Fact{Name: "share of " + v.what + " these networks", Value: v.spread.share, Unit: "share"},
			attack.Fact{Name: "addresses seen in them", Value: float64(v.spread.addresses()), Unit: "addresses"})
		if v.here && v.spread.share > 0.8 {
			f.Confidence = 0.85
		}
	}
	for _, n := range first.spread.networks[:min(len(first.spread.networks), 3)] {
		if first.packet && first.field != traffic.PacketSource {
			continue // ours
		}
		f.Top = append(f.Top, attack.Contributor{
			Field: traffic.FieldClient, Packet: first.field, OfPackets: first.packet, Key: prefixOf(n.key).String(),
			Share: first.spread.share * float64(n.count) / float64(max(total(first.spread.networks), 1)),
		})
	}
	f.What = strings.Join(parts, ", ")
	return f
}

// named names networks.
func named(list []network) string {
	if len(list) == 1 {
		return prefixOf(list[0].key).String()
	}
	return fmt.Sprintf("%d networks, the heaviest %s", len(list), prefixOf(list[0].key))
}

func total(list []network) (n int) {
	for i := range list {
		n += list[i].count
	}
	return n
}
