package filter

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// ErrUnsupported says that this kernel, or these rights, do not bear the filter.
var ErrUnsupported = errors.New("the packet filter cannot be had here")

// LeaseTime is how long the rules hold without a word from the daemon.
const LeaseTime = 120 * time.Second

// Guard is what the filter protects.
type Guard struct {
	TCP, UDP []uint16 // ports
	// Loopback lets addresses of loopback, and a machine's own, come in: for
	// tests on the loopback interface.
	Loopback bool
	// MTU is the smallest of the interfaces'; 0: 1500.
	MTU int
}

// segments are the largest TCP segments that come in whole, without options, by
// family.
func (g Guard) segments() [2]uint16 {
	mtu := g.MTU
	if mtu == 0 {
		mtu = 1500
	}
	mtu = min(max(mtu, 576), 65535)
	return [2]uint16{uint16(mtu - 40), uint16(mtu - 60)}
}

// Filter is a loaded program with its lists. Make it with New; Close gives back
// what it took, but not what is pinned.
type Filter struct {
	cfg  Config
	pins string   // folder of the pins; "" for none
	lock *os.File // that folder; nil for none

	mu      sync.Mutex // guards the following
	set     settings
	maps    map[string]*ebpf.Map
	program *ebpf.Program
	links   map[string]link.Link // by interface
	how     map[string]How
	tables  [2]table    // blocked clients, by family (0: IPv4)
	clients [2]int      // how many
	used    [2][129]int // other entries of the block list, by length
	allows  allows
	bases   [SignaturesMost]Tally // what slots had counted before they got their signatures
	vouch   vouch                 // what stands in the lease

	alarms  *ringbuf.Reader // of Alarm
	samples *ringbuf.Reader // of Samples, as is record
	record  ringbuf.Record
}

// New loads the program; packets do not meet it yet. With pins, a folder in the
// BPF file system, the lists and what is attached outlive this process, and
// what an earlier one left there is taken over.
func New(cfg Config, g Guard, pins string) (*Filter, error) {
	if err := cfg.Validate().Err(); err != nil {
		return nil, fmt.Errorf("load the packet filter: %w", err)
	}
	if err := rlimit.RemoveMemlock(); err != nil && !errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("load the packet filter: %w", err)
	}
	var lock *os.File
	if pins != "" {
		var err error
		if lock, err = openPins(pins); err != nil {
			return nil, fmt.Errorf("load the packet filter: %w", err)
		}
	}
	f := &Filter{
		cfg: cfg, pins: pins, lock: lock, maps: map[string]*ebpf.Map{},
		links: map[string]link.Link{}, how: map[string]How{}, allows: allows{},
		set: settings{
			modes: cfg.modes(), anySource: g.Loopback, bogons: cfg.Bogons,
			seed: rand.Uint64() | 1, buckets: [2]uint32{buckets(cfg.Entries4, 8), buckets(cfg.Entries6, 16)},
			rates: cfg, segment: g.segments(), scale: windowScale(), onlyHost: !forwards(),
		},
	}
	for _, p := range g.TCP {
		f.set.tcp.add(p)
	}
	for _, p := range g.UDP {
		f.set.udp.add(p)
	}
	f.vouch.CheckUntil = math.MaxUint64
	f.inherit()
	if err := f.load(f.set); err != nil {
		f.Close()
		return nil, err
	}
	if err := errors.Join(f.recall(), f.Renew(LeaseTime), f.listen()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// listen opens the ways by which the program speaks.
func (f *Filter) listen() (err error) {
	if f.alarms, err = ringbuf.NewReader(f.maps[mapAlarms]); err == nil {
		f.samples, err = ringbuf.NewReader(f.maps[mapSamples])
	}
	if err != nil {
		return fmt.Errorf("listen to the packet filter: %w", err)
	}
	return nil
}

// load puts a program with other constants in the place of the present one,
// over the same maps. It needs mu, or nobody else having f yet.
func (f *Filter) load(s settings) error {
	spec, err := s.spec()
	if err != nil {
		return err
	}
	c, err := f.collect(spec)
	if err != nil {
		var verifier *ebpf.VerifierError
		switch {
		case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EPERM):
			return fmt.Errorf("%w: it needs Linux 6.1 and the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN: %w", ErrUnsupported, err)
		case errors.As(err, &verifier):
			return fmt.Errorf("%w: this kernel's verifier refuses it: %w", ErrUnsupported, err)
		}
		return fmt.Errorf("load the packet filter: %w", err)
	}
	defer c.Close()
	program := c.DetachProgram(programName)
	for _, name := range mapNames() {
		if f.maps[name] == nil {
			f.maps[name] = c.DetachMap(name)
		}
	}
	var err4, err6 error
	if f.tables[0].memory == nil {
		f.tables[0], err4 = tableOf(f.maps[mapClients4], s.seed, 4, 8)
		f.tables[1], err6 = tableOf(f.maps[mapClients6], s.seed, 8, 16)
	}
	if err := errors.Join(err4, err6); err != nil {
		program.Close()
		return err
	}
	for name, l := range f.links {
		err := l.Update(program)
		if errors.Is(err, unix.ENOLINK) {
			f.letGo(name) // the interface is gone
			continue
		}
		if err != nil {
			program.Close()
			return fmt.Errorf("switch %s to the new packet filter: %w", name, err)
		}
	}
	if f.program != nil {
		f.program.Close()
	}
	f.program, f.set = program, s
	return nil
}

// collect loads the program and the maps that there are not yet. Pinned maps
// of another shape than those wanted belong to another version or
// configuration; they are left to the program that still uses them and replaced.
func (f *Filter) collect(spec *ebpf.CollectionSpec) (*ebpf.Collection, error) {
	o := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{}}
	for name, m := range f.maps {
		o.MapReplacements[name] = m
	}
	if f.pins == "" || len(f.maps) > 0 {
		return ebpf.NewCollectionWithOptions(spec, o)
	}
	for _, name := range mapNames() {
		spec.Maps[name].Pinning = ebpf.PinByName
	}
	o.Maps.PinPath = f.pins
	c, err := ebpf.NewCollectionWithOptions(spec, o)
	if !errors.Is(err, ebpf.ErrMapIncompatible) {
		return c, err
	}
	for _, name := range leaseLast() {
		if err := os.Remove(filepath.Join(f.pins, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return ebpf.NewCollectionWithOptions(spec, o)
}

// leaseLast are the maps in the order in which pins go: without the seed in the
// lease, the tables of clients are noise to whoever finds them after a crash.
func leaseLast() []string {
	names := slices.DeleteFunc(mapNames(), func(name string) bool { return name == mapLease })
	return append(names, mapLease)
}

// Close lets go of the program and the maps. What is attached stays so iff it is
// pinned; then the lease decides how long it acts.
func (f *Filter) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.links {
		l.Close()
	}
	if f.program != nil {
		f.program.Close()
	}
	if f.alarms != nil {
		f.alarms.Close()
	}
	if f.samples != nil {
		f.samples.Close()
	}
	for _, m := range f.maps {
		m.Close()
	}
	if f.lock != nil {
		f.lock.Close()
	}
}

// Monotonic is the reading of the clock that samples are stamped with.
func Monotonic() uint64 { return monotonic(time.Now()) }

// monotonic is the reading of the kernel's monotonic clock at t.
func monotonic(t time.Time) uint64 {
	var now unix.Timespec
	// It cannot fail: the clock exists on every Linux.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	ahead := int64(time.Until(t)) // which is 292 years at most
	return uint64(max(0, now.Nano()+min(ahead, math.MaxInt64-now.Nano())))
}
