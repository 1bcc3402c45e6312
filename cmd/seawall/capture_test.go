package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"seawall/internal/dashboard"
	"seawall/internal/kit/pcapng"
)

const evident = "these bytes are the evidence"

// aCapture is a capture with two packets that stand for a thousand.
func aCapture() []byte {
	b := pcapng.AppendHead(nil, "test", "", "", 160)
	for range 2 {
		b = pcapng.AppendPacket(b, &pcapng.Packet{At: time.Now(), Length: 99, Bytes: []byte(evident)})
	}
	return pcapng.AppendStatistics(b, &pcapng.Totals{Received: 1000, Accepted: 3, Lost: 1, Delivered: 2})
}

// identities are a key of each kind, with what it is called at --to.
func identities(t *testing.T) map[string]age.Identity {
	t.Helper()
	out := map[string]age.Identity{}
	x, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	out[x.Recipient().String()] = x
	pq, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	out[pq.Recipient().String()] = pq
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := agessh.ParseIdentity(pem.EncodeToMemory(block))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	out[string(ssh.MarshalAuthorizedKey(key))] = s
	return out
}

// What is kept can be read by whom it is for, and the disk never sees it in the
// clear.
func TestCapturesAreEncrypted(t *testing.T) {
	words := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(words, []byte("correct horse battery staple\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	scrypt, err := age.NewScryptIdentity("correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	type reader struct {
		secrecy
		age.Identity
	}
	readers := []reader{{secrecy{passphrase: words}, scrypt}}
	for key, identity := range identities(t) {
		readers = append(readers, reader{secrecy{to: []string{key}}, identity})
	}
	for _, r := range readers {
		data := t.TempDir()
		to, err := r.recipients()
		if err != nil {
			t.Fatalf("%+v: %v", r.secrecy, err)
		}
		k, err := keepIn("", data, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := copyCapture(k, bytes.NewReader(aCapture()), &progress{})
		if err := errors.Join(err, k.close()); err != nil {
			t.Fatal(err)
		}
		if got.Packets != 2 || got.Of != 1000 || got.Lost != 1 || got.Bytes != int64(len(aCapture())) {
			t.Errorf("%+v", got)
		}
		if dir, name := filepath.Split(k.name); dir != filepath.Join(data, "captures")+"/" || !strings.HasSuffix(name, "Z.pcapng.age") || k.deleted == nil {
			t.Errorf("kept in %s", k.name)
		}
		info, err := os.Stat(k.name)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		text, err := os.ReadFile(k.name)
		if err != nil || bytes.Contains(text, []byte(evident)) {
			t.Errorf("the file can be read by anybody (%v)", err)
		}
		open, err := age.Decrypt(bytes.NewReader(text), r.Identity)
		if err != nil {
			t.Fatalf("%+v: %v", r.secrecy, err)
		}
		clear, err := io.ReadAll(open)
		if err != nil || !bytes.Contains(clear, []byte(evident)) || len(clear) != len(aCapture()) {
			t.Errorf("%d bytes, %v", len(clear), err)
		}
	}
	var kinds []string
	for key := range identities(t) {
		kinds = append(kinds, key)
	}
	if _, err := (&secrecy{to: kinds}).recipients(); err == nil || !errors.As(err, new(usageError)) {
		t.Errorf("keys that cannot be mixed: %v", err)
	}
}

// Where a capture breaks off, what is there is whole and can be read.
func TestCaptureBreaksOff(t *testing.T) {
	whole := aCapture()
	for n := range len(whole) {
		broken := errors.New("broken")
		var out bytes.Buffer
		got, err := copyCapture(&out, io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(broken)), &progress{})
		if err == nil || got.broken || got.Bytes != int64(out.Len()) || !bytes.HasPrefix(whole, out.Bytes()) {
			t.Fatalf("cut at %d: %v, %+v", n, err, got)
		}
		for r := pcapng.NewBlocks(&out); ; {
			if _, _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("cut at %d: %v", n, err)
			}
		}
	}
}

// A disk that is full leaves no half file behind, and nothing is replaced.
func TestCaptureCannotBeKept(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	k, err := keepIn(name, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keepIn(name, "", nil, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second one in its place: %v", err)
	}
	if _, err := copyCapture(failing{}, bytes.NewReader(aCapture()), &progress{}); err == nil {
		t.Error("a write that fails is not told")
	}
	k.discard()
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestCaptureText(t *testing.T) {
	stopped := dashboard.CaptureOrder{Stopped: true}
	deleted := time.Date(2026, 9, 7, 12, 0, 0, 0, time.UTC)
	g := captured{File: "data/captures/x.pcapng.age", Packets: 1204, Of: 240_800, Bytes: 180_000, Lost: 12, Ended: "the time was over", Deleted: &deleted, lasted: 30 * time.Second}
	want := `1,204 packets in 30s, 180,000 bytes. It ended since the time was over.
They stand for about 240,800 packets that were stopped: one of 200.
12 more samples were lost, since they came too fast.
File: data/captures/x.pcapng.age
Read it: age -d -i key.txt 'data/captures/x.pcapng.age' | tcpdump -nn -r -
Seawall deletes it on 7 September 2026 at 12:00.
`
	if got := g.text(stopped, (&secrecy{to: []string{"age1..."}}).reading()); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	g = captured{File: "a", Packets: 3, Of: 3, Ended: "it was interrupted", lasted: time.Second}
	want = `3 packets in 1s, 0 bytes. It ended since it was interrupted.
They are all that passed and could be sampled.
File: a
Read it: tcpdump -nn -r 'a'
Seawall does not delete it there: delete it yourself within seven days.
`
	if got := g.text(dashboard.CaptureOrder{Passed: true}, (&secrecy{plain: true}).reading()); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	g = captured{Of: 9, Ended: "the time was over"}
	if got := g.text(dashboard.CaptureOrder{Passed: true, Stopped: true}, ""); !strings.HasSuffix(got, "None was sampled of about 9 packets that were stopped or passed.\n") {
		t.Error(got)
	}
}
