package fallback

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// writer gathers one transaction.
type writer struct {
	*nftables.Conn
	o     Options
	table *nftables.Table
	sets  uint32 // made so far: their numbers hold within the transaction
	err   error
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// flush hands the transaction to the kernel, all of it or nothing.
func (w *writer) flush() error {
	if w.err != nil {
		return w.err
	}
	return w.Flush()
}

// replace sets a prefix anew; there says that the kernel may have it.
func (w *writer) replace(of list, p netip.Prefix, i item, end time.Time, there bool) {
	now, s := time.Now(), w.set(lengthOf(of, p))
	if there && i.standing(now) {
		w.fail(w.SetDeleteElements(s, []nftables.SetElement{{Key: p.Addr().AsSlice()}}))
	}
	if e, ok := element(p, end, now); ok {
		w.fail(w.SetAddElements(s, []nftables.SetElement{e}))
	}
}

// set names the set of a length; the kernel knows it by its name.
func (w *writer) set(at length) *nftables.Set {
	s := &nftables.Set{
		Table: w.table, Name: fmt.Sprintf("%s6_%d", at.of, at.bits), KeyType: nftables.TypeIP6Addr, HasTimeout: true,
		// One that is replaced counts twice until the transaction is done, and one
		// that is over until the kernel has cleared it away.
		Size: 2*max(widerMost, allowedMost) + 2*piece,
	}
	if at.is4 {
		s.Name, s.KeyType = fmt.Sprintf("%s4_%d", at.of, at.bits), nftables.TypeIPAddr
	}
	return s
}

func (l list) String() string {
	if l == blocked {
		return "blocked"
	}
	return "allowed"
}

func (w *writer) add(s *nftables.Set, elements []nftables.SetElement) {
	w.sets++
	s.ID = w.sets
	w.fail(w.AddSet(s, nil))
	for some := range slices.Chunk(elements, piece) {
		w.fail(w.SetAddElements(s, some))
	}
}

// write makes what is in the table.
//
//	in:      of an interface, TCP or UDP, to a port: goto clients
//	clients: for each length: source & mask in its set: goto four or six
//	four:    for each length: source & mask in its set: accept; else drop
func (w *writer) write(interfaces []string, elements map[length][]nftables.SetElement, c Counts) {
	for name, n := range map[string]Tally{counterBlocked: c.Blocked, counterAllowed: c.Allowed} {
		w.AddObj(&nftables.NamedObj{Table: w.table, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{Packets: n.Packets, Bytes: n.Bytes}})
	}
	var at []nftables.SetElement
	for _, name := range interfaces {
		at = append(at, nftables.SetElement{Key: ifname(name)})
	}
	w.add(&nftables.Set{Table: w.table, Name: "interfaces", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}, at)
	var to []nftables.SetElement
	for _, n := range slices.Compact(slices.Sorted(slices.Values(w.o.Ports))) {
		to = append(to, nftables.SetElement{Key: port(n)})
	}
	w.add(&nftables.Set{Table: w.table, Name: "ports", KeyType: nftables.TypeInetService}, to)
	for _, at := range w.lengths(elements) {
		s := w.set(at)
		if at.of == blocked && at.single() {
			s.Size = uint32(2*max(w.o.Entries4, w.o.Entries6) + 2*piece)
		}
		w.add(s, elements[at])
	}

	accept := nftables.ChainPolicyAccept
	in := w.AddChain(&nftables.Chain{
		Table: w.table, Name: chainIn, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw, Policy: &accept,
	})
	chains := map[string]*nftables.Chain{}
	for _, name := range []string{"clients", "four", "six"} {
		chains[name] = w.AddChain(&nftables.Chain{Table: w.table, Name: name})
	}
	for _, protocol := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		w.rule(in, slices.Concat(
			meta(expr.MetaKeyIIFNAME), find("interfaces"),
			meta(expr.MetaKeyL4PROTO), is(protocol),
			[]expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}}, find("ports"),
			follow("clients"),
		))
	}
	for _, at := range w.lengths(elements) {
		family := "six"
		if at.is4 {
			family = "four"
		}
		chain, end := "clients", follow(family)
		if at.of == allowed {
			chain, end = family, append(counter(counterAllowed), &expr.Verdict{Kind: expr.VerdictAccept})
		}
		w.rule(chains[chain], slices.Concat(source(at), find(w.set(at).Name), end))
	}
	last := append(counter(counterBlocked), &expr.Verdict{Kind: expr.VerdictDrop})
	if w.o.DryRun {
		last = counter(counterBlocked)
	}
	w.rule(chains["four"], last)
	w.rule(chains["six"], last)
}

// lengths are those of the elements, those with many first.
func (w *writer) lengths(elements map[length][]nftables.SetElement) []length {
	return slices.SortedFunc(maps.Keys(elements), func(a, b length) int {
		if a.of != b.of {
			return int(a.of - b.of)
		}
		if a.is4 != b.is4 && a.is4 {
			return -1
		} else if a.is4 != b.is4 {
			return 1
		}
		return b.bits - a.bits
	})
}

func (w *writer) rule(c *nftables.Chain, e []expr.Any) {
	w.AddRule(&nftables.Rule{Table: w.table, Chain: c, Exprs: e})
}

func meta(key expr.MetaKey) []expr.Any { return []expr.Any{&expr.Meta{Key: key, Register: 1}} }

func is(b byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{b}}}
}

func find(set string) []expr.Any { return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set}} }

func follow(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

func counter(name string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: int(nftables.ObjTypeCounter), Name: name}}
}

// source loads the source address, if it is of the family, cut to a length.
func source(at length) []expr.Any {
	family, offset, size := byte(unix.NFPROTO_IPV6), uint32(8), 16
	if at.is4 {
		family, offset, size = unix.NFPROTO_IPV4, 12, 4
	}
	out := slices.Concat(meta(expr.MetaKeyNFPROTO), is(family),
		[]expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(size)}})
	if at.bits < 8*size {
		out = append(out, &expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: uint32(size),
			Mask: net.CIDRMask(at.bits, 8*size), Xor: make([]byte, size),
		})
	}
	return out
}
