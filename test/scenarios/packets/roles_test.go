package packets

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// envRole says which part a process plays in its namespace. The parts are this
// program again: a process is wholly in one namespace, a Go thread is not.
const envRole = "SEAWALL_TEST_ROLE"

func TestMain(m *testing.M) {
	role, err := roleNamed(os.Getenv(envRole))
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case role != nil:
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

// role does what it is told.
type role interface {
	do(order) (any, error)
	close()
}

func roleNamed(name string) (role, error) {
	switch name {
	case "":
		return nil, nil
	case "host":
		return newHost()
	case "world":
		return newWorld()
	case "gunner":
		return newGunner()
	case "lookout":
		return newLookout()
	}
	return nil, fmt.Errorf("no role %q", name)
}

// order is a line that a role reads; it answers each with a line.
type order struct {
	Do    string        `json:"do"`
	Lasts time.Duration `json:"lasts"`
	Name  string        `json:"name"`
	Rate  int           `json:"rate"` // a second
}

type answer struct {
	Error string          `json:"error,omitempty"`
	Of    json.RawMessage `json:"of,omitempty"`
}

// play answers orders until there are no more.
func play(r role) int {
	defer r.close()
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	_ = out.Encode(answer{}) // ready
	for in.Scan() {
		var o order
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		var a answer
		of, err := r.do(o)
		if err != nil {
			a.Error = err.Error()
		} else if a.Of, err = json.Marshal(of); err != nil {
			a.Error = err.Error()
		}
		_ = out.Encode(a)
	}
	return 0
}

// child is a process that plays a role. One order at a time.
type child struct {
	role string
	in   io.WriteCloser
	out  *bufio.Reader
}

// start runs a role in a namespace, until the test's end.
func start(t testing.TB, space, role string, env ...string) *child {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", space, os.Args[0])
	cmd.Env = append(append(os.Environ(), envRole+"="+role), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // no more orders: it ends
		_ = in.Close()
		late := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the %s: %v", role, err)
		}
	})
	c := &child{role, in, bufio.NewReader(out)}
	if err := c.read(nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// tell gives an order and waits for the answer, which it puts into of.
func (c *child) tell(o order, of any) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("the %s: %w", c.role, err)
	}
	return c.read(of)
}

func (c *child) read(of any) error {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the %s: %w", c.role, err)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("the %s: %w", c.role, err)
	}
	if a.Error != "" {
		return errors.New("the " + c.role + ": " + a.Error)
	}
	if of == nil {
		return nil
	}
	return json.Unmarshal(a.Of, of)
}
