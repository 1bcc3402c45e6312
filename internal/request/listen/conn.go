package listen

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"seawall/internal/kit/socket"
	"seawall/internal/request/listen/h3"
	"seawall/internal/traffic"
)

// smallBuffer holds nearly every head; larger ones borrow a larger buffer
// until they are over.
const smallBuffer = 2 << 10

// part is which part of the stream the next byte belongs to.
type part uint8

const (
	partHead part = iota // heads
	partBody             // the current request's body
	partHold             // the current request is complete: nothing until it is answered
	partRaw              // taken over: the bytes belong to somebody else's protocol
)

// conn is one connection. Its own goroutine reads heads and serves the requests, or
// that of a lot does in its place, which one hands to the other (take, bringBack); a room
// may read a body on another one, under the lock of the body, and ends that
// before it returns. So what only readers touch needs no lock.
type conn struct {
	s        *Server
	tcp      atomic.Pointer[socket.Conn] // nil in HTTP/3; closed while parked
	slot     int32
	peer     netip.Addr
	trusted  bool  // peer is a trusted proxy
	https    bool  // accepted where HTTPS is spoken
	accepted int64 // coarse milliseconds

	// What the sweeper looks at.
	watch    atomic.Uint64        // phase and its end, see sweep.go
	writing  atomic.Int64         // when the write that is under way is too slow, coarse ms; 0 none
	worth    atomic.Uint32        // 0 nothing shown, 1 let in, 2 known to us
	unwanted atomic.Bool          // a request was refused, once
	cleared  atomic.Bool          // the last visit met brought a clearance
	life     atomic.Pointer[life] // of the request being served; nil none
	own      life                 // of all requests that take the straight road
	since    atomic.Int64         // when its serving began, coarse ms
	evicted  atomic.Bool
	rude     atomic.Bool               // closed without a word
	h2       atomic.Pointer[http2conn] // nil: HTTP/1, or 3
	h3       *http3                    // of HTTP/3, which has no tcp; set before others see the conn
	tls      atomic.Pointer[tls.Conn]  // nil: clear text, or no handshake yet
	over     int64                     // the sweeper's own: since when it is ended and not gone, coarse ms; 0 it is not
	large    atomic.Bool               // holds a borrowed buffer
	lagged   bool                      // the sweeper's own: it was told that it keeps us waiting
	shakes   atomic.Bool               // its ClientHello was read
	spoke    atomic.Bool               // a head has begun, once
	strange  atomic.Bool               // it was closed for how it speaks, or did not get through its handshake
	sampled  int64                     // the sweeper's own: writing, when it last looked
	queued   int                       // the sweeper's own: bytes then in the kernel's send queue

	mu         sync.Mutex // guards the following
	ended      bool       // by the sweeper: deadlines are no longer anybody else's
	closed     bool
	held       places
	readUntil  bool // a read deadline is set at the socket
	writeUntil bool
	parked     bool // a lot has it, as loose
	loose      socket.Loose
	key        int // in its lot

	wmu         sync.Mutex // one write at a time
	writeBudget time.Duration
	writeFailed atomic.Bool

	// Touched by the reader only.
	from       netip.Addr // who the client is: peer, or what the PROXY header says
	greeted    bool       // the PROXY header, if any, was read
	wire       *wire      // under TLS
	ja4        string     // of the ClientHello
	place      place      // of from
	served     bool       // a request was read before
	part       part
	mark       uint64 // what the reader last stored in watch
	headUntil  int64  // coarse ms; 0 the head has not begun
	readBudget time.Duration
	buf        []byte // buf[r:w] was read and not handed on
	r, w       int
	left       int64 // bytes of a fixed body still to come; -1 chunked
	chunks     chunks
	trailer    []byte    // the bytes of a chunked body's trailers
	x          *exchange // the head being read, or the current request
	last       *exchange // the one before, which was refused; nil: nothing is kept of it
	refused    bool      // the last request was
	refusals   int       // in a row
	parkAfter  int       // so many of them
	inLot      bool      // nothing may wait now, see lot.go; then the following is left to be done
	rest       []byte    // of an answer, to be sent
	later      fault     // to be told
	lingers    bool
	port       uint16               // of peer
	addr       string               // the other end, as text; "" not asked for yet
	state      *tls.ConnectionState // nil: not asked for yet
	broken     atomic.Uint32
	small      [smallBuffer]byte
}

// place is what is known of where an address is.
type place struct {
	network uint32
	country traffic.Country
	known   bool
}

func (c *conn) fault() fault { return fault(c.broken.Load()) }

// Read reads what the client sends after the connection was taken over.
func (c *conn) Read(p []byte) (int, error) {
	if c.part != partRaw {
		return 0, io.EOF
	}
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		return n, nil
	}
	return c.read(p)
}

// takeOver makes the connection transparent. The reader has been stopped.
func (c *conn) takeOver() {
	c.part = partRaw
	if len(c.buf) > smallBuffer {
		rest := append([]byte(nil), c.buf[c.r:c.w]...)
		c.s.giveBack(c.buf)
		c.buf, c.r, c.w = rest, 0, len(rest)
		c.large.Store(false)
	}
}

// room makes room in buf for more of the head.
func (c *conn) room() {
	if c.r == c.w {
		c.r, c.w = 0, 0
		c.shrink()
		return
	}
	if c.w < len(c.buf) {
		return
	}
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
		return
	}
	c.large.Store(true)
	big := c.s.borrow()
	c.w = copy(big, c.buf[:c.w])
	c.buf = big
}

// shrink gives a borrowed buffer back; buf must be empty.
func (c *conn) shrink() {
	if len(c.buf) > smallBuffer {
		c.s.giveBack(c.buf)
		c.buf = c.small[:]
		c.large.Store(false)
	}
}

// fill reads more of the head, within the time that a head may take.
func (c *conn) fill() error {
	c.room()
	now := c.s.coarse()
	phase, until := phaseIdle, now+ms(c.s.cfg.IdleTimeout)
	switch {
	case c.r < c.w:
		if c.headUntil == 0 {
			c.headUntil = now + ms(c.s.cfg.HeadTimeout)
		}
		phase, until = phaseHead, c.headUntil
	case !c.served:
		phase, until = phaseNew, c.accepted+ms(c.s.cfg.HeadTimeout)
	}
	if !c.enter(phase, until) || phase != phaseHead && c.s.draining.Load() {
		return io.EOF
	}
	if phase == phaseIdle {
		// An answer has just gone out. Where others have work to do, they do it now,
		// and the next request may be there without our waiting for it.
		runtime.Gosched()
	}
	n, err := c.read(c.buf[c.w:])
	c.w += n
	if !c.enter(phaseBusy, 0) {
		if phase == phaseHead {
			return faultSlowHead
		}
		return io.EOF
	}
	if n > 0 {
		if phase == phaseNew {
			c.spoke.Store(true)
		}
		return nil
	}
	return err
}

// Write writes an answer, enciphered where that is asked for.
func (c *conn) Write(p []byte) (int, error) {
	if c.inLot {
		return c.sendNow(p)
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.put(p)
}

// put is Write for who holds wmu.
func (c *conn) put(p []byte) (int, error) {
	if t := c.tls.Load(); t != nil {
		return t.Write(p)
	}
	return c.send(p)
}

// writeBoth writes pieces, in one system call where nothing is enciphered.
func (c *conn) writeBoth(pieces *net.Buffers) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if t := c.tls.Load(); t != nil {
		for _, p := range *pieces {
			if _, err := t.Write(p); err != nil {
				return err
			}
		}
		return nil
	}
	begun := c.beginSend()
	n, err := pieces.WriteTo(c.tcp.Load().TCPConn)
	c.endSend(begun, int(n), err)
	return err
}

// send sends bytes, and leaves word of how long that may take. The sweeper
// prolongs it by what the client takes meanwhile. Only one sends at a time: who
// holds wmu or, of TLS, its lock for what goes out.
func (c *conn) send(p []byte) (int, error) {
	begun := c.beginSend()
	n, err := c.tcp.Load().Write(p)
	c.endSend(begun, n, err)
	return n, err
}

// pour sends what a pipe holds. Nothing is enciphered.
func (c *conn) pour(p *socket.Pipe) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	begun := c.beginSend()
	n, err := p.Empty(c.tcp.Load())
	c.endSend(begun, n, err)
	return err
}

func (c *conn) beginSend() int64 {
	begun := c.s.coarse()
	c.writing.Store(begun + ms(max(c.writeBudget, 0)))
	return begun
}

func (c *conn) endSend(begun int64, n int, err error) {
	until := c.writing.Swap(0)
	if now := c.s.coarse(); now != begun {
		c.writeBudget = time.Duration(until-now) * time.Millisecond
	}
	c.earn(n)
	if err != nil {
		c.writeFailed.Store(true)
		if l := c.life.Load(); l != nil {
			l.end()
		}
	}
}

// earn gives time to take what follows for n bytes that were taken.
func (c *conn) earn(n int) {
	c.writeBudget = min(c.s.cfg.Grace,
		c.writeBudget+time.Duration(n)*time.Second/time.Duration(c.s.cfg.MinRate))
}

// linger ends the sending side and reads on for a moment, so that the client
// can read the answer before the kernel resets the connection over what it
// sent and nobody read (RFC 9112, section 9.6).
func (c *conn) linger() {
	const atMost = 64 << 10
	if c.inLot {
		c.lingers = true
		return
	}
	_ = c.CloseWrite()
	if !c.enter(phaseLinger, c.s.coarse()+500) {
		return
	}
	c.r, c.w = 0, 0
	for total := 0; total < atMost; {
		n, err := c.read(c.buf)
		if err != nil {
			return
		}
		total += n
	}
}

// abort closes at once and forgets what was not yet sent, which the kernel
// would otherwise keep for minutes when the client does not take it.
// It fails where the connection was closed already.
func (c *conn) abort() error {
	c.cut()
	return c.Close()
}

// cut has the connection end in a way that the client takes for no proper end.
func (c *conn) cut() {
	if c.h3 != nil {
		return
	}
	c.rude.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parked {
		_ = c.loose.Forget()
		return
	}
	_ = c.tcp.Load().SetLinger(0)
}

// Close closes the connection and gives its places back.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	c.ending()
	parked := c.parked
	if parked { // its lot sees that, and closes it
		c.watch.Store(phaseEnded)
		_ = c.loose.Interrupt()
	}
	c.mu.Unlock()
	if l := c.life.Load(); l != nil {
		l.end()
	}
	var err error
	if !parked {
		err = c.shut()
	}
	c.s.forget(c)
	return err
}

// shut closes the socket, and under TLS says first that nothing is missing, unless
// the client takes nothing any more: that would take TLS five seconds.
func (c *conn) shut() error {
	if c.h3 != nil {
		c.h3.quit(h3.NoError)
		return nil
	}
	if t := c.tls.Load(); t != nil && !c.rude.Load() && sendQueue(c.tcp.Load().TCPConn) == 0 {
		return t.Close()
	}
	return c.tcp.Load().Close()
}

// CloseWrite ends the sending side.
func (c *conn) CloseWrite() error {
	if t := c.tls.Load(); t != nil {
		if err := t.CloseWrite(); err != nil {
			return err
		}
	}
	return c.tcp.Load().CloseWrite()
}

// interrupt stops a read that is under way, and all later ones.
func (c *conn) interrupt() {
	if c.h3 != nil {
		c.h3.quit(h3.NoError)
		return
	}
	c.mu.Lock()
	c.ended = true
	if c.parked {
		_ = c.loose.Interrupt()
	} else {
		_ = c.tcp.Load().SetReadDeadline(time.Unix(1, 0))
	}
	c.mu.Unlock()
}

// SetReadDeadline is how rooms bound, or stop, the reading of a body.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || t.IsZero() && !c.readUntil {
		return nil
	}
	c.readUntil = !t.IsZero()
	return c.tcp.Load().SetReadDeadline(t)
}

// SetWriteDeadline is for rooms that want one; there is none otherwise.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.IsZero() && !c.writeUntil {
		return nil
	}
	c.writeUntil = !t.IsZero()
	return c.tcp.Load().SetWriteDeadline(t)
}

// SetDeadline sets both.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// LocalAddr returns our end of the TCP connection.
func (c *conn) LocalAddr() net.Addr { return c.tcp.Load().LocalAddr() }

// RemoteAddr returns the other end of the TCP connection, whatever a PROXY
// header says.
func (c *conn) RemoteAddr() net.Addr { return c.tcp.Load().RemoteAddr() }

// remote returns the other end as text.
func (c *conn) remote() string {
	if c.addr == "" {
		c.addr = netip.AddrPortFrom(c.peer, c.port).String()
	}
	return c.addr
}

// tlsState returns what the handshake agreed on; nil for clear text.
func (c *conn) tlsState() *tls.ConnectionState {
	if t := c.tls.Load(); t != nil && c.state == nil {
		state := t.ConnectionState()
		c.state = &state
	}
	return c.state
}
