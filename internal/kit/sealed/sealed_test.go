package sealed

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

func testKey(b byte) (k [32]byte) {
	for i := range k {
		k[i] = b + byte(i)
	}
	return k
}

// TestSipHash uses the vector of the paper's appendix A and some of the
// reference implementation's (key 00..0f, message 00, 01, ...).
func TestSipHash(t *testing.T) {
	const k0, k1 = 0x0706050403020100, 0x0f0e0d0c0b0a0908
	for n, want := range map[int]uint64{
		0:  0x726fdb47dd0e0e31,
		1:  0x74f839c593dc67fd,
		7:  0xab0200f58b01d137,
		8:  0x93f5f5799a932462,
		15: 0xa129ca6149be45e5,
	} {
		msg := make([]byte, n)
		for i := range msg {
			msg[i] = byte(i)
		}
		if got := siphash(k0, k1, msg); got != want {
			t.Errorf("%d bytes: %#x, want %#x", n, got, want)
		}
	}
}

func TestSealAndOpen(t *testing.T) {
	b := New(testKey(1))
	for _, plain := range []string{"", "x", "forty bytes of clearance for one visitor", strings.Repeat("long", 500)} {
		text := b.Seal([]byte("a="), []byte(plain), 7)
		if !bytes.HasPrefix(text, []byte("a=")) || len(text) != 2+SealedLen(len(plain)) {
			t.Fatalf("Seal wrote %q", text)
		}
		sealed := string(text[2:])
		if strings.Trim(sealed, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%q is not fit for a cookie", sealed)
		}
		got, ok := b.Open([]byte("kept"), sealed, 7)
		if !ok || string(got) != "kept"+plain {
			t.Errorf("Open = %q, %v", got, ok)
		}
		if _, ok := b.Open(nil, sealed, 8); ok {
			t.Error("opened for another purpose")
		}
		if _, ok := New(testKey(2)).Open(nil, sealed, 7); ok {
			t.Error("opened with another key")
		}
		if again := b.Seal(nil, []byte(plain), 7); string(again) == sealed {
			t.Error("sealed twice to the same text")
		}
	}
}

func TestOlderKeysOpen(t *testing.T) {
	old, now := New(testKey(1)), New(testKey(2), testKey(1))
	text := string(old.Seal(nil, []byte("hello"), 1))
	if got, ok := now.Open(nil, text, 1); !ok || string(got) != "hello" {
		t.Errorf("Open = %q, %v", got, ok)
	}
	if _, ok := old.Open(nil, string(now.Seal(nil, []byte("hello"), 1)), 1); ok {
		t.Error("the old key opens what the new one sealed")
	}
	payload := [12]byte{1, 2, 3}
	if got, ok := now.OpenCode(old.SealCode(payload)); !ok || got != payload {
		t.Errorf("OpenCode = %v, %v", got, ok)
	}
	if old.Hash(1, nil) == now.Hash(1, nil) {
		t.Error("Hash does not depend on the first key")
	}
}

func TestBoxesWithoutKeysDiffer(t *testing.T) {
	if _, ok := New().Open(nil, string(New().Seal(nil, nil, 0)), 0); ok {
		t.Error("two boxes made up the same key")
	}
}

// TestEveryChangeShows flips each bit of a sealed text's bytes, and cuts and
// dresses the text in ways that a lenient decoder would forgive.
func TestEveryChangeShows(t *testing.T) {
	b := New(testKey(1), testKey(2))
	text := b.Seal(nil, []byte("forty bytes of clearance for one visitor"), 1)
	raw, err := base64.RawURLEncoding.DecodeString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if _, ok := b.Open(nil, base64.RawURLEncoding.EncodeToString(raw), 1); ok {
				t.Fatalf("byte %d bit %d changed, and it opened", i, bit)
			}
			raw[i] ^= 1 << bit
		}
	}
	for i := range text {
		if _, ok := b.Open(nil, string(text[:i]), 1); ok {
			t.Fatalf("cut at %d, and it opened", i)
		}
	}
	for _, s := range []string{string(text) + "=", string(text) + "\n", "\n" + string(text), string(text) + "A", " " + string(text)} {
		if _, ok := b.Open(nil, s, 1); ok {
			t.Errorf("%q opened", s)
		}
	}
}

func TestHashIsKeyedByPurpose(t *testing.T) {
	b := New(testKey(1))
	seen := map[uint64]bool{}
	for p := range 256 {
		seen[b.Hash(byte(p), []byte("198.51.100.7"))] = true
	}
	if len(seen) != 256 {
		t.Errorf("256 purposes gave %d hashes", len(seen))
	}
	if b.Hash(3, []byte("a")) != New(testKey(1)).Hash(3, []byte("a")) {
		t.Error("Hash changed with the Box")
	}
}

func TestCode(t *testing.T) {
	b := New(testKey(1))
	payload := [12]byte{0, 0, 0, 9, 6, 255, 1, 2, 3, 4, 5, 6}
	code := b.SealCode(payload)
	if len(code) != CodeLen || strings.Count(code, "-") != 4 {
		t.Fatalf("code %q", code)
	}
	hand := strings.NewReplacer("0", "o", "1", "l").Replace(strings.ToLower(code))
	for _, s := range []string{
		code, strings.ToLower(code), strings.ReplaceAll(code, "-", ""), " " + code + " ",
		strings.ReplaceAll(code, "-", " "), hand, strings.Join(strings.Split(code, ""), "-"),
		strings.ReplaceAll(strings.ReplaceAll(code, "1", "I"), "0", "O"),
	} {
		if got, ok := b.OpenCode(s); !ok || got != payload {
			t.Errorf("OpenCode(%q) = %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", code[1:], code[:len(code)-1], code + "0", strings.Repeat("-", 200), "U" + code[1:], "é" + code[1:],
		"Z" + code[1:], strings.Repeat("0", 26), code + strings.Repeat(" ", 100),
	} {
		if _, ok := b.OpenCode(s); ok {
			t.Errorf("OpenCode(%q) opened", s)
		}
	}
	// Any one wrong symbol shows.
	for i := range code {
		for _, c := range alphabet {
			s := code[:i] + string(c) + code[i+1:]
			if code[i] == '-' || s == code {
				continue
			}
			if _, ok := b.OpenCode(s); ok {
				t.Fatalf("OpenCode(%q) opened", s)
			}
		}
	}
	if got := string(b.AppendCode([]byte("Seawall-Ref: "), payload)); got != "Seawall-Ref: "+code {
		t.Errorf("AppendCode = %q", got)
	}
}

func TestNoAllocations(t *testing.T) {
	b := New(testKey(1), testKey(2))
	plain := []byte("forty bytes of clearance for one visitor")
	text := string(b.Seal(nil, plain, 1))
	forged := text[:len(text)-1] + "_"
	buf, code := make([]byte, 0, 512), [12]byte{1}
	for name, f := range map[string]func(){
		"Open":       func() { b.Open(buf, text, 1) },
		"Open false": func() { b.Open(buf, forged, 1) },
		"Seal":       func() { b.Seal(buf, plain, 1) },
		"Hash":       func() { b.Hash(1, plain) },
		"AppendCode": func() { b.AppendCode(buf, code) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzOpen(f *testing.F) {
	b := New(testKey(1), testKey(2))
	f.Add(string(b.Seal(nil, []byte("hello"), 1)))
	f.Add("")
	f.Add(strings.Repeat("A", 200))
	f.Add("not base64 at all, but long enough to be looked at \x00\xff")
	f.Fuzz(func(t *testing.T, s string) {
		buf := append(make([]byte, 0, 64), "kept"...)
		plain, ok := b.Open(buf, s, 1)
		if string(buf) != "kept" {
			t.Fatal("Open wrote over what was there")
		}
		if !ok && plain != nil || ok && string(plain[:4]) != "kept" {
			t.Fatalf("Open = %q, %v", plain, ok)
		}
		if ok && len(s) != SealedLen(len(plain)-4) {
			t.Fatalf("%q opened to %q", s, plain)
		}
	})
}

func FuzzOpenCode(f *testing.F) {
	b := New(testKey(1), testKey(2))
	f.Add(b.SealCode([12]byte{1, 2, 3}), []byte("abc"))
	f.Add("", []byte{})
	f.Add("0000-0000 0000", []byte("twelve bytes"))
	f.Fuzz(func(t *testing.T, s string, data []byte) {
		if p, ok := b.OpenCode(s); ok {
			if q, ok := b.OpenCode(b.SealCode(p)); !ok || p != q {
				t.Fatalf("%q opens to %v, whose code opens to %v", s, p, q)
			}
		}
		var p [12]byte
		copy(p[:], data)
		if q, ok := b.OpenCode(b.SealCode(p)); !ok || p != q {
			t.Fatalf("%v came back as %v", p, q)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	box, buf := New(testKey(1), testKey(2)), make([]byte, 0, 128)
	text := string(box.Seal(nil, []byte("forty bytes of clearance for one visitor"), 1))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := box.Open(buf, text, 1); !ok {
			b.Fatal("did not open")
		}
	}
}

func BenchmarkOpenForged(b *testing.B) {
	box, buf := New(testKey(1), testKey(2)), make([]byte, 0, 128)
	text := string(New(testKey(3)).Seal(nil, []byte("forty bytes of clearance for one visitor"), 1))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := box.Open(buf, text, 1); ok {
			b.Fatal("opened")
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	box, buf, plain := New(testKey(1)), make([]byte, 0, 256), make([]byte, 40)
	b.ReportAllocs()
	for b.Loop() {
		box.Seal(buf, plain, 1)
	}
}

func BenchmarkHash(b *testing.B) {
	box, data := New(testKey(1)), make([]byte, 16)
	b.ReportAllocs()
	for b.Loop() {
		box.Hash(1, data)
	}
}

func BenchmarkAppendCode(b *testing.B) {
	box, buf := New(testKey(1)), make([]byte, 0, CodeLen)
	b.ReportAllocs()
	for b.Loop() {
		box.AppendCode(buf, [12]byte{1})
	}
}
