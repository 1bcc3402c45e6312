package listen

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"seawall/internal/kit/sealed"
	"seawall/internal/kit/stamp"
)

// Session tickets let visitors who come back connect without a whole handshake,
// which is what costs most when thousands come back at once. A key is used for a
// day and then opens for two more. Whoever has a key can read what was sent by
// connections that were resumed with TLS 1.2, so none is kept longer.
const (
	ticketFor    = 24 * time.Hour
	ticketKeys   = 3
	ticketEvery  = time.Minute // between two looks at the file
	ticketFile   = "tickets"
	ticketLength = 8 + 32 // when it was made (Unix seconds), and the key
	ticketMost   = 4 << 10

	purposeTickets = 't'
)

// tickets are the keys of session tickets. They are kept sealed in one file, which
// is read again when it changes: Seawalls that have the same keys file and share
// this one resume each other's sessions. It is touched by one goroutine at a time.
type tickets struct {
	file    string
	box     *sealed.Box
	log     *slog.Logger
	configs []*tls.Config // that seal and open tickets

	keys  []ticketKey // the newest first
	read  stamp.Stamp
	wrong bool // that the file cannot be written was told
}

type ticketKey struct {
	made time.Time
	key  [32]byte
}

// follow keeps the keys fresh until stop.
func (t *tickets) follow(stop <-chan struct{}) {
	tick := time.NewTicker(ticketEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			t.turn(now)
		}
	}
}

// turn takes over what the file says if it has changed, and makes a new key when it
// is time.
func (t *tickets) turn(now time.Time) {
	changed := false
	if s := stamp.Of(t.file); s != t.read {
		t.read = s
		switch keys, err := t.load(now); {
		case err == nil:
			t.keys, changed = keys, true
		case !errors.Is(err, fs.ErrNotExist):
			t.log.Warn("new keys for session tickets are made: the old ones cannot be used", "file", t.file, "err", err)
		}
	}
	if len(t.keys) == 0 || now.Sub(t.keys[0].made) >= ticketFor {
		fresh := ticketKey{made: now}
		rand.Read(fresh.key[:]) // never fails: it ends the process instead
		t.keys, changed = append([]ticketKey{fresh}, t.keys...), true
		t.keys = current(t.keys, now)
		err := t.save()
		if err != nil && !t.wrong {
			t.log.Error("the keys of session tickets cannot be kept: visitors make whole handshakes after a restart", "err", err)
		}
		t.wrong = err != nil
		t.read = stamp.Of(t.file)
	}
	if keys := current(t.keys, now); changed || len(keys) != len(t.keys) {
		t.keys = keys
		list := make([][32]byte, len(keys))
		for i := range keys {
			list[i] = keys[i].key
		}
		for _, c := range t.configs {
			c.SetSessionTicketKeys(list)
		}
	}
}

// current leaves out keys that are too many or too old.
func current(keys []ticketKey, now time.Time) (list []ticketKey) {
	for _, k := range keys {
		if len(list) < ticketKeys && now.Sub(k.made) < ticketKeys*ticketFor {
			list = append(list, k)
		}
	}
	return list
}

// load reads the file.
func (t *tickets) load(now time.Time) ([]ticketKey, error) {
	text, err := os.ReadFile(t.file)
	if err != nil {
		return nil, fmt.Errorf("read ticket keys: %w", err)
	}
	if len(text) > ticketMost {
		return nil, errors.New("read ticket keys: the file is too long")
	}
	plain, ok := t.box.Open(nil, string(text), purposeTickets)
	if !ok || len(plain) == 0 || len(plain)%ticketLength != 0 {
		return nil, errors.New("read ticket keys: the file was sealed with other keys, or is damaged")
	}
	var keys []ticketKey
	for ; len(plain) > 0; plain = plain[ticketLength:] {
		k := ticketKey{made: time.Unix(int64(binary.BigEndian.Uint64(plain)), 0)}
		copy(k.key[:], plain[8:])
		if k.made.After(now) { // the clock was set back: it must not live for longer than others
			k.made = now
		}
		keys = append(keys, k)
	}
	if keys = current(keys, now); len(keys) == 0 {
		return nil, fmt.Errorf("read ticket keys: all have ended: %w", fs.ErrNotExist)
	}
	return keys, nil
}

// save writes the file beside the old one and puts it in its place.
func (t *tickets) save() error {
	var plain []byte
	for _, k := range t.keys {
		plain = binary.BigEndian.AppendUint64(plain, uint64(k.made.Unix()))
		plain = append(plain, k.key[:]...)
	}
	f, err := os.CreateTemp(filepath.Dir(t.file), filepath.Base(t.file)+".new*") // mode 0600
	if err != nil {
		return fmt.Errorf("write ticket keys: %w", err)
	}
	defer os.Remove(f.Name()) // fails, as it should, once renamed
	_, err = f.Write(t.box.Seal(nil, plain, purposeTickets))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), t.file)
	}
	if err != nil {
		return fmt.Errorf("write ticket keys: %w", err)
	}
	return nil
}
