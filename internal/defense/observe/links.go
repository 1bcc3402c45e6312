package observe

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"

	"seawall/internal/kit/sketch"
	"seawall/internal/traffic"
)

// linkShards is how many places there are to count connections in. They come ten
// times slower than requests at worst, as the kernel has to make each.
const linkShards = 2

// links is who did what on connections.
type links struct {
	shards []linkShard
	sum    *linkTally    // belongs to the goroutine that calls CutLinks
	before traffic.Links // the counts when the window began; the same goroutine's
	lost   atomic.Uint64 // events that found no shard free
}

// linkShard is a tally behind a lock that Linked only tries.
type linkShard struct {
	mu  sync.Mutex
	now *linkTally
	_   [48]byte // a cache line each
}

// linkTally is one shard's part of one window.
type linkTally struct {
	distinct *sketch.Distinct // client prefixes that opened one
	clients  [traffic.LinkEvents]*sketch.Numbers
	networks [traffic.LinkEvents]*sketch.Numbers
	ja4      *sketch.Strings
}

func newLinkTally(keys int, seed sketch.Seed) *linkTally {
	t := &linkTally{distinct: sketch.NewDistinct(seed), ja4: sketch.NewStrings(keys, keepJA4, seed)}
	for e := range t.clients {
		t.clients[e], t.networks[e] = sketch.NewNumbers(keys, seed), sketch.NewNumbers(keys, seed)
	}
	return t
}

func (l *links) open(cfg Config, seed sketch.Seed) {
	n, keys := linkShards, max(cfg.Keys/2, 16)
	if cfg.Seed != 0 {
		n = 1
	}
	l.shards, l.sum = make([]linkShard, n), newLinkTally(keys, seed)
	for i := range l.shards {
		l.shards[i].now = newLinkTally(keys, seed)
	}
}

// Linked counts what a connection did, and whose it is. It is safe for concurrent
// use, never waits and keeps nothing of ja4.
func (o *Observer) Linked(from netip.Addr, ja4 string, e traffic.LinkEvent) {
	client, known := traffic.ClientKey(from)
	if !known || e >= traffic.LinkEvents {
		return
	}
	first := o.any()
	for i := range o.links.shards {
		s := &o.links.shards[(first+i)%len(o.links.shards)]
		if s.mu.TryLock() {
			s.now.add(client, ja4, e)
			s.mu.Unlock()
			return
		}
	}
	o.links.lost.Add(1)
}

func (t *linkTally) add(client uint64, ja4 string, e traffic.LinkEvent) {
	if e == traffic.LinkOpened {
		t.distinct.Add(client)
	}
	t.clients[e].Add(client, 1)
	t.networks[e].Add(wideKey(client), 1)
	if ja4 != "" {
		t.ja4.Add(ja4, 1)
	}
}

// CutLinks ends the window of connections and returns it. It takes the counts since
// the start, as whoever has the connections keeps them, and adds who they were. For
// the control loop's goroutine only.
func (o *Observer) CutLinks(counts traffic.Links) traffic.Links {
	l := &o.links
	w := counts.Since(l.before)
	l.before = counts
	l.sum.reset()
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		l.sum.merge(s.now)
		s.now.reset()
		s.mu.Unlock()
	}
	w.Clients = l.sum.distinct.Count()
	for e := range w.Of {
		w.Did[e] = l.sum.clients[e].Total()
		w.Of[e] = numbers(l.sum.clients[e].Top(o.cfg.Top), clientName)
		w.Networks[e] = numbers(l.sum.networks[e].Top(o.cfg.Top), wideName)
	}
	w.JA4 = texts(l.sum.ja4.Top(o.cfg.Top))
	w.Lost = o.links.lost.Swap(0)
	return w
}

func (t *linkTally) merge(o *linkTally) {
	t.distinct.Merge(o.distinct)
	for e := range t.clients {
		t.clients[e].Merge(o.clients[e])
		t.networks[e].Merge(o.networks[e])
	}
	t.ja4.Merge(o.ja4)
}

func (t *linkTally) reset() {
	t.distinct.Reset()
	for e := range t.clients {
		t.clients[e].Reset()
		t.networks[e].Reset()
	}
	t.ja4.Reset()
}

// wideKey is the /24 or /48 around a client's key.
func wideKey(client uint64) uint64 {
	if client>>32 == 1 {
		return client &^ 0xff
	}
	return client &^ 0xffff
}

// wideName writes a prefix of wideKey.
func wideName(key uint64) string {
	if key>>32 == 1 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(key))
		return netip.PrefixFrom(netip.AddrFrom4(b), 24).String()
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], key)
	return netip.PrefixFrom(netip.AddrFrom16(b), 48).String()
}
