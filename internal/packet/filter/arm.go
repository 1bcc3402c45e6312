package filter

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf/ringbuf"
)

// The kernel's settings that cookies need. With 2 the kernel makes cookies
// whenever it is asked, and not only when a listener's queue is full; and
// timestamps begin at nothing secret, so that what a cookie's timestamp says can
// be read. Both change new connections only.
const (
	syncookies = "/proc/sys/net/ipv4/tcp_syncookies"
	timestamps = "/proc/sys/net/ipv4/tcp_timestamps"
	always     = 2
)

// cookieAge is how long after it was made a cookie may come back, at most: two
// of the kernel's periods, of 64 s (MAX_SYNCOOKIE_AGE in include/net/tcp.h).
const cookieAge = 130 * time.Second

// Arm has SYNs answered with cookies, or no longer. Meanwhile the kernel's
// settings are others; what they were is kept where it outlives a crash, and
// put back by the next Arm(false) or by Remove.
func (f *Filter) Arm(on bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !on {
		return f.disarm()
	}
	if f.vouch.Armed == 1 {
		return nil
	}
	cookies, err := setting(syncookies)
	if err != nil {
		return fmt.Errorf("arm the SYN cookies: %w", err)
	}
	stamps, err := setting(timestamps)
	if err != nil {
		return fmt.Errorf("arm the SYN cookies: %w", err)
	}
	if f.vouch.SyncookiesWere == 0 {
		f.vouch.SyncookiesWere = cookies + 1
	}
	if f.vouch.TimestampsWere == 0 && stamps == 1 {
		f.vouch.TimestampsWere = stamps + 1
	}
	if err := f.say(); err != nil {
		return err
	}
	err = set(syncookies, always)
	if err == nil && stamps == 1 {
		err = set(timestamps, always)
	}
	if err == nil {
		f.vouch.Armed, f.vouch.CheckUntil = 1, math.MaxUint64
		err = f.say()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("arm the SYN cookies: %w", err), f.disarm())
	}
	return nil
}

// Armed says whether SYNs are answered with cookies.
func (f *Filter) Armed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.vouch.Armed == 1
}

// disarm needs mu.
func (f *Filter) disarm() error {
	if f.vouch.Armed == 1 {
		f.vouch.Armed, f.vouch.CheckUntil = 0, monotonic(time.Now().Add(cookieAge))
	}
	if err := f.say(); err != nil {
		return err
	}
	if err := f.vouch.restore(); err != nil {
		return err
	}
	f.vouch.SyncookiesWere, f.vouch.TimestampsWere = 0, 0
	return f.say()
}

// restore puts the kernel's settings back, unless somebody else has changed them
// since.
func (v vouch) restore() error {
	var errs []error
	for _, s := range []struct {
		path string
		was  uint32
	}{{syncookies, v.SyncookiesWere}, {timestamps, v.TimestampsWere}} {
		if s.was == 0 {
			continue
		}
		if n, err := setting(s.path); err == nil && n != always {
			continue
		}
		errs = append(errs, set(s.path, s.was-1))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("put back what was changed for SYN cookies: %w", err)
	}
	return nil
}

func setting(path string) (uint32, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return uint32(n), nil
}

func set(path string, n uint32) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatUint(uint64(n), 10))
	return errors.Join(err, f.Close())
}

// CheckAlways has cookies looked for at all times: where SYNs are not answered
// here, the kernel makes its own when its queue is full.
func (f *Filter) CheckAlways() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.vouch.CheckUntil = math.MaxUint64
	return f.say()
}

// Alarm waits until then for word that SYNs are many. One goroutine may wait.
func (f *Filter) Alarm(until time.Time) (rang bool, err error) {
	f.alarms.SetDeadline(until)
	_, err = f.alarms.Read()
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, nil
	case errors.Is(err, ringbuf.ErrClosed):
		return false, os.ErrClosed
	}
	return false, fmt.Errorf("wait for the packet filter's alarm: %w", err)
}
