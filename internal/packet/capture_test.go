package packet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/pcapng"
	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

// sampling is a Packet whose filter samples every packet.
func sampling(t *testing.T) *Packet {
	t.Helper()
	p := New(DefaultConfig(), slog.New(slog.DiscardHandler))
	p.filter, p.at = load(t, nil), map[string]filter.How{"none": filter.Generic}
	p.Cut(clock.Instant(1e9))
	return p
}

// show shows the filter frames, and has them cut into a window.
func show(t *testing.T, p *Packet, frames ...craft.Frame) {
	t.Helper()
	for _, f := range frames {
		if _, err := p.filter.Try(f.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	p.Cut(clock.Instant(2e9))
}

// A capture has the headers of what it wants, in a file that tcpdump reads.
func TestCapture(t *testing.T) {
	p := sampling(t)
	secret := []byte("Passw0rd of a visitor")
	reflected := v4(craft.Frame{Proto: craft.UDP, SPort: 53, Payload: secret})
	ours := v6(craft.Frame{Payload: secret})
	for _, c := range []struct {
		want       Want
		text       []string
		counted, n uint64
	}{
		{Want{Stopped: true}, []string{"IP 198.18.0.7.53 > 198.19.0.1.443", "stopped: reflected; one of 1"}, 1, 1},
		{Want{Passed: true}, []string{"IP6 2001:db8:1:2::7.40000 > 2001:db8:ffff::1.443: Flags [.]", "passed: pass_ours; one of 1"}, 1, 1},
		{Want{Passed: true, Stopped: true}, []string{"IP 198.18.0.7.53", "IP6 2001:db8:1:2::7.40000", "stopped", "passed"}, 2, 2},
	} {
		ctx, end := context.WithCancel(t.Context())
		c.want.Most = 1 << 20
		capture, err := p.Capture(ctx, c.want)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Capture(t.Context(), c.want); !errors.Is(err, ErrCapturing) {
			t.Errorf("a second capture: %v", err)
		}
		show(t, p, reflected, ours)
		var file bytes.Buffer
		end()
		if n, err := capture.WriteTo(&file); err != nil || n != int64(file.Len()) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if bytes.Contains(file.Bytes(), secret[:4]) {
			t.Error("the file holds what a packet carried")
		}
		text := file.String() + dumped(t, file.Bytes())
		for _, want := range c.text {
			if !strings.Contains(text, want) {
				t.Errorf("%+v: no %q in\n%q", c.want, want, text)
			}
		}
		got := totals(t, file.Bytes())
		if got.Received != c.counted || got.Delivered != c.n || got.Accepted != c.n || got.Lost != 0 {
			t.Errorf("%+v: %+v", c.want, got)
		}
		if packets := strings.Count(dumped(t, file.Bytes()), "\n"); packets != int(c.n) {
			t.Errorf("tcpdump sees %d packets, want %d", packets, c.n)
		}
	}
	// Nobody captures: nothing is kept.
	show(t, p, reflected)
	if p.capture != nil {
		t.Error("a capture goes on after its end")
	}
}

// dumped is what tcpdump says of a file, without its first line.
func dumped(t *testing.T, file []byte) string {
	t.Helper()
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed")
	}
	name := filepath.Join(t.TempDir(), "a.pcapng")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd := exec.Command(tcpdump, "-nn", "-r", name)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("tcpdump: %v: %s", err, &errs)
	}
	return string(out)
}

// totals goes through a file and returns what its last statistics say.
func totals(t *testing.T, file []byte) (last pcapng.Totals) {
	t.Helper()
	packets := uint64(0)
	for r := pcapng.NewBlocks(bytes.NewReader(file)); ; {
		kind, block, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case pcapng.Enhanced:
			packets++
		case pcapng.Statistics:
			last = pcapng.ReadTotals(block)
		}
	}
	if packets != last.Delivered {
		t.Errorf("%d packets, and the statistics say %d", packets, last.Delivered)
	}
	return last
}

// A file has at most as many bytes as were allowed, whatever comes, and is whole.
func TestCaptureIsBounded(t *testing.T) {
	p := sampling(t)
	var frames []craft.Frame
	for i := range 40 {
		frames = append(frames, v4(craft.Frame{Proto: craft.UDP, SPort: 53, Options: make([]byte, i%40)}))
	}
	var least int64
	for most := int64(700); most < 1400; most++ {
		ctx, end := context.WithCancel(t.Context())
		capture, err := p.Capture(ctx, Want{Stopped: true, Most: most})
		if err != nil {
			t.Fatal(err)
		}
		if most == 700 {
			show(t, p, frames...)
		} else { // the same again
			for i := range frames {
				b := frames[i].Bytes()
				capture.take(&filter.Sample{Every: 1, Length: len(b), Reason: filter.StopReflected, Frame: b}, 0, time.Now())
			}
		}
		var file bytes.Buffer
		n, err := capture.WriteTo(&file)
		end()
		if err != nil || n != int64(file.Len()) || n > most {
			t.Fatalf("%d bytes were allowed: %d, %d, %v", most, n, file.Len(), err)
		}
		if got := totals(t, file.Bytes()); got.Delivered == 0 && most > 1000 || got.Delivered == 40 {
			t.Fatalf("%d bytes were allowed: %+v", most, got)
		}
		if least = max(least, n); n < most-200 && n < least {
			t.Errorf("%d bytes were allowed, and only %d were used", most, n)
		}
		waitEnded(t, p)
	}
	if _, err := (&Capture{want: Want{Most: 500}}).WriteTo(io.Discard); err == nil {
		t.Error("a file without room for a packet")
	}
}

// waitEnded waits until the capture whose context has ended is over.
func waitEnded(t *testing.T, p *Packet) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		over := p.capture == nil
		p.mu.Unlock()
		if over {
			return
		}
	}
	t.Fatal("the capture does not end")
}

// Who does not take what is captured loses it, and the loss is counted; the
// control loop never waits.
func TestCaptureLoses(t *testing.T) {
	p := sampling(t)
	ctx, end := context.WithCancel(t.Context())
	capture, err := p.Capture(ctx, Want{Stopped: true, Most: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	frame := v4(craft.Frame{Proto: craft.UDP, SPort: 53}).Bytes()
	for range mostSamples + 7 {
		capture.take(&filter.Sample{Every: 1, Length: len(frame), Reason: filter.StopReflected, Frame: frame}, 0, time.Now())
	}
	capture.window(0, 0, 4)
	end()
	var file bytes.Buffer
	if _, err := capture.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	if got := totals(t, file.Bytes()); got.Delivered != mostSamples || got.Accepted != mostSamples+7 || got.Lost != 11 {
		t.Errorf("%+v", got)
	}
}

// Where nothing can be seen, there is a reason and no empty file.
func TestCaptureNothing(t *testing.T) {
	p := New(DefaultConfig(), slog.New(slog.DiscardHandler))
	want := func(target error) {
		t.Helper()
		if c, err := p.Capture(t.Context(), Want{Stopped: true, Most: 1 << 20}); c != nil || !errors.Is(err, target) {
			t.Errorf("%v, want %v", err, target)
		}
	}
	want(ErrNoFilter)
	p.filter = load(t, nil)
	want(ErrNoFilter) // it is attached nowhere
	p.off = true
	want(ErrOff)
}

// In quiet times the file grows once a second, so that a reader who has gone is
// noticed; then nothing is written any more.
func TestCaptureNoticesWhoIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Capture{want: Want{Most: 1 << 20}, began: time.Now(), records: make(chan Record)}
		w := &goes{after: 4}
		start := time.Now()
		_, err := c.WriteTo(w)
		if took := time.Since(start); !errors.Is(err, io.ErrClosedPipe) || w.writes != 5 || took != 4*time.Second {
			t.Errorf("%v after %d writes and %v", err, w.writes, took)
		}
	})
}

// goes is a writer that is gone after some writes.
type goes struct{ after, writes int }

func (w *goes) Write(b []byte) (int, error) {
	if w.writes++; w.writes > w.after {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

// The time beside a packet is when it came, on the wall's clock.
func TestCaptureTimes(t *testing.T) {
	now := time.Date(2026, 8, 31, 12, 0, 0, 0, time.UTC)
	c := &Capture{want: Want{Stopped: true}, records: make(chan Record, 2)}
	for _, at := range []uint64{5e9 - 250e6, 5e9 + 4e6} { // the second came while the first was read
		c.take(&filter.Sample{At: at, Every: 9, Reason: filter.StopState}, 5e9, now)
	}
	for _, want := range []string{"11:59:59.75 9", "12:00:00.004 9"} {
		r := <-c.Records()
		if got := fmt.Sprint(r.At.Format("15:04:05.999"), " ", r.Every); got != want || len(r.Headers()) != 0 {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
