package decide

import (
	"fmt"
	"net/netip"

	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

// What is taken for harm: so many visitors, and such a share of those seen in
// the window, whose packets a match met. One visitor may be somebody in whose
// name the flood is sent, or the attacker's own.
const (
	harmedLeast = 3
	harmedShare = 0.02
)

// loosenPackets turns what meets visitors' packets from dropping to counting,
// for as long as the flood lasts. Who visits is known from requests: those with
// a clearance or a good standing that came straight from their address.
func (d *Decider) loosenPackets(now Moment, w *traffic.Window) {
	dropping := 0
	for _, id := range d.packet.byText {
		if e := d.active[id]; e != nil && e.m.Action == mitigation.Drop {
			dropping++
		}
	}
	if w == nil || dropping == 0 {
		return
	}
	visitors := map[netip.Addr]struct{}{}
	for i := range w.Samples {
		if v := &w.Samples[i].Visit; real(v) && v.Client == v.Peer {
			visitors[v.Client.Unmap().WithZone("")] = struct{}{}
		}
	}
	if len(visitors) < harmedLeast {
		return
	}
	for _, id := range d.ids() {
		e := d.active[id]
		if e.kind != kindPackets || e.m.Action != mitigation.Drop {
			continue
		}
		met := map[netip.Addr]struct{}{}
		for i := range w.Packets.Samples {
			p := &w.Packets.Samples[i]
			from := p.Source.Unmap().WithZone("")
			if _, visits := visitors[from]; visits && e.m.Match.HitsPacket(p) {
				met[from] = struct{}{}
			}
		}
		e.good += uint64(len(visitors))
		e.met += uint64(len(met))
		if len(met) < harmedLeast || float64(len(met)) < harmedShare*float64(len(visitors)) {
			continue
		}
		e.loosened, d.packet.lenient[e.m.Match.String()] = true, true
		e.m.Action, e.harsh = mitigation.Slow, now.At
		e.m.Note += " It only counts now, because it met visitors' packets."
		d.publish(e)
		d.out.Notes = append(d.out.Notes, Note{Step: "decide", Warn: true,
			Text:    fmt.Sprintf("%s packets like #%d from now on: it met those of visitors.", does(e, "Only count", "only count"), id),
			Numbers: map[string]float64{"id": float64(id), "visitors_met": float64(len(met)), "visitors_seen": float64(len(visitors))}})
	}
}
