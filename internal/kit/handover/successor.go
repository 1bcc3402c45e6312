package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Variable is the environment variable by which a process learns that it is to take
// over.
const Variable = "SEAWALL_HANDOVER"

// The messages.
const (
	wordReady   = "ready"
	wordNo      = "no"
	wordGo      = "go"
	wordServing = "serving"
)

const longest = 16 << 10 // bytes of a message

// ErrRefused says that the new process has found a reason not to take over.
var ErrRefused = errors.New("it gives up")

// Program is what to start. Standard input, output and error are this process's.
type Program struct {
	Path string
	Args []string // without the program's name
	// Without names variables that the new process does not get: those that are
	// about this process.
	Without []string
	Sockets []*os.File // named by their Name; they stay the caller's
}

// Successor is the new process as the old one sees it. Its methods are for one
// goroutine, but for Gone.
type Successor struct {
	cmd  *exec.Cmd
	talk net.Conn
	gone chan struct{}
	how  error // valid once gone is closed
}

// Start starts the program; ErrRefused does not come from here.
func Start(p Program) (*Successor, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start the new process: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "conversation"), os.NewFile(uintptr(pair[1]), "conversation")
	defer theirs.Close()
	talk, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, fmt.Errorf("start the new process: %w", err)
	}
	names := []string{}
	for _, f := range p.Sockets {
		names = append(names, f.Name())
	}
	list, err := json.Marshal(names)
	if err != nil {
		talk.Close()
		return nil, fmt.Errorf("start the new process: %w", err)
	}
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = append([]*os.File{theirs}, p.Sockets...)
	cmd.Env = append(environment(append(p.Without, Variable)), Variable+"="+string(list))
	if err := cmd.Start(); err != nil {
		talk.Close()
		return nil, fmt.Errorf("start the new process: %w", err)
	}
	s := &Successor{cmd: cmd, talk: talk, gone: make(chan struct{})}
	go func() { // ends with the process
		s.how = cmd.Wait()
		close(s.gone)
	}()
	return s, nil
}

// environment is this process's, without some variables.
func environment(without []string) []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains(without, name)
	})
}

// PID is the process's number.
func (s *Successor) PID() int { return s.cmd.Process.Pid }

// Gone is closed when the process has ended; Ended then says how.
func (s *Successor) Gone() <-chan struct{} { return s.gone }

// Ended is nil where the process ended by itself and was content. It is valid once
// Gone is closed.
func (s *Successor) Ended() error { return s.how }

// Ready waits until the process has checked all that it can. An error says that it
// never will be: it gave up with a reason (ErrRefused), ended, or took too long.
func (s *Successor) Ready(ctx context.Context) error { return s.expect(ctx, wordReady) }

// Go tells the process to take over.
func (s *Successor) Go() error {
	if _, err := s.talk.Write([]byte(wordGo)); err != nil {
		return fmt.Errorf("tell the new process to take over: %w", err)
	}
	return nil
}

// Serving waits until the process serves; errors are those of Ready.
func (s *Successor) Serving(ctx context.Context) error { return s.expect(ctx, wordServing) }

// expect waits for a message.
func (s *Successor) expect(ctx context.Context, want string) error {
	stop := context.AfterFunc(ctx, func() { _ = s.talk.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	b := make([]byte, longest)
	for {
		n, err := s.talk.Read(b)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("wait until the new process is %s: %w", want, ctx.Err())
		case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET):
			return s.left(want)
		case err != nil:
			return fmt.Errorf("wait until the new process is %s: %w", want, err)
		}
		switch word, rest, _ := strings.Cut(string(b[:n]), " "); word {
		case want:
			return nil
		case wordNo:
			return fmt.Errorf("%w: %s", ErrRefused, rest)
		}
	}
}

// left says how a process that speaks no more has ended.
func (s *Successor) left(want string) error {
	select {
	case <-s.gone:
	case <-time.After(time.Second): // it has closed the socket and lives on
	}
	how := "it speaks no more"
	select {
	case <-s.gone:
		if how = "it ended"; s.how != nil {
			how += " (" + s.how.Error() + ")"
		}
	default:
	}
	return fmt.Errorf("%s before it was %s", how, want)
}

// Kill ends the process, whatever it does, and returns when it has ended: what it
// had locked is free then.
func (s *Successor) Kill() {
	_ = s.cmd.Process.Kill() // an error says that it has ended
	<-s.gone
	_ = s.talk.Close()
}

// Release lets the process go on by itself; only Gone and Ended may be used then.
func (s *Successor) Release() { _ = s.talk.Close() }
