package filter

import (
	"bytes"
	_ "embed"
	"fmt"
	"math/bits"
	"time"

	"github.com/cilium/ebpf"
)

// object is bpf/filter.bpf.c, built by `make bpf`.
//
//go:embed bpf/filter.o
var object []byte

// Names in the object.
const (
	programName = "seawall"
	mapCounts   = "counts"
	mapLease    = "lease"
	mapBudgets  = "budgets"
	mapAllow    = "allow"
	mapBlock4   = "block4"
	mapBlock6   = "block6"
	mapClients4 = "clients4"
	mapClients6 = "clients6"
	mapSources  = "sources"
	mapInitials = "initials"
	mapWatches  = "watches"
	mapFresh    = "fresh"
	mapKnown    = "known"
	mapQUIC     = "quic"
	mapAlarms   = "alarms"
	mapSamples  = "samples"
	mapHits     = "signature_hits"

	// signaturesName is the function whose body is what signatures are compiled to.
	signaturesName = "signatures"
)

// lengthsMost is how many prefix lengths a family can have on the block list,
// besides that of single clients: each costs a look-up a packet.
const lengthsMost = 4

func mapNames() []string {
	return []string{
		mapCounts, mapLease, mapBudgets, mapAllow, mapBlock4, mapBlock6, mapClients4, mapClients6,
		mapSources, mapInitials, mapWatches, mapFresh, mapKnown, mapQUIC, mapAlarms, mapSamples, mapHits,
	}
}

// ports is a set of ports; a bit each, as has_port in bpf/common.h reads it.
type ports [8192]byte

func (p *ports) add(port uint16) { p[port>>3] |= 1 << (port & 7) }

// synWindow is the time for which SYNs are counted: WINDOW_BITS of
// bpf/connections.h.
const synWindow = 1 << 25 * time.Nanosecond

// strays is how many reflected packets a second, for ports that are not
// protected, are borne on each processor before it is asked who waits for them.
const strays = 3000

// settings are the constants of a loaded program.
type settings struct {
	modes     [Rungs]Mode
	tcp, udp  ports
	anySource bool
	bogons    bool
	allow     bool
	seed      uint64 // odd
	buckets   [2]uint32
	lengths4  [lengthsMost]uint32
	lengths6  [lengthsMost]uint32
	rates     Config    // its rates
	segment   [2]uint16 // largest that comes in whole, by family
	scale     uint8     // of the window, that the kernel chooses
	onlyHost  bool      // this machine forwards nothing

	signatures *signatures // nil: none
}

// lanesMost bounds what the tables that processors have of their own take of the
// kernel's memory, 420 KiB each: a machine may have room for hundreds of them.
const lanesMost = 32

// lanes is how many processors this machine can have, as a power of two.
func lanes() (uint32, error) {
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return 0, fmt.Errorf("count processors: %w", err)
	}
	return min(uint32(1)<<bits.Len(uint(n-1)), lanesMost), nil
}

// lengths are those of a family's prefixes on the block list.
func (s *settings) lengths(family int) *[lengthsMost]uint32 {
	if family == 0 {
		return &s.lengths4
	}
	return &s.lengths6
}

// amplifiers are UDP ports of services that answer more than they are asked,
// and so are used to reflect floods: CISA's alert TA14-017A, with those seen
// since (memcached, WS-Discovery, CoAP, ARMS, CLDAP, BitTorrent, games).
func amplifiers() (p ports) {
	for _, n := range []uint16{
		17, 19, 53, 69, 111, 123, 137, 138, 161, 177, 389, 427, 500, 520, 623, 1194, 1434, 1604, 1645, 1701, 1812, 1900,
		2362, 3074, 3283, 3478, 3702, 4500, 5060, 5093, 5353, 5683, 6881, 7547, 8611, 9987, 10001, 10074, 11211, 17185,
		20800, 27015, 27960, 30120, 30718, 32414, 33848, 37810, 41794, 47808,
	} {
		p.add(n)
	}
	return p
}

// spec reads the object and sets its constants.
func (s *settings) spec() (*ebpf.CollectionSpec, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read the packet filter's object: %w", err)
	}
	spec.Maps[mapClients4].MaxEntries = s.buckets[0]
	spec.Maps[mapClients6].MaxEntries = s.buckets[1]
	lanes, err := lanes()
	if err != nil {
		return nil, err
	}
	spec.Maps[mapSources].MaxEntries *= lanes
	spec.Maps[mapInitials].MaxEntries *= lanes
	spec.Maps[mapKnown].MaxEntries *= lanes
	spec.Maps[mapQUIC].MaxEntries *= lanes
	var on, dry uint32
	for r, m := range s.modes {
		if m != Off && (Rung(r) != Signatures || s.signatures != nil) {
			on |= 1 << r
		}
		if m == DryRun {
			dry |= 1 << r
		}
	}
	var enforced uint32
	var payload bool
	if s.signatures != nil {
		enforced, payload = s.signatures.enforced, s.signatures.payload
		if err := graft(spec.Programs[programName], signaturesName, s.signatures.code); err != nil {
			return nil, err
		}
	}
	for name, value := range map[string]any{
		"signatures_enforced": enforced, "signatures_payload": one(payload),
		"rungs_on": on, "dry_runs": dry,
		"tcp_ports": s.tcp, "udp_ports": s.udp, "amplifiers": amplifiers(),
		"any_source": one(s.anySource), "bogons": one(s.bogons), "allow_some": one(s.allow),
		"seed": s.seed, "buckets4": s.buckets[0] - 1, "buckets6": s.buckets[1] - 1,
		"lengths4": s.lengths4, "lengths6": s.lengths6,
		"fragment_gap": gap(s.rates.FragmentRate), "icmp_gap": gap(s.rates.ICMPRate),
		"source_gap": gap(s.rates.SourceRate), "source_byte_gap": 1024 * uint64(time.Second) / uint64(max(1, s.rates.SourceBytes)),
		"initial_gap": gap(s.rates.InitialRate), "initials_gap": gap(s.rates.InitialsRate),
		"datagram_gap": gap(s.rates.UDPRate), "lanes": lanes - 1, "only_host": one(s.onlyHost), "strays_a_window": uint32(strays * synWindow / time.Second),
		"syns_a_window": uint32(max(1, synWindow*time.Duration(s.rates.SynRate)/time.Second)),
		"mss4":          s.segment[0], "mss6": s.segment[1], "window_scale": s.scale,
	} {
		v, ok := spec.Variables[name]
		if !ok {
			return nil, fmt.Errorf("the packet filter's object has no constant %s: run `make bpf`", name)
		}
		if err := v.Set(value); err != nil {
			return nil, fmt.Errorf("set %s of the packet filter: %w", name, err)
		}
	}
	return spec, nil
}

func one(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// gap is the time between two of n a second.
func gap(n int) uint64 { return uint64(time.Second) / uint64(max(1, n)) }
