package bench

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a program that this one started and will end.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

// launch starts cmd so that it ends at the latest with this program, and out of
// reach of the terminal's Ctrl-C, which this program handles.
func launch(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Pdeathsig follows the thread that started the process: keep it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// end asks the process to stop and makes it stop if it does not within a time.
func (p *process) end(within time.Duration) {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(within):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// play starts this program in a role, gives it its orders and returns what it
// printed. Should ctx end first, the role is told to end, which ends its own
// children.
func (b *bench) play(ctx context.Context, role string, orders []byte) ([]byte, error) {
	cmd := exec.Command(b.env.Executable, b.env.Role(role)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	// Its input stays open: the end of it would tell the role to end.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start role %s: %w", role, err)
	}
	p, err := launch(cmd)
	if err != nil {
		return nil, err
	}
	defer p.end(20 * time.Second)
	if _, err := stdin.Write(orders); err != nil {
		p.end(time.Second) // what it said, and how it ended, is complete only then
		if p.err != nil {
			err = p.err // it ended before it took its orders
		}
		return nil, fmt.Errorf("role %s: %w: %s", role, err, strings.TrimSpace(said.String()))
	}
	select {
	case <-ctx.Done():
		_ = stdin.Close()
		p.end(20 * time.Second)
		return nil, ctx.Err()
	case <-p.done:
	}
	if p.err != nil {
		return nil, fmt.Errorf("role %s: %w: %s", role, p.err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}
