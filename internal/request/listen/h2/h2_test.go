package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What is appended here, another implementation reads as it was meant.
func TestFieldsAgainstLibrary(t *testing.T) {
	long := strings.Repeat("x", 5000)
	fields := [][2]string{{"Content-Type", "text/html"}, {"Date", "now"}, {"X-Other", "a, b"}, {"Seawall-Ref", long}, {"Etag", ""}, {"Allow", "GET"},
		{"Accept-Ranges", "none"}, {"Age", "1"}, {"Access-Control-Allow-Origin", "*"}, {"Cache-Control", "no-store"}, {"Content-Disposition", "inline"},
		{"Content-Encoding", "br"}, {"Content-Language", "en"}, {"Content-Length", "12"}, {"Content-Location", "/"}, {"Content-Range", "bytes"},
		{"Expires", "0"}, {"Last-Modified", "then"}, {"Link", "</>"}, {"Location", "/"}, {"Retry-After", "5"}, {"Server", "s"}, {"Set-Cookie", "a=b"},
		{"Strict-Transport-Security", "max-age=1"}, {"Vary", "*"}, {"Www-Authenticate", "Basic"}, {strings.Repeat("Long-", 40) + "Name", "v"}}
	for status := 100; status < 600; status++ {
		b := AppendStatus(nil, status)
		for i, f := range fields {
			if i%2 == 0 {
				b = AppendField(b, f[0], f[1])
			} else {
				b = AppendFieldBytes(b, f[0], []byte(f[1]))
			}
		}
		dec := hpack.NewDecoder(0, nil) // a table that holds nothing
		got, err := dec.DecodeFull(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(fields)+1 || got[0].Name != ":status" || got[0].Value != fmt.Sprint(status) {
			t.Fatalf("status %d is read as %v", status, got[0])
		}
		for i, f := range fields {
			if g := got[i+1]; g.Name != strings.ToLower(f[0]) || g.Value != f[1] {
				t.Fatalf("%q is read as %q: %q", f, g.Name, g.Value)
			}
		}
	}
}

func TestFramesAgainstLibrary(t *testing.T) {
	block := AppendField(AppendStatus(nil, 200), "X-Long", strings.Repeat("y", 40_000))
	b := AppendSettings(nil, uint32(MaxConcurrentStreams), 100, uint32(EnableConnect), 1)
	b = AppendSettingsAck(b)
	b = AppendPingAck(b, []byte("12345678"))
	b = AppendWindowUpdate(b, 7, 1000)
	b = AppendReset(b, 9, RefusedStream)
	b = AppendHeaders(b, 11, block, true)
	b = AppendGoAway(b, 11, EnhanceYourCalm)
	fr := http2.NewFramer(nil, bytes.NewReader(b))
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.MaxHeaderListSize = 1 << 20
	var got []string
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			break
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			n, _ := f.Value(http2.SettingMaxConcurrentStreams)
			got = append(got, fmt.Sprint("settings ", n, " ", f.IsAck()))
		case *http2.PingFrame:
			got = append(got, fmt.Sprintf("ping %s %v", f.Data, f.IsAck()))
		case *http2.WindowUpdateFrame:
			got = append(got, fmt.Sprint("window ", f.StreamID, " ", f.Increment))
		case *http2.RSTStreamFrame:
			got = append(got, fmt.Sprint("reset ", f.StreamID, " ", f.ErrCode))
		case *http2.MetaHeadersFrame:
			got = append(got, fmt.Sprint("headers ", f.StreamID, " ", f.PseudoValue("status"), " ", len(f.Fields[1].Value), " ", f.StreamEnded()))
		case *http2.GoAwayFrame:
			got = append(got, fmt.Sprint("goaway ", f.LastStreamID, " ", f.ErrCode))
		}
	}
	want := "settings 100 false|settings 0 true|ping 12345678 true|window 7 1000|reset 9 REFUSED_STREAM|headers 11 200 40000 true|goaway 11 ENHANCE_YOUR_CALM"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("read as %s\nmeant   %s", s, want)
	}
	if f := Parse([]byte{1, 2, 3, 4, 5, 0xff, 0, 0, 9}); f != (Frame{0x10203, GoAway - 3, 5, 0x7f000009}) {
		t.Errorf("parsed %+v", f)
	}
}
