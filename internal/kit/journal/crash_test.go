package journal

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// childPath names the journal to a copy of this test program that is there to
// be killed.
const childPath = "SEAWALL_JOURNAL_TEST_CHILD"

// childQuiet tells it to append only, so that nothing but time brings its
// records to the disk.
const childQuiet = "SEAWALL_JOURNAL_TEST_QUIET"

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// child counts into the journal until it is killed: one record a number, "=n"
// for a snapshot of all numbers up to n. It prints what it was promised.
func child(path string) error {
	j, err := Open(path, Options{FlushEvery: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	var count atomic.Int64
	if err := j.Each(func(rec []byte) error { return replay(&count, rec) }); err != nil {
		return err
	}
	quiet := os.Getenv(childQuiet) != ""
	go func() {
		for !quiet {
			err := j.Compact(func(add func([]byte) error) error {
				return add(fmt.Appendf(nil, "=%d", count.Load()))
			})
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	for n := count.Load() + 1; ; n++ {
		if err := j.Append(fmt.Appendf(nil, "%d", n)); err != nil {
			return err
		}
		count.Store(n)
		if n%50 == 0 && !quiet {
			if err := j.Sync(); err != nil {
				return err
			}
			fmt.Printf("synced %d\n", n)
		} else if n%10 == 0 {
			fmt.Printf("appended %d\n", n)
			time.Sleep(time.Millisecond)
		}
	}
}

// replay counts on. Records that the snapshot holds already are borne; a
// number left out is an error.
func replay(count *atomic.Int64, rec []byte) error {
	var n int64
	text, snapshot := strings.CutPrefix(string(rec), "=")
	if _, err := fmt.Sscan(text, &n); err != nil {
		return err
	}
	if now := count.Load(); !snapshot && n > now+1 {
		return fmt.Errorf("record %d follows %d", n, now)
	}
	if snapshot || n > count.Load() {
		count.Store(n)
	}
	return nil
}

// late is a hundred times the child's FlushEvery: a busy machine may be slow.
const late = 2 * time.Second

// TestKilled kills a process in the middle of appends and compactions, again
// and again, and looks for what Sync and FlushEvery had promised.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	for round := range 7 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childPath+"="+path)
		lives, quiet := time.Duration(150+40*round)*time.Millisecond, round == 6
		if quiet {
			lives = 2 * late
			cmd.Env = append(cmd.Env, childQuiet+"=1")
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var (
			killed        atomic.Int64 // when, in Unix nanoseconds
			synced, timed int64
		)
		time.AfterFunc(lives, func() {
			killed.Store(time.Now().UnixNano())
			cmd.Process.Kill()
		})
		type said struct {
			n  int64
			at time.Time
		}
		var appended []said
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var (
				what string
				n    int64
			)
			if _, err := fmt.Sscan(lines.Text(), &what, &n); err != nil {
				continue // cut in the middle
			}
			if what == "synced" {
				synced = n
			} else {
				appended = append(appended, said{n, time.Now()})
			}
		}
		if err := cmd.Wait(); stderr.Len() > 0 {
			t.Fatalf("child: %v: %s", err, stderr.String())
		}
		for _, s := range appended {
			if s.at.Before(time.Unix(0, killed.Load()).Add(-late)) {
				timed = s.n
			}
		}
		if quiet && (timed == 0 || synced != 0) {
			t.Errorf("%d promised by time, %d by Sync: the test shows nothing", timed, synced)
		}
		j := open(t, path, Options{})
		var count atomic.Int64
		if err := j.Each(func(rec []byte) error { return replay(&count, rec) }); err != nil {
			t.Fatal(err)
		}
		if got := count.Load(); got < synced || got < timed {
			t.Errorf("%d on disk; promised %d by Sync, %d by time", got, synced, timed)
		}
		t.Logf("killed with %d on disk, %d synced, %d by time; %v", count.Load(), synced, timed, j.Recovered())
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
