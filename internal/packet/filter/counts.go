package filter

import (
	"fmt"

	"seawall/internal/traffic"
)

// Tally counts packets.
type Tally struct {
	Packets, Bytes uint64
}

// Counts is what became of packets since the maps were made, and what would
// have become of them had rungs on a dry run enforced. In Dry, PassLease counts
// packets that only the missing lease let through.
type Counts struct {
	Done [Reasons]Tally
	Dry  [Reasons]Tally
	// Kinds counts packets for protected ports, by traffic.PacketKind, whatever
	// became of them.
	Kinds       [traffic.PacketKinds]uint64
	SamplesLost uint64
}

// tallies is struct tallies of bpf/common.h.
type tallies struct {
	Counts
	UntilSample uint64
}

// Counts adds up what all processors counted.
func (f *Filter) Counts() (Counts, error) {
	var each []tallies
	if err := f.maps[mapCounts].Lookup(uint32(0), &each); err != nil {
		return Counts{}, fmt.Errorf("read the packet filter's counters: %w", err)
	}
	var sum Counts
	for i := range each {
		for r := range Reasons {
			sum.Done[r].add(each[i].Done[r])
			sum.Dry[r].add(each[i].Dry[r])
		}
		for k := range sum.Kinds {
			sum.Kinds[k] += each[i].Kinds[k]
		}
		sum.SamplesLost += each[i].SamplesLost
	}
	return sum, nil
}

func (t *Tally) add(o Tally) {
	t.Packets += o.Packets
	t.Bytes += o.Bytes
}
