package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is a process that this one started and will end.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan []byte // its standard output; closed at its end
	said  *tail       // the last of its standard error
	done  chan struct{}
	err   error // how it ended; valid once done is closed
}

// start starts a process in a process group of its own, so that Ctrl-C reaches
// this process only, which then ends its children in order. spec, unless nil,
// is written to its standard input as a line of JSON.
func start(name, executable string, args []string, spec any) (*child, error) {
	c := &child{
		name: name, cmd: exec.Command(executable, args...),
		lines: make(chan []byte, 256), said: &tail{}, done: make(chan struct{}),
	}
	c.cmd.Stderr = c.said
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	started := make(chan error)
	go func() {
		// Pdeathsig is sent when the *thread* that started the process ends, so
		// this goroutine keeps its thread for as long as the process lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.scan(out)
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if spec != nil {
		if err := c.tell(spec); err != nil {
			c.stop()
			return nil, err
		}
	}
	return c, nil
}

// scan passes on the lines of the child's output. Lines that nobody takes in
// time are lost, so that a child never waits for us.
func (c *child) scan(out io.Reader) {
	defer close(c.lines)
	s := bufio.NewScanner(out)
	s.Buffer(nil, 4<<20)
	for s.Scan() {
		select {
		case c.lines <- append([]byte(nil), s.Bytes()...):
		default:
		}
	}
	// The rest of an endless line is read so that the child does not block.
	_, _ = io.Copy(io.Discard, out)
}

// tell writes one line of JSON to the child.
func (c *child) tell(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("tell %s: %w", c.name, err)
	}
	if _, err := c.stdin.Write(append(b, '\n')); err != nil {
		return c.failed(err)
	}
	return nil
}

// hear waits for the next line and reads it as JSON.
func (c *child) hear(v any, within time.Duration) error {
	select {
	case line, ok := <-c.lines:
		if !ok {
			<-c.done
			return c.failed(errors.New("it ended"))
		}
		if err := json.Unmarshal(line, v); err != nil {
			return fmt.Errorf("%s said %.100q: %w", c.name, line, err)
		}
		return nil
	case <-time.After(within):
		return c.failed(errors.New("it said nothing"))
	}
}

// failed is an error about the child with what it said last.
func (c *child) failed(err error) error {
	if said := c.said.String(); said != "" {
		return fmt.Errorf("%s: %w; its last words:\n%s", c.name, err, said)
	}
	return fmt.Errorf("%s: %w", c.name, err)
}

// alive says whether the process still runs.
func (c *child) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// stop asks the process to end, and makes it end if it has not after a while.
func (c *child) stop() {
	_ = c.stdin.Close()
	if c.alive() {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-c.done:
	case <-time.After(5 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// tail keeps the last few kilobytes written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}

// usage is what a process takes of the machine.
type usage struct {
	RSS int64         `json:"rss"` // resident bytes
	CPU time.Duration `json:"cpu"` // used since its start
}

// use reads /proc; zero where that fails, as after the process's end.
func (c *child) use() usage {
	var u usage
	dir := fmt.Sprintf("/proc/%d/", c.cmd.Process.Pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return u
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			// Not a number only if the kernel changed its format: then it stays 0.
			_, _ = fmt.Sscan(rest, &u.RSS)
			u.RSS <<= 10
		}
	}
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u
	}
	// After the name in brackets, user and system time are fields 12 and 13, in
	// hundredths of a second (proc(5)).
	if i := strings.LastIndexByte(string(stat), ')'); i >= 0 {
		if f := strings.Fields(string(stat[i+1:])); len(f) > 12 {
			var user, system int64
			_, _ = fmt.Sscan(f[11], &user)
			_, _ = fmt.Sscan(f[12], &system)
			u.CPU = time.Duration(user+system) * 10 * time.Millisecond
		}
	}
	return u
}
