package packets

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
)

// lookout sees on the attacked host what of a replayed capture gets past the
// packet filter, and when Seawall says that it is attacked. It is a process of
// its own beside the host's, which is busy.
type lookout struct{ fd int }

// looked is what it saw. Past counts packets that the kernel got.
type looked struct {
	Past marks       `json:"past"`
	Said []announced `json:"said"`
	// Orders are what the machine ordered about packets, with why.
	Orders map[string]string `json:"orders"`
}

// announced is a flood as GET /api/v1/status shows it, and when it was there
// first.
type announced struct {
	First   time.Time `json:"first"` // asked for before that
	Vector  string    `json:"vector"`
	What    string    `json:"what"`
	Doing   string    `json:"doing"` // as of the last answer
	Noticed time.Time `json:"noticed"`
}

// newLookout opens a socket that is handed each IPv4 packet which the filter has
// let through, but those of visitors and servers: those of known in
// wires_test.go. It is never read: the kernel counts.
func newLookout() (*lookout, error) {
	end, err := net.InterfaceByName(hostLink)
	if err != nil {
		return nil, err
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 12}, // the source
		{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 15},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: (198<<24 | 18<<16) >> 15, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	l := &lookout{fd}
	prog := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog); err != nil {
		l.close()
		return nil, err
	}
	const ipv4 = unix.ETH_P_IP<<8&0xff00 | unix.ETH_P_IP>>8 // in the network's order
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ipv4, Ifindex: end.Index}); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lookout) close() { unix.Close(l.fd) }

func (l *lookout) do(o order) (any, error) {
	if _, err := l.past(); err != nil { // which begins anew with that
		return nil, err
	}
	var seen looked
	over, asked := make(chan bool), make(chan bool)
	go func() {
		defer close(asked)
		seen.ask(over)
	}()
	end := time.Now().Add(o.Lasts)
	var n uint64
	for time.Now().Before(end) {
		more, err := l.past()
		if err != nil {
			return nil, err
		}
		n += more
		seen.Past = seen.Past.add(time.Now(), n)
		time.Sleep(5 * time.Millisecond)
	}
	close(over)
	<-asked
	return seen, nil
}

// past is how many came since it was asked last, those among them for which the
// socket had no room.
func (l *lookout) past() (uint64, error) {
	s, err := unix.GetsockoptTpacketStats(l.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, fmt.Errorf("count packets: %w", err)
	}
	return uint64(s.Packets), nil
}

// ask asks Seawall 20 times a second what attacks it and what it does about that,
// until it is over.
func (l *looked) ask(over <-chan bool) {
	client := http.Client{Timeout: 5 * time.Second}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-over:
			return
		case <-again.C:
		}
		var status struct {
			Floods []announced `json:"packet_attacks"`
			Orders []struct {
				Match string `json:"match"`
				Note  string `json:"note"`
			} `json:"mitigations"`
		}
		resp, err := client.Get("http://" + adminAddr + "/api/v1/status")
		if err != nil {
			continue
		}
		err = json.NewDecoder(resp.Body).Decode(&status)
		resp.Body.Close()
		if err != nil {
			continue
		}
		for _, f := range status.Floods {
			l.note(f, time.Now())
		}
		l.Orders = map[string]string{}
		for _, o := range status.Orders {
			l.Orders[o.Match] = o.Note
		}
	}
}

// note keeps a flood, as it is said to be first.
func (l *looked) note(f announced, at time.Time) {
	for i := range l.Said {
		if l.Said[i].Vector == f.Vector {
			l.Said[i].Doing = f.Doing
			return
		}
	}
	f.First = at
	l.Said = append(l.Said, f)
}
