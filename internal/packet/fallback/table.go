package fallback

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What a transaction may take, and in what pieces elements are handed over: a
// piece must fit into a netlink attribute, 64 KiB.
const (
	patience   = 10 * time.Second
	sendBuffer = 64 << 20 // bytes; a limit, not a reservation
	piece      = 500
)

// When an entry that ends with the lease is set anew.
const (
	slack = 30 * time.Second // as soon as it would stand for so much longer
	late  = time.Minute      // or when it would stand for less than this
)

// Names in the table.
const (
	counterBlocked = "blocked"
	counterAllowed = "allowed"
	chainIn        = "in"
	rulesIn        = 2 // of that chain: TCP and UDP
)

func dial() (*nftables.Conn, error) {
	return nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error {
		// A limit that cannot be raised shows when a large transaction fails.
		_ = c.SetWriteBuffer(sendBuffer)
		_ = c.SetReadBuffer(sendBuffer)
		return c.SetDeadline(time.Now().Add(patience))
	}))
}

// Remove deletes a table of this package, whoever made it; one that is not there
// is no error.
func Remove(name string) error {
	c, err := dial()
	if err == nil {
		// Deleting what is not there would fail; what was just added is there.
		t := c.AddTable(&nftables.Table{Name: name, Family: nftables.TableFamilyINet})
		c.DelTable(t)
		err = c.Flush()
	}
	if err != nil {
		return fmt.Errorf("remove the table %s from nftables: %w", name, err)
	}
	return nil
}

// try makes a table like ours, and deletes it, in one step that nobody sees.
func (l *Lists) try() error {
	c, err := dial()
	if err != nil {
		return err
	}
	w := &writer{Conn: c, o: l.o, table: c.AddTable(&nftables.Table{Name: l.o.Table + "-try", Family: nftables.TableFamilyINet})}
	w.write([]string{"lo"}, map[length][]nftables.SetElement{{blocked, true, 32}: nil, {blocked, false, 48}: nil, {allowed, true, 24}: nil}, Counts{})
	c.DelTable(w.table)
	return w.flush()
}

// build puts a table with all that is on the lists in the place of whatever is
// there. Without interfaces there is none.
func (l *Lists) build() error {
	if len(l.interfaces) == 0 {
		l.made = nil
		return Remove(l.o.Table)
	}
	_ = l.count() // where there are no counters, what is known of them stays
	c, err := dial()
	if err != nil {
		return err
	}
	now := time.Now()
	elements := map[length][]nftables.SetElement{}
	for at := range l.used {
		elements[at] = nil
	}
	kept := map[list]map[netip.Prefix]time.Time{blocked: {}, allowed: {}}
	for of, items := range l.items {
		for p, i := range items {
			end := l.until(i)
			if e, ok := element(p, end, now); ok {
				at := lengthOf(of, p)
				elements[at] = append(elements[at], e)
			}
			kept[of][p] = end
		}
	}
	t := &nftables.Table{Name: l.o.Table, Family: nftables.TableFamilyINet}
	c.AddTable(t)
	c.DelTable(t)
	w := &writer{Conn: c, o: l.o, table: c.AddTable(t)}
	w.write(slices.Sorted(maps.Keys(l.interfaces)), elements, l.counts)
	if err := w.flush(); err != nil {
		return err
	}
	for of, ends := range kept {
		for p, end := range ends {
			i := l.items[of][p]
			i.kept = end
			l.items[of][p] = i
		}
	}
	l.made = map[length]bool{}
	for at := range elements {
		l.made[at] = true
	}
	return nil
}

// write makes the kernel say of a prefix what the list says. Whatever goes wrong
// (the entry has just ended there, or somebody has changed the table), the whole
// is made anew.
func (l *Lists) write(of list, p netip.Prefix, there bool) error {
	if len(l.interfaces) == 0 {
		return nil
	}
	if !l.made[lengthOf(of, p)] {
		return l.build()
	}
	c, err := dial()
	if err != nil {
		return err
	}
	w := &writer{Conn: c, table: &nftables.Table{Name: l.o.Table, Family: nftables.TableFamilyINet}}
	end := l.until(l.items[of][p])
	w.replace(of, p, l.items[of][p], end, there)
	if err := w.flush(); err != nil {
		return l.build()
	}
	l.keep(of, p, end)
	return nil
}

func (l *Lists) keep(of list, p netip.Prefix, end time.Time) {
	i := l.items[of][p]
	i.kept = end
	l.items[of][p] = i
}

// erase takes a prefix that is off the list out of the kernel.
func (l *Lists) erase(of list, p netip.Prefix, was item) error {
	if len(l.interfaces) == 0 || !was.standing(time.Now()) {
		return nil
	}
	c, err := dial()
	if err != nil {
		return err
	}
	w := &writer{Conn: c, table: &nftables.Table{Name: l.o.Table, Family: nftables.TableFamilyINet}}
	w.fail(c.SetDeleteElements(w.set(lengthOf(of, p)), []nftables.SetElement{{Key: p.Addr().AsSlice()}}))
	if err := w.flush(); err != nil {
		return l.build()
	}
	return nil
}

// standing says whether the kernel has it.
func (i item) standing(now time.Time) bool { return i.kept.IsZero() || i.kept.After(now) }

// refresh sets anew what ends with the lease.
func (l *Lists) refresh() error {
	now := time.Now()
	var due []netip.Prefix
	for p, i := range l.items[blocked] {
		if i.person || !i.until.IsZero() && !i.until.After(now) {
			continue
		}
		longer := l.until(i).Sub(i.kept)
		if longer < -time.Second || longer > slack || longer > time.Second && i.kept.Sub(now) < late {
			due = append(due, p)
		}
	}
	for some := range slices.Chunk(due, piece) {
		c, err := dial()
		if err != nil {
			return err
		}
		w := &writer{Conn: c, table: &nftables.Table{Name: l.o.Table, Family: nftables.TableFamilyINet}}
		ends := map[netip.Prefix]time.Time{}
		gone, come := map[length][]nftables.SetElement{}, map[length][]nftables.SetElement{}
		for _, p := range some {
			i, at := l.items[blocked][p], lengthOf(blocked, p)
			if i.standing(now) {
				gone[at] = append(gone[at], nftables.SetElement{Key: p.Addr().AsSlice()})
			}
			ends[p] = l.until(i)
			if e, ok := element(p, ends[p], now); ok {
				come[at] = append(come[at], e)
			}
		}
		for at, list := range gone {
			w.fail(c.SetDeleteElements(w.set(at), list))
		}
		for at, list := range come {
			w.fail(c.SetAddElements(w.set(at), list))
		}
		if err := w.flush(); err != nil {
			return err
		}
		for p, end := range ends {
			l.keep(blocked, p, end)
		}
	}
	return nil
}

// check says whether the table is as it was made, as far as shows.
func (l *Lists) check() error {
	if err := l.count(); err != nil {
		return err
	}
	c, err := dial()
	if err != nil {
		return err
	}
	t := &nftables.Table{Name: l.o.Table, Family: nftables.TableFamilyINet}
	rules, err := c.GetRules(t, &nftables.Chain{Name: chainIn, Table: t})
	if err == nil && len(rules) != rulesIn {
		err = fmt.Errorf("somebody has changed the table %s", l.o.Table)
	}
	return err
}

// count reads the counters.
func (l *Lists) count() error {
	c, err := dial()
	if err != nil {
		return err
	}
	t := &nftables.Table{Name: l.o.Table, Family: nftables.TableFamilyINet}
	for name, tally := range map[string]*Tally{counterBlocked: &l.counts.Blocked, counterAllowed: &l.counts.Allowed} {
		o, err := c.GetObject(&nftables.NamedObj{Table: t, Name: name, Type: nftables.ObjTypeCounter})
		if err != nil {
			return fmt.Errorf("read the counters in nftables: %w", err)
		}
		if named, ok := o.(*nftables.NamedObj); ok {
			if n, ok := named.Obj.(*expr.Counter); ok {
				*tally = Tally{n.Packets, n.Bytes}
			}
		}
	}
	return nil
}

// element is an entry of a set; ok is false where it is over.
func element(p netip.Prefix, end, now time.Time) (e nftables.SetElement, ok bool) {
	e.Key = p.Addr().AsSlice()
	if end.IsZero() {
		return e, true
	}
	e.Timeout = end.Sub(now).Truncate(time.Millisecond)
	return e, e.Timeout > 0
}

// ifname is an interface's name as the kernel compares it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func port(n uint16) []byte { return binaryutil.BigEndian.PutUint16(n) }
