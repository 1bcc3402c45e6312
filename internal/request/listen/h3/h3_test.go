package h3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/quic-go/qpack"
)

// What is appended here, another implementation reads as it was meant.
func TestFieldsAgainstLibrary(t *testing.T) {
	fields := [][2]string{{"X-Other", "a, b"}, {"Seawall-Ref", strings.Repeat("x", 5000)}, {"Empty", ""}, {strings.Repeat("Long-", 40) + "Name", "v"}}
	for _, name := range []string{"Age", "Content-Disposition", "Content-Length", "Date", "Etag", "Last-Modified", "Link", "Location", "Set-Cookie",
		"Accept-Ranges", "Access-Control-Allow-Origin", "Cache-Control", "Content-Encoding", "Content-Type", "Strict-Transport-Security", "Vary",
		"X-Content-Type-Options", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Content-Security-Policy", "Server", "X-Frame-Options"} {
		fields = append(fields, [2]string{name, "value"})
	}
	for status := 100; status < 600; status++ {
		b := AppendStatus(nil, status)
		for i, f := range fields {
			if i%2 == 0 {
				b = AppendField(b, f[0], f[1])
			} else {
				b = AppendFieldBytes(b, f[0], []byte(f[1]))
			}
		}
		next := qpack.NewDecoder().Decode(b)
		if got, err := next(); err != nil || got.Name != ":status" || got.Value != fmt.Sprint(status) {
			t.Fatalf("status %d is read as %v (%v)", status, got, err)
		}
		for _, f := range fields {
			if got, err := next(); err != nil || got.Name != strings.ToLower(f[0]) || got.Value != f[1] {
				t.Fatalf("%q is read as %q (%v)", f, got, err)
			}
		}
		if _, err := next(); err != io.EOF {
			t.Fatal(err)
		}
	}
}

func TestInts(t *testing.T) {
	for _, n := range []uint64{0, 1, 63, 64, 16383, 16384, 1<<30 - 1, 1 << 30, 1<<62 - 1} {
		b := AppendInt(nil, n)
		if got, size := Int(b); got != n || size != len(b) || IntSize(b[0]) != size {
			t.Errorf("%d: read as %d from %d of %d bytes", n, got, size, len(b))
		}
		for i := range b {
			if _, size := Int(b[:i]); size != 0 {
				t.Errorf("%d: read from %d of %d bytes", n, i, len(b))
			}
		}
	}
}

func TestSettings(t *testing.T) {
	var many []uint64
	for i := range uint64(33) {
		many = append(many, 0x100+i, i)
	}
	for _, c := range []struct {
		list []uint64
		want error
	}{
		{nil, nil},
		{[]uint64{MaxFieldSectionSize, 16384, MaxTableCapacity, 0, BlockedStreams, 0, 0x21, 7}, nil},
		{[]uint64{MaxFieldSectionSize, 1, MaxFieldSectionSize, 1}, ErrSettings},
		{[]uint64{4, 1}, ErrSettings},
		{[]uint64{0x21}, ErrFrame},
		{many, ErrSettings},
	} {
		b := AppendSettings(nil, c.list...)
		kind, length, size := Header(b)
		if kind != Settings || int(length) != len(b)-size {
			t.Errorf("%v: a frame of kind %d, %d bytes", c.list, kind, length)
		}
		if err := ReadSettings(b[size:]); !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.list, err, c.want)
		}
	}
}

// Whatever is read takes no more than is there, and what was read is what would be
// written, in its shortest form.
func FuzzHeader(f *testing.F) {
	f.Add([]byte{0, 5, 'h'})
	f.Add([]byte{0xc0, 0, 0, 0, 0, 0, 0, 1, 0x40, 0})
	f.Add(AppendSettings(nil, MaxFieldSectionSize, 16384))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, length, size := Header(b)
		if size > len(b) {
			t.Fatalf("%d of %d bytes read", size, len(b))
		}
		if size > 0 {
			again, n, _ := Header(AppendInt(AppendInt(nil, kind), length))
			if again != kind || n != length {
				t.Fatalf("%d and %d become %d and %d", kind, length, again, n)
			}
			if short := AppendInt(AppendInt(nil, kind), length); len(short) > size || len(short) == size && !bytes.Equal(short, b[:size]) {
				t.Fatalf("%x is written as %x", b[:size], short)
			}
		}
		_ = ReadSettings(b)
	})
}
