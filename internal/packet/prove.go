package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

// ErrFirewall says that connections made by cookies do not get through.
var ErrFirewall = errors.New("a connection made by a SYN cookie does not get through this machine's firewall: rules that want to see every SYN (nf_conntrack_tcp_loose=0, or dropping what is NEW and no SYN) do that, and `seawall doctor` names them")

// proveTime is how long a connection may take to arrive.
const proveTime = 500 * time.Millisecond

// prover makes a connection by a cookie, at an interface, with data, through the
// machine's firewall, in the name of an address that nobody has: where cookies do
// not work, visitors would believe that they are connected, and nothing would
// come of it. The cookies must be armed.
type prover struct {
	filter *filter.Filter
	at     *net.Interface
	how    filter.How
	port   uint16
}

func (p *prover) prove() error {
	pairs, err := strangers(p.at)
	if err != nil {
		return err
	}
	for _, pair := range pairs {
		f := craft.Frame{
			To: p.at.HardwareAddr, Source: pair.stranger, Dest: pair.own, SPort: uint16(20000 + rand.IntN(10000)), DPort: p.port,
			Sequence: rand.Uint32() | 1, Flags: craft.SYN, TCPOptions: []byte{2, 4, 5, 180},
		}
		if p.at.Flags&net.FlagLoopback != 0 {
			f.To = make([]byte, 6)
		}
		reply, err := p.filter.Answer(p.at, f.Bytes())
		if err != nil {
			return err
		}
		head := craft.EthernetLen + 20
		if pair.own.Is6() {
			head = craft.EthernetLen + 40
		}
		if len(reply) < head+20 {
			continue // Seawall may listen at another address
		}
		if err := p.sends(f.Bytes()); err != nil {
			return err
		}
		return p.arrives(f, binary.BigEndian.Uint32(reply[head+4:]))
	}
	return fmt.Errorf("the kernel makes no SYN cookie for port %d at any address of %s", p.port, p.at.Name)
}

// arrives brings a cookie back, with data behind it.
func (p *prover) arrives(f craft.Frame, cookie uint32) error {
	before, err := cookiesTaken()
	if err != nil {
		return err
	}
	f.Flags, f.Sequence, f.TCPOptions = craft.ACK|craft.PSH, f.Sequence+1, nil
	f.Acknowledged = cookie + 1
	f.Payload = []byte("\r\n") // an empty line before a request says nothing
	if err := p.filter.Inject(p.at, f.Bytes(), 1); err != nil {
		return err
	}
	defer func() { // nobody will go on with it
		f.Flags, f.Sequence, f.Payload = craft.RST|craft.ACK, f.Sequence+2, nil
		_ = p.filter.Inject(p.at, f.Bytes(), 1)
	}()
	for end := time.Now().Add(proveTime); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if now, err := cookiesTaken(); err == nil && now > before {
			return nil
		}
	}
	return ErrFirewall
}

// sends says whether what the program sends back leaves. A pair of virtual
// interfaces loses it unless a program, or GRO, is at the other end, and counts
// only what it does not lose.
func (p *prover) sends(syn []byte) error {
	const times = 64
	if p.how != filter.Native || driver(p.at.Name) != "veth" {
		return nil
	}
	before := sent(p.at.Name)
	if err := p.filter.Inject(p.at, syn, times); err != nil {
		return err
	}
	for end := time.Now().Add(proveTime); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if sent(p.at.Name)-before >= times {
			return nil
		}
	}
	return fmt.Errorf("what the filter sends back at %s is lost: the other end of this pair of virtual interfaces needs an XDP program, or GRO (`ethtool -K NAME gro on` there)", p.at.Name)
}

func sent(name string) uint64 {
	text, err := os.ReadFile(filepath.Join("/sys/class/net", name, "statistics/tx_packets"))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// pair is an address of this machine, and one that nobody has.
type pair struct{ own, stranger netip.Addr }

// strangers finds pairs for each address of an interface: with neighbours, from
// whom every machine takes packets, and behind these with strangers from afar,
// for where neighbours are on the allow list or, with private addresses, stopped.
func strangers(at *net.Interface) ([]pair, error) {
	addrs, err := at.Addrs()
	if err != nil {
		return nil, err
	}
	mine := map[netip.Addr]bool{}
	var nets []netip.Prefix
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		mine[p.Addr()] = true
		nets = append(nets, p)
	}
	if len(nets) == 0 {
		return nil, fmt.Errorf("%s has no address", at.Name)
	}
	var near, far []pair
	for _, p := range nets {
		if p.Bits() <= p.Addr().BitLen()-2 {
			near = append(near, pair{p.Addr(), neighbour(p, mine)})
		}
		far = append(far, pair{p.Addr(), fromAfar(p.Addr())})
	}
	return append(near, far...), nil
}

// fromAfar is an address of a network that was given back and that nobody has
// any more: for relays of 6to4 (RFC 7526) and for ORCHIDs (RFC 4843, 7343).
func fromAfar(to netip.Addr) netip.Addr {
	if to.Is4() {
		return netip.AddrFrom4([4]byte{192, 88, 99, 1})
	}
	return netip.MustParseAddr("2001:10::1")
}

// neighbour is the last address of a network but one (the last may be everybody),
// or one before it that is not ours.
func neighbour(p netip.Prefix, mine map[netip.Addr]bool) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := 1; i < p.Addr().BitLen()-p.Bits(); i++ {
		b[len(b)-1-i/8] |= 1 << (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	for mine[a] {
		a = a.Prev()
	}
	return a
}

// driver is the name of an interface's driver; "" where it has none that is
// told.
func driver(name string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Driver[:])
}

// cookiesTaken is how many cookies came back to this machine and were good.
func cookiesTaken() (uint64, error) {
	text, err := os.ReadFile("/proc/thread-self/net/netstat")
	if err != nil {
		return 0, err
	}
	return netstat(string(text), "TcpExt", "SyncookiesRecv")
}

// netstat reads a number of /proc/net/netstat: each group has a line of names
// and a line of numbers.
func netstat(text, group, name string) (uint64, error) {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != group+":" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, n := range names {
			if n == name && i < len(fields) {
				return strconv.ParseUint(fields[i], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("the kernel does not tell %s", name)
}
