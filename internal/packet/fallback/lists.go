package fallback

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

var (
	// ErrUnsupported says that this kernel, or these rights, do not bear it.
	ErrUnsupported = errors.New("nftables cannot be had here")
	// ErrFull says that a list has no room for another prefix, or for another
	// prefix length.
	ErrFull = errors.New("the list in nftables is full")
)

// Bounds besides those of Options.
const (
	widerMost   = 4096 // prefixes of a family that are not single clients
	allowedMost = 4096 // of a family
	lengthsMost = 8    // prefix lengths of a family on the block list, single clients' apart: each costs a look-up a packet
)

// Options are what the lists are for.
type Options struct {
	Table string   // its name, in the family inet
	Ports []uint16 // TCP and UDP
	// Entries4 and Entries6 are how many single clients can be blocked: IPv4
	// addresses, IPv6 /64s.
	Entries4, Entries6 int
	DryRun             bool // count what would be dropped, and drop nothing
}

// list is one of the two.
type list int

const (
	blocked list = iota
	allowed
)

// item is what a list says of a prefix.
type item struct {
	until  time.Time // zero: for ever
	person bool
	kept   time.Time // until when the kernel has it; zero: for ever. Valid iff the kernel has it
}

// length is a set in the kernel: the prefixes of one length on one list.
type length struct {
	of   list
	is4  bool
	bits int
}

// Lists are who is blocked and who is allowed. Make them with New.
type Lists struct {
	o Options

	mu         sync.Mutex // guards the following
	items      map[list]map[netip.Prefix]item
	used       map[length]int // entries of each length
	made       map[length]bool
	interfaces map[string]bool // without any there is no table
	lease      time.Time
	counts     Counts // when they were read last
}

// Counts are packets since the table was made first.
type Counts struct {
	Blocked, Allowed Tally // Allowed: those that would have been dropped
}

// Tally counts packets.
type Tally struct{ Packets, Bytes uint64 }

// New finds out whether this machine bears it. What an earlier process has left
// acts until the first Attach, which replaces it.
func New(o Options) (*Lists, error) {
	l := &Lists{
		o: o, items: map[list]map[netip.Prefix]item{blocked: {}, allowed: {}},
		used: map[length]int{}, interfaces: map[string]bool{},
		lease: time.Now(), // over until it is renewed
	}
	if err := l.try(); err != nil {
		return nil, fmt.Errorf("%w: it needs nf_tables in the kernel and the capability CAP_NET_ADMIN: %w", ErrUnsupported, err)
	}
	return l, nil
}

// DryRun says whether it only counts.
func (l *Lists) DryRun() bool { return l.o.DryRun }

// Attach makes packets that come in at an interface meet the lists.
func (l *Lists) Attach(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := net.InterfaceByName(name); err != nil {
		return fmt.Errorf("filter %s by nftables: no such interface (`ip link` lists them): %w", name, err)
	}
	if l.interfaces[name] {
		return nil
	}
	l.interfaces[name] = true
	if err := l.build(); err != nil {
		delete(l.interfaces, name)
		return fmt.Errorf("filter %s by nftables: %w", name, err)
	}
	return nil
}

// Detach lets all packets of an interface pass again.
func (l *Lists) Detach(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.interfaces[name] {
		return nil
	}
	delete(l.interfaces, name)
	if err := l.build(); err != nil {
		l.interfaces[name] = true
		return fmt.Errorf("no longer filter %s by nftables: %w", name, err)
	}
	return nil
}

// Block drops packets from a prefix for the ports, until a moment; the zero Time
// is for ever. What a person has not ordered ends with the lease. Blocking a
// prefix anew replaces what was said of it.
func (l *Lists) Block(p netip.Prefix, end time.Time, person bool) error {
	return l.put(blocked, p, item{until: end, person: person})
}

// Unblock takes a prefix off the block list; one that is not on it is no error.
func (l *Lists) Unblock(p netip.Prefix) error { return l.take(blocked, p) }

// Allow lets all packets from a prefix pass until a moment, whoever is blocked;
// the zero Time is for ever.
func (l *Lists) Allow(p netip.Prefix, end time.Time) error {
	return l.put(allowed, p, item{until: end, person: true})
}

// Disallow takes a prefix off the allow list; one that is not on it is no error.
func (l *Lists) Disallow(p netip.Prefix) error { return l.take(allowed, p) }

func (l *Lists) put(of list, p netip.Prefix, i item) error {
	p, err := proper(p)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !i.until.IsZero() && !i.until.After(time.Now()) {
		return l.remove(of, p)
	}
	at := lengthOf(of, p)
	was, again := l.items[of][p]
	if !again {
		if err := l.room(at); err != nil {
			return fmt.Errorf("put %v on a list: %w", p, err)
		}
		l.used[at]++
	}
	i.kept = was.kept
	l.items[of][p] = i
	if err := l.write(of, p, again); err != nil {
		if again {
			l.items[of][p] = was
		} else {
			l.forget(of, p)
		}
		return fmt.Errorf("put %v on a list: %w", p, err)
	}
	return nil
}

func (l *Lists) take(of list, p netip.Prefix) error {
	p, err := proper(p)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remove(of, p)
}

func (l *Lists) remove(of list, p netip.Prefix) error {
	was, there := l.items[of][p]
	if !there {
		return nil
	}
	l.forget(of, p)
	if err := l.erase(of, p, was); err != nil {
		l.items[of][p] = was
		l.used[lengthOf(of, p)]++
		return fmt.Errorf("take %v off a list: %w", p, err)
	}
	return nil
}

func (l *Lists) forget(of list, p netip.Prefix) {
	delete(l.items[of], p)
	at := lengthOf(of, p)
	if l.used[at]--; l.used[at] == 0 {
		delete(l.used, at)
	}
}

// room says whether a list takes another prefix of a length.
func (l *Lists) room(at length) error {
	if at.of == blocked && at.single() {
		most := l.o.Entries6
		if at.is4 {
			most = l.o.Entries4
		}
		if l.used[at] >= most {
			return fmt.Errorf("%w: it holds %d clients", ErrFull, most)
		}
		return nil
	}
	entries, lengths := 0, 0
	for other, n := range l.used {
		if other.of == at.of && other.is4 == at.is4 && (other.of == allowed || !other.single()) {
			entries, lengths = entries+n, lengths+1
		}
	}
	switch {
	case at.of == allowed && entries >= allowedMost:
		return fmt.Errorf("%w: it allows %d prefixes", ErrFull, allowedMost)
	case at.of == allowed:
	case entries >= widerMost:
		return fmt.Errorf("%w: it holds %d prefixes besides single clients", ErrFull, widerMost)
	case l.used[at] == 0 && lengths >= lengthsMost:
		return fmt.Errorf("%w: prefixes of %d lengths besides single clients are on it already", ErrFull, lengthsMost)
	}
	return nil
}

// Renew prolongs the lease: for d from now on, what the machine blocks stands
// even if nobody is heard of. It also finds out whether the table is still there.
func (l *Lists) Renew(d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease = time.Now().Add(d)
	if len(l.interfaces) == 0 {
		return nil
	}
	err := l.check()
	if err == nil {
		err = l.refresh()
	}
	if err != nil {
		err = l.build() // whatever it was: all of it, anew
	}
	if err != nil {
		return fmt.Errorf("renew the lease of the lists in nftables: %w", err)
	}
	return nil
}

// Sweep takes off the lists what is over, so that they do not fill up with it;
// the kernel heeds the times by itself. It returns how many entries it took.
func (l *Lists) Sweep() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, n := time.Now(), 0
	for of, items := range l.items {
		for p, i := range items {
			if !i.until.IsZero() && !i.until.After(now) {
				l.forget(of, p)
				n++
			}
		}
	}
	for at := range l.made {
		if l.used[at] == 0 { // a look-up for nothing
			return n, l.build()
		}
	}
	return n, nil
}

// Counts reads the counters.
func (l *Lists) Counts() (Counts, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.interfaces) == 0 {
		return l.counts, nil
	}
	return l.counts, l.count()
}

// Close removes the table.
func (l *Lists) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.interfaces)
	_ = Remove(l.o.Table) // Detach has said what is wrong
}

// until is when the kernel shall let an entry go; zero: never.
func (l *Lists) until(i item) time.Time {
	if i.person || !i.until.IsZero() && i.until.Before(l.lease) {
		return i.until
	}
	return l.lease
}

// proper returns the prefix as lists keep it: masked, and IPv4 as IPv4.
func proper(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, fmt.Errorf("%v is no prefix", p)
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%v is no prefix of IPv4 addresses", p)
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	if p = p.Masked(); p.Bits() == 0 {
		return p, fmt.Errorf("%v is everybody", p)
	}
	return p, nil
}

func lengthOf(of list, p netip.Prefix) length { return length{of, p.Addr().Is4(), p.Bits()} }

// single says whether prefixes of this length are single clients.
func (at length) single() bool { return at.is4 && at.bits == 32 || !at.is4 && at.bits == 64 }
