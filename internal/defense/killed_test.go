package defense

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"seawall/internal/defense/decide"
	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
)

type anyDoor struct{}

func (anyDoor) Apply(mitigation.Mitigation) error { return nil }
func (anyDoor) Withdraw(mitigation.ID) error      { return nil }

const childFolder = "SEAWALL_TEST_FOLDER"

// TestKilled starts this test binary as a process of its own, has it order a
// ban, kills it with SIGKILL, and looks for the ban.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(childFolder); dir != "" {
		child(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), childFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ordered\n" {
		t.Errorf("the child said %q, %v", line, err)
	}
	// What was enforced is on disk within 100 ms.
	time.Sleep(100 * time.Millisecond)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	l, err := New(DefaultConfig(), deps(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	st := l.Status()
	if len(st.Mitigations) != 1 || st.Mitigations[0].Note != "before the crash" || st.Mitigations[0].Action != mitigation.Refuse {
		t.Errorf("after the kill: %+v", st.Mitigations)
	}
}

func child(t *testing.T, dir string) {
	l, err := New(DefaultConfig(), deps(dir))
	if err != nil {
		t.Fatal(err)
	}
	go l.Run(context.Background())
	if _, err := l.Order(decide.Order{Verb: decide.Ban, Prefix: netip.MustParsePrefix("203.0.113.0/24"), For: time.Hour, Note: "before the crash"}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ordered")
	time.Sleep(time.Minute) // until killed
}

func deps(dir string) Deps {
	return Deps{Clock: clock.New(), Log: slog.New(slog.DiscardHandler), Applier: anyDoor{}, DataDir: dir}
}
