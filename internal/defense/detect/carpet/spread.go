package carpet

import (
	"cmp"
	"net/netip"
	"slices"

	"seawall/internal/traffic"
)

const (
	// mostNetworks is how many networks a carpet may cover at most, and half is how
	// much of all must be in them.
	mostNetworks = 16
	half         = 0.5
	// leastAddresses is how many addresses of a network must take part.
	leastAddresses = 8
	// uneven is how many times its even share an address may have.
	uneven = 4
	// leastSamples is how many samples say something.
	leastSamples = 50
)

// network is one of those that a carpet covers.
type network struct {
	key       uint64 // see wideOf
	count     int    // of what was sampled, or counted
	addresses int    // that were seen in it
}

// spread is what a carpet covers.
type spread struct {
	networks []network // the heaviest first
	share    float64   // of all
}

// over says whether it is a carpet.
func (s *spread) over() bool { return len(s.networks) > 0 && s.share >= half }

// covers says whether a lies in it.
func (s *spread) covers(a netip.Addr) bool {
	key, ok := traffic.ClientKey(a)
	return ok && slices.ContainsFunc(s.networks, func(n network) bool { return n.key == wideOf(key) })
}

// addresses is how many were seen.
func (s *spread) addresses() (n int) {
	for i := range s.networks {
		n += s.networks[i].addresses
	}
	return n
}

// wideOf is the /24 or /48 around a traffic.ClientKey. Sorted, those of a network stand
// together.
func wideOf(key uint64) uint64 {
	if key>>32 == 1 {
		return key &^ 0xff
	}
	return key &^ 0xffff
}

// prefixOf is the prefix of a key of wideOf.
func prefixOf(key uint64) netip.Prefix {
	p := traffic.ClientPrefix(key)
	if p.Addr().Is4() {
		return netip.PrefixFrom(p.Addr(), 24)
	}
	return netip.PrefixFrom(p.Addr(), 48)
}

// gather finds the networks over which n samples are spread evenly; of gives the
// address of each.
func gather(n int, of func(i int) netip.Addr) spread {
	if n < leastSamples {
		return spread{}
	}
	keys := make([]uint64, 0, n)
	for i := range n {
		if key, ok := traffic.ClientKey(of(i)); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var list []network
	for len(keys) > 0 {
		net := network{key: wideOf(keys[0])}
		most, run := 0, 0
		for net.count < len(keys) && wideOf(keys[net.count]) == net.key {
			if net.count == 0 || keys[net.count] != keys[net.count-1] {
				net.addresses, run = net.addresses+1, 0
			}
			run++
			most = max(most, run)
			net.count++
		}
		keys = keys[net.count:]
		if net.addresses >= leastAddresses && most*net.addresses <= uneven*net.count {
			list = append(list, net)
		}
	}
	return widest(list, n)
}

// widest keeps the heaviest networks.
func widest(list []network, all int) spread {
	slices.SortFunc(list, func(a, b network) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.key, b.key))
	})
	s := spread{networks: list[:min(len(list), mostNetworks)]}
	sum := 0
	for i := range s.networks {
		sum += s.networks[i].count
	}
	s.share = float64(sum) / float64(max(all, 1))
	return s
}

// opened finds the networks whose clients opened connections, each a few. Only the
// heaviest clients are known by name: one that is in no list has fewer.
func opened(l *traffic.Links) spread {
	clients := l.Of[traffic.LinkOpened]
	unlisted := uint64(0) // what a client in no list can have at most
	if len(clients) > 0 {
		unlisted = clients[len(clients)-1].Count
	}
	var list []network
	for _, h := range l.Networks[traffic.LinkOpened] {
		p, err := netip.ParsePrefix(h.Key)
		if err != nil {
			continue
		}
		count, most, named := h.Count-min(h.Error, h.Count), unlisted, 0
		for _, c := range clients {
			if a, err := netip.ParsePrefix(c.Key); err == nil && p.Contains(a.Addr()) {
				most = max(most, c.Count-min(c.Error, c.Count))
				named++
			}
		}
		if most == 0 || count < leastAddresses*leastAddresses || count < leastAddresses/uneven*most {
			continue
		}
		// At least so many clients share it, even if all have as many as the heaviest.
		if addresses := max(int((count+most-1)/most), named); addresses >= leastAddresses {
			key, _ := traffic.ClientKey(p.Addr())
			list = append(list, network{key, int(count), addresses})
		}
	}
	return widest(list, int(l.Did[traffic.LinkOpened]))
}
