package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"seawall/internal/kit/accesslog"
)

// written makes a file of the test's.
func written(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func logLine(client string, at time.Time, path string) string {
	return fmt.Sprintf("%s - - [%s] \"GET %s HTTP/1.1\" 200 10 \"-\" \"x\"\n", client, at.Format("02/Jan/2006:15:04:05 -0700"), path)
}

var day = time.Date(2019, 11, 12, 9, 0, 0, 0, time.UTC)

// entries reads all entries of files.
func entries(t *testing.T, files ...string) (all []accesslog.Entry, about []*File) {
	t.Helper()
	var l sources
	for _, f := range files {
		s, err := open(t.Context(), f, nil, func(int64) {})
		if err != nil {
			t.Fatal(err)
		}
		about = append(about, s.about)
		l = append(l, s)
		if err := s.next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	defer l.end()
	for {
		s := l.first()
		if s == nil {
			return all, about
		}
		e := s.entry
		for _, text := range []*string{&e.Method, &e.Host, &e.Path, &e.Query, &e.Protocol, &e.Agent, &e.Referer} {
			*text = strings.Clone(*text)
		}
		all = append(all, e)
		if err := l.advance(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// Files of several servers are read as one, by time, however they are compressed.
func TestSources(t *testing.T) {
	var plain, zipped, packed bytes.Buffer
	z := gzip.NewWriter(&zipped)
	p, _ := zstd.NewWriter(&packed)
	for i := range 300 {
		to := []io.Writer{&plain, z, p}[i%3]
		_, _ = io.WriteString(to, logLine("203.0.113.1", day.Add(time.Duration(i)*time.Second), fmt.Sprint("/", i)))
	}
	_ = z.Close()
	_ = p.Close()
	all, about := entries(t, written(t, "a.log", plain.Bytes()), written(t, "b.log.gz", zipped.Bytes()), written(t, "c.log.zst", packed.Bytes()))
	if len(all) != 300 {
		t.Fatalf("%d entries", len(all))
	}
	for i, e := range all {
		if e.Path != fmt.Sprint("/", i) {
			t.Fatalf("entry %d is %+v", i, e)
		}
	}
	for _, f := range about {
		if f.Lines != 100 || f.Bad != 0 || f.Form != accesslog.Combined {
			t.Errorf("%+v", f)
		}
	}
}

// What one line says with escapes is not what the next one says.
func TestEscapedLines(t *testing.T) {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, `{"StartUTC":"2019-11-12T09:00:%02dZ","ClientHost":"192.0.2.%d","RequestMethod":"GET","RequestPath":"/page%d?a=1\u0026b=%d","DownstreamStatus":200,"request_User-Agent":"\"agent\" %d"}`+"\n", i, i, i, i, i)
	}
	all, _ := entries(t, written(t, "traefik.log", []byte(b.String())))
	if len(all) != 50 {
		t.Fatalf("%d entries", len(all))
	}
	for i, e := range all {
		if e.Path != fmt.Sprint("/page", i) || e.Query != fmt.Sprint("a=1&b=", i) || e.Agent != fmt.Sprintf(`"agent" %d`, i) {
			t.Errorf("entry %d is %+v", i, e)
		}
	}
}

// Lines that cannot be read are counted and shown, with their numbers, and end nothing.
func TestBadLines(t *testing.T) {
	text := logLine("203.0.113.1", day, "/1") + "\r\n\n" + "what is this\n" + logLine("203.0.113.1", day, "/2") +
		logLine("203.0.113.1", day, "/3") + strings.Repeat("x", longest+5) + "\n" + strings.Repeat("bad\n", 3) +
		logLine("203.0.113.1", day, "/4") + strings.TrimSuffix(logLine("203.0.113.1", day, "/5"), "\n")
	all, about := entries(t, written(t, "a", []byte(text)))
	if len(all) != 5 {
		t.Errorf("%d entries", len(all))
	}
	f := about[0]
	if f.Lines != 10 || f.Bad != 5 || len(f.Examples) != shownBad {
		t.Errorf("%+v", f)
	}
	for _, e := range f.Examples {
		switch e.Line {
		case 4:
			if e.Text != "what is this" {
				t.Errorf("%+v", e)
			}
		case 7, 8, 9, 10:
		default:
			t.Errorf("%+v", e)
		}
	}
}

// What cannot be read at all is said, and what to do.
func TestCannotOpen(t *testing.T) {
	for name, c := range map[string]struct{ text, say string }{
		"empty":      {"", "it is empty"},
		"blank":      {"\n\n\n", "it is empty"},
		"no log":     {"hello\nworld\n", "--format"},
		"a capture":  {"\xd4\xc3\xb2\xa1\x02\x00\x04\x00", "capture of packets"},
		"broken gz":  {"\x1f\x8b\x08", "EOF"},
		"broken zst": {"\x28\xb5\x2f\xfd\xff\xff", ""},
	} {
		s, err := open(t.Context(), written(t, "x", []byte(c.text)), nil, func(int64) {})
		if err == nil {
			s.end()
		}
		if err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := open(t.Context(), "/nowhere", nil, nil); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
	// One that breaks off in its midst is no shorter log.
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for i := range 5000 {
		_, _ = io.WriteString(z, logLine("203.0.113.1", day, fmt.Sprint("/", i*7919)))
	}
	_ = z.Close()
	s, err := open(t.Context(), written(t, "x", b.Bytes()[:b.Len()-100]), nil, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.end()
	for err == nil {
		err = s.next(context.Background())
	}
	if err == io.EOF || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("the end of a broken file is %v", err)
	}
}

// Seconds go in order, those of one second as they came; what is later than a minute, or
// far ahead of all that follows, is left out.
func TestLine(t *testing.T) {
	var got []string
	l := newLine(day, func(sec time.Time, batch []held) {
		for _, e := range batch {
			// What it took says when it was.
			if when := sec.Add(time.Duration(e.nanos)); e.nanos < 0 || e.nanos >= 1e9 || !day.Add(e.took).Equal(when) {
				t.Errorf("%v among those of %v, as of %v", day.Add(e.took), sec, when)
			}
			got = append(got, e.path)
		}
	})
	late := uint64(0)
	for _, c := range []struct {
		after time.Duration
		path  string
	}{
		{5 * time.Second, "e"}, {0, "b"}, {5*time.Second + 1, "f"}, {-20 * time.Second, "a"}, {2 * time.Second, "c"}, {3 * time.Second, "d"},
		{100 * time.Hour, "by a wrong clock"}, {10 * time.Second, "g"},
		{10 * time.Hour, "h"}, {10*time.Hour + time.Second, "i"}, {time.Hour, "late"}, {10*time.Hour + 2*time.Second, "j"},
	} {
		late += l.take(&accesslog.Entry{Time: day.Add(c.after), Took: c.after, Path: c.path})
	}
	l.rest()
	if s := strings.Join(got, " "); s != "a b c d e f g h i j" || late != 2 || l.bytes != 0 || l.some != 0 {
		t.Errorf("%q, %d late, %d bytes of %d held", s, late, l.bytes, l.some)
	}
	// No more is held than may be.
	big := accesslog.Entry{Path: strings.Repeat("x", 1<<20)}
	for i := range 200 {
		big.Took = 24*time.Hour + time.Duration(i%10)*time.Second
		big.Time = day.Add(big.Took)
		l.take(&big)
		if l.bytes > mostHeld {
			t.Fatalf("%d bytes are held", l.bytes)
		}
	}
}

// What strangers wrote is printed without what a terminal would obey.
func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[2Jb":              "a.[2Jb",
		"\xff\u202eevil\u0085":   "..evil.",
		"größer":                 "größer",
		strings.Repeat("ä", 150): strings.Repeat("ä", 100),
	} {
		if got := plain(in); got != want {
			t.Errorf("%q is printed as %q", in, got)
		}
	}
}
