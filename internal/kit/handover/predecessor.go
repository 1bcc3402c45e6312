package handover

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// first is the descriptor of the socket pair.
const first = 3

// Predecessor is the old process as the new one sees it.
type Predecessor struct {
	// Sockets are copies of its sockets, named as it named them.
	Sockets []*os.File

	talk net.Conn
	once sync.Once // one end of the conversation
}

// Inherit finds out whether this process was started to take over from another; nil
// where it was not. What it finds is taken out of the environment.
func Inherit() (*Predecessor, error) {
	list, ok := os.LookupEnv(Variable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(Variable); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	var names []string
	if err := json.Unmarshal([]byte(list), &names); err != nil {
		return nil, fmt.Errorf("take over: %s is set, and not by a process that hands over: %w", Variable, err)
	}
	// Before anything is made of the numbers: they may be somebody else's.
	for fd := first; fd <= first+len(names); fd++ {
		if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
			return nil, fmt.Errorf("take over: %s is set, and descriptor %d is no socket: %w", Variable, fd, err)
		}
	}
	p := &Predecessor{}
	for i, name := range names {
		syscall.CloseOnExec(first + 1 + i)
		p.Sockets = append(p.Sockets, os.NewFile(uintptr(first+1+i), name))
	}
	syscall.CloseOnExec(first)
	f := os.NewFile(first, "conversation")
	defer f.Close()
	var err error
	if p.talk, err = net.FileConn(f); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	return p, nil
}

// Refuse says why this process will not take over, and ends the conversation.
func (p *Predecessor) Refuse(why error) {
	p.end(wordNo + " " + cut(why.Error()))
}

// cut keeps a reason within a message.
func cut(text string) string {
	if most := longest - 16; len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// Await says that this process is ready, and returns when it is to take over: the
// old one says so, or is gone. It fails when ctx ends.
func (p *Predecessor) Await(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = p.talk.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	// Where the old one is gone, reading says so too.
	_, _ = p.talk.Write([]byte(wordReady))
	b := make([]byte, longest)
	for {
		n, err := p.talk.Read(b)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("wait for the old process: %w", ctx.Err())
		case err != nil: // it is gone: io.EOF or a reset
			return nil
		case string(b[:n]) == wordGo:
			return nil
		}
	}
}

// Serving says that this process serves, and ends the conversation.
func (p *Predecessor) Serving() { p.end(wordServing) }

func (p *Predecessor) end(message string) {
	p.once.Do(func() {
		_, _ = io.WriteString(p.talk, message) // nobody may be there any more
		_ = p.talk.Close()
	})
}
