package listen

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall/internal/kit/clock"
	"seawall/internal/kit/sealed"
)

// kept starts a server that keeps its tickets in data.
func kept(t *testing.T, cfg Config, data string, box *sealed.Box) (*house, func()) {
	t.Helper()
	s := New(cfg, testDoor{}, &testWatcher{}, http.HandlerFunc(hello), clock.New(), slog.New(slog.DiscardHandler))
	s.Keep(data, box)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context()) }()
	return &house{s, nil, s.Addrs()[0].String()}, func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// A visitor who comes back after a restart resumes the session, and no longer once
// the key has ended.
func TestTicketsOutliveRestart(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			a, data, box := newAuthority(t), t.TempDir(), sealed.New()
			cfg := tlsConfig(a.issue(t, 2, soon(), "example.org"))
			sessions := tls.NewLRUClientSessionCache(4)
			resumes := func(h *house) bool {
				t.Helper()
				c := h.handshake(t, a, "example.org", func(c *tls.Config) {
					c.ClientSessionCache, c.MaxVersion = sessions, version
				})
				if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				_, _ = io.ReadAll(c) // with it come the tickets
				return c.ConnectionState().DidResume
			}
			h, stop := kept(t, cfg, data, box)
			if resumes(h) {
				t.Error("resumed without having been here")
			}
			stop()
			if info, err := os.Stat(filepath.Join(data, ticketFile)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file: %v, %v", info, err)
			}
			h, stop = kept(t, cfg, data, box)
			if !resumes(h) {
				t.Error("not resumed after a restart")
			}
			h.tickets.turn(time.Now().Add(ticketFor + time.Minute))
			if !resumes(h) {
				t.Error("not resumed with a key of yesterday")
			}
			sessions = tls.NewLRUClientSessionCache(4)
			resumes(h)
			h.tickets.turn(time.Now().Add((ticketKeys + 2) * ticketFor))
			if resumes(h) {
				t.Error("resumed with a key that has ended")
			}
			stop()
			h, stop = kept(t, cfg, data, sealed.New()) // another keys file
			defer stop()
			if resumes(h) {
				t.Error("resumed by who has other keys")
			}
		})
	}
}

// turned are tickets after one turn.
func turned(data string, box *sealed.Box, now time.Time) *tickets {
	k := &tickets{file: filepath.Join(data, ticketFile), box: box, log: slog.New(slog.DiscardHandler), configs: []*tls.Config{{}}}
	k.turn(now)
	return k
}

func TestTicketsRotate(t *testing.T) {
	data, box, now := t.TempDir(), sealed.New(), time.Now().Truncate(time.Second)
	k := turned(data, box, now)
	first := k.keys[0]
	for day := 1; day <= 5; day++ {
		k.turn(now.Add(time.Duration(day)*ticketFor - time.Minute))
		was := len(k.keys)
		k.turn(now.Add(time.Duration(day) * ticketFor))
		if want := min(day+1, ticketKeys); len(k.keys) != want || was != min(day, ticketKeys) {
			t.Errorf("day %d: %d keys, then %d", day, was, len(k.keys))
		}
		if slices.Contains(k.keys, first) != (day < ticketKeys) {
			t.Errorf("day %d: the first key is there, or not", day)
		}
	}
	now = now.Add(5 * ticketFor)
	// Who shares the file takes over what another has made.
	other := turned(data, box, now)
	if !slices.EqualFunc(other.keys, k.keys, func(a, b ticketKey) bool { return a.key == b.key && a.made.Equal(b.made) }) {
		t.Error("the other one has other keys")
	}
	other.turn(now.Add(ticketFor))
	later := time.Now().Add(time.Hour)
	_ = os.Chtimes(other.file, later, later)
	k.turn(now.Add(ticketFor))
	if k.keys[0].key != other.keys[0].key {
		t.Error("two keys for the same day")
	}
	// After a long stop nothing old is used.
	if late := turned(data, box, now.Add(30*ticketFor)); len(late.keys) != 1 {
		t.Errorf("%d keys after a month", len(late.keys))
	}
	// A clock that was set back does not let a key live on.
	if early := turned(data, box, now.Add(-ticketFor)); early.keys[0].made.After(now.Add(-ticketFor)) {
		t.Error("a key of tomorrow")
	}
}

// What cannot be believed is replaced, and what cannot be written keeps nobody from
// being served.
func TestTicketsDamaged(t *testing.T) {
	data, box, now := t.TempDir(), sealed.New(), time.Now()
	file := filepath.Join(data, ticketFile)
	for name, text := range map[string]string{
		"empty": "", "nonsense": "nonsense", "long": strings.Repeat("a", 1<<20),
		"another purpose": string(box.Seal(nil, make([]byte, ticketLength), 'x')),
		"half a key":      string(box.Seal(nil, make([]byte, ticketLength-1), purposeTickets)),
		"nothing":         string(box.Seal(nil, nil, purposeTickets)),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if k := turned(data, box, now); len(k.keys) != 1 || !k.keys[0].made.Equal(now) {
			t.Errorf("%s: %d keys", name, len(k.keys))
		}
		if again := turned(data, box, now.Add(time.Minute)); !again.keys[0].made.Equal(now.Truncate(time.Second)) {
			t.Errorf("%s: was not replaced", name)
		}
	}
	var said bytes.Buffer
	k := &tickets{file: filepath.Join(data, "gone", ticketFile), box: box, log: slog.New(slog.NewTextHandler(&said, nil)), configs: []*tls.Config{{}}}
	k.turn(now)
	k.turn(now.Add(ticketFor))
	if len(k.keys) != 2 || strings.Count(said.String(), "cannot be kept") != 1 {
		t.Errorf("%d keys; it said: %s", len(k.keys), &said)
	}
}
