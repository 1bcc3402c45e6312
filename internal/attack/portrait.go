package attack

import (
	"fmt"
	"strconv"

	"seawall/internal/traffic"
)

// shown is the share of an attack's packets from which a value is told.
const shown = 0.3

// Portray tells what an attack's packets have in common: it fills in Target and
// adds to Facts and Top.
func (f *Finding) Portray(p traffic.Portrait) {
	if p.Count == 0 {
		return
	}
	f.Facts = append(f.Facts,
		Fact{Name: "sampled packets", Value: float64(p.Count), Unit: "packets"},
		Fact{Name: "distinct sources among them", Value: float64(p.Sources), Unit: "sources"})
	for _, c := range []struct {
		field traffic.PacketField
		name  string
	}{
		{traffic.PacketSourcePort, "most common source port, of them"},
		{traffic.PacketDestPort, "most common port, of them"},
		{traffic.PacketLength, "most common length, of them"},
		{traffic.PacketTTL, "most common TTL, of them"},
		{traffic.PacketWindow, "most common TCP window, of them"},
	} {
		common := p.Common[c.field]
		if common.Share < shown {
			continue
		}
		f.Facts = append(f.Facts, Fact{Name: c.name, Value: common.Share, Unit: "share"})
		f.Top = append(f.Top, Contributor{Packet: c.field, OfPackets: true, Key: strconv.Itoa(int(common.Value)), Share: common.Share})
	}
	if port := p.Common[traffic.PacketDestPort]; port.Share >= 0.8 {
		f.Target = fmt.Sprintf("port %d", port.Value)
	}
}
