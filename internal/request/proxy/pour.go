package proxy

import (
	"io"

	"seawall/internal/kit/socket"
)

const (
	// pourLeast is how much must be to come of an answer for a pipe to be worth it.
	pourLeast = 128 << 10
	// pourAtOnce is the most that is taken into a pipe at a time.
	pourAtOnce = 256 << 10
	// mostPipes bounds the descriptors and the kernel's memory that pipes take. Whoever
	// finds none free has its answer copied.
	mostPipes = 32
)

// Pourer is a client's side that takes bytes from the kernel, if Pours says so when the
// answer has begun.
type Pourer interface {
	Pours() bool
	Pour(p *socket.Pipe) error
}

// pipes are those in use and those left over by others.
type pipes struct {
	used chan struct{}     // a place for each in use
	free chan *socket.Pipe // empty
}

func newPipes() pipes {
	return pipes{make(chan struct{}, mostPipes), make(chan *socket.Pipe, mostPipes)}
}

// get returns a pipe, or nil where there is none.
func (p *pipes) get() *socket.Pipe {
	select {
	case p.used <- struct{}{}:
	default:
		return nil
	}
	select {
	case pipe := <-p.free:
		return pipe
	default:
	}
	pipe, err := socket.NewPipe()
	if err != nil {
		<-p.used
		return nil
	}
	return pipe
}

// put takes a pipe back. over says, asked after that, that nobody asks for one any more.
func (p *pipes) put(pipe *socket.Pipe, over func() error) {
	if pipe.Held() > 0 {
		pipe.Close() // what was left in it is of nobody's use
	} else {
		p.free <- pipe // as many places as can be in use
	}
	<-p.used
	if over() != nil {
		p.close()
	}
}

// close ends those that are not in use.
func (p *pipes) close() {
	for {
		select {
		case pipe := <-p.free:
			pipe.Close()
		default:
			return
		}
	}
}

// pour has the kernel move what is left of an answer's body from the origin to the
// client, where it is much and neither side is enciphered. It says whether it did.
func (x *exchange) pour(c *conn, b *answerBody) (bool, error) {
	if b.framing != framedLength || b.left < pourLeast || b.br.Buffered() > 0 {
		return false, nil
	}
	from, ok := c.Conn.(*socket.Conn)
	if !ok {
		return false, nil
	}
	to, ok := x.w.(Pourer)
	if !ok || !to.Pours() {
		return false, nil
	}
	pipe := x.p.pipes.get()
	if pipe == nil {
		return false, nil
	}
	defer x.p.pipes.put(pipe, x.p.ctx.Err)
	for b.left > 0 {
		x.beforeRead(c)
		n, err := pipe.Fill(from, int(min(b.left, pourAtOnce)))
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return true, err
		}
		b.left -= int64(n)
		last := b.left == 0 && x.body.ended()
		if last {
			x.slot.Release()
		} else {
			x.reader.begin(x)
		}
		err = to.Pour(pipe)
		if !last {
			x.reader.end(x)
		}
		if err != nil {
			return true, errClientGone
		}
	}
	return true, nil
}
