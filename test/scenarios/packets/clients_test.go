package packets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// visits is what honest clients met.
type visits struct {
	All, Served, Repeated int
	First                 string          // error
	Connect               []time.Duration // of those that connected, sorted
	RepeatedAt            []time.Duration // when those began that repeated their SYN, from the start
	Answer                []time.Duration // from the first packet to the whole answer, of those served, sorted
}

// patience is how long a client tries.
const patience = 5 * time.Second

// late is how long a connection takes whose first packet was repeated: the
// first repetition is after a second.
const late = 900 * time.Millisecond

// visit makes connections at a rate a second, each from an address of its own,
// and asks for a page. It returns when the last has its answer or no patience.
func visit(lasts time.Duration, rate int) (n visits) {
	var mu sync.Mutex
	var under sync.WaitGroup
	begin := time.Now()
	for i := 0; ; i++ {
		next := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if next.Sub(begin) >= lasts {
			break
		}
		time.Sleep(time.Until(next))
		under.Go(func() {
			v, err := visitOnce(i%4 == 3)
			mu.Lock()
			defer mu.Unlock()
			n.All++
			if v.repeated {
				n.Repeated++
				n.RepeatedAt = append(n.RepeatedAt, next.Sub(begin))
			}
			if v.connect > 0 {
				n.Connect = append(n.Connect, v.connect)
			}
			if err != nil {
				if n.First == "" {
					n.First = err.Error()
				}
				return
			}
			n.Served++
			n.Answer = append(n.Answer, v.answer)
		})
	}
	under.Wait()
	slices.Sort(n.RepeatedAt)
	slices.Sort(n.Connect)
	slices.Sort(n.Answer)
	return n
}

type oneVisit struct {
	connect, answer time.Duration // 0: did not come to that
	repeated        bool          // the SYN was, or nothing ever came back
}

func visitOnce(six bool) (v oneVisit, err error) {
	to := net.JoinHostPort(hostAddr, fmt.Sprint(web))
	if six {
		to = net.JoinHostPort(hostAddr6, fmt.Sprint(web))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(visitor(six), 0))}
	begin := time.Now()
	c, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		v.repeated = time.Since(begin) > late
		return v, err
	}
	defer c.Close()
	v.connect = time.Since(begin)
	again, err := retransmitted(c.(*net.TCPConn))
	if err != nil {
		return v, err
	}
	v.repeated = again || v.connect > late
	_ = c.SetDeadline(begin.Add(patience))
	answer, err := askFor(c, "")
	if err == nil && answer.StatusCode == http.StatusTemporaryRedirect && answer.Header.Get("Location") == "/" {
		// It is challenged, and does what a browser does.
		var again net.Conn
		if again, err = d.DialContext(ctx, "tcp", to); err != nil {
			return v, err
		}
		defer again.Close()
		_ = again.SetDeadline(begin.Add(patience))
		cookie, _, _ := strings.Cut(answer.Header.Get("Set-Cookie"), ";")
		answer, err = askFor(again, cookie)
	}
	if err != nil {
		return v, err
	}
	if answer.StatusCode != http.StatusOK {
		return v, errors.New("answered " + answer.Status)
	}
	v.answer = time.Since(begin)
	return v, nil
}

// askFor asks for the page, and reads all of the answer.
func askFor(c net.Conn, cookie string) (*http.Response, error) {
	if cookie != "" {
		cookie = "Cookie: " + cookie + "\r\n"
	}
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: site.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n%sConnection: close\r\n\r\n", cookie); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer, err
}

// visitor is an address that a client may have.
func visitor(six bool) netip.Addr {
	n := rand.Uint32()
	if six {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0x40 | byte(n)&0x3f, byte(n >> 8), 15: 1 | byte(n>>16)})
	}
	return netip.AddrFrom4([4]byte{198, 18, 64 | byte(n)&63, byte(n >> 8)})
}

// retransmitted asks the kernel whether it has sent anything twice; on a
// connection that has just been made that is the SYN.
func retransmitted(c *net.TCPConn) (again bool, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	var info *unix.TCPInfo
	if e := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); e != nil {
		return false, e
	}
	if err != nil {
		return false, err
	}
	return info.Total_retrans > 0, nil
}
