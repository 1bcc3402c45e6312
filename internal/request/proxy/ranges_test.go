package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestGoodRanges(t *testing.T) {
	for field, want := range map[string]bool{
		"bytes=0-1":                       true,
		"bytes=5-":                        true,
		"bytes=-5":                        true,
		"Bytes = 0-0 , 2-3,\t-1":          true,
		"bytes=0-1,2-3,4-5,6-7,8-9":       true,
		"bytes=0-1,2-3,4-5,6-7,8-9,-1":    false,
		"bytes=8-9,0-1":                   true, // in no order, but few
		"bytes=0-1,1-2":                   false,
		"bytes=0-,0-":                     false,
		"bytes=0-,5-6":                    false,
		"bytes=5-6,0-":                    false,
		"bytes=7-,5-6":                    true,
		"bytes=-1,-2":                     false,
		"bytes=-1,9-":                     false,
		"bytes=5-4":                       false,
		"bytes=":                          false,
		"bytes=,":                         false,
		"bytes=-":                         false,
		"bytes=a-b":                       false,
		"bytes=+1-2":                      false,
		"bytes":                           false,
		"bytes=0-18446744073709551615":    false,
		"items=1-2,1-2":                   true,
		"items=1,2,3,4,5,6":               false,
		"bytes=0-1,2-3,,,":                true,
		"bytes=0-9223372036854775807":     true,
		"bytes=" + strings.Repeat(",", 5): false,
	} {
		if got := goodRanges([]string{field}); got != want {
			t.Errorf("%q: %v", field, got)
		}
	}
	if goodRanges([]string{"bytes=0-1", "bytes=2-3"}) {
		t.Error("two fields")
	}
}

// Whoever asks for too many parts gets the whole page, on both roads.
func TestRangesDropped(t *testing.T) {
	content := strings.Repeat("0123456789", 100)
	url := site2(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"x"`)
		if r.Header.Get("If-Range") != "" && r.Header.Get("Range") == "" {
			t.Error("If-Range came alone")
		}
		http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader(content))
	})
	for _, cfg := range []Config{testConfig(url), config2(url)} {
		h := newHouse(t, cfg)
		for field, status := range map[string]int{
			"bytes=0-1,4-5,8-9,12-13,-1":       206,
			"bytes=0-1,4-5,8-9,12-13,16-17,-1": 200,
			"bytes=0-,0-":                      200,
			"bytes=5-4":                        200,
			"bytes=2000-":                      416,
		} {
			res, body := get(t, "http://"+h.addr+"/", "Range", field, "If-Range", `"x"`)
			if res.StatusCode != status || status == 200 && body != content {
				t.Errorf("%s: %s, %d bytes", field, res.Status, len(body))
			}
		}
	}
}

func FuzzRanges(f *testing.F) {
	for _, s := range []string{"bytes=0-1,-2", "bytes=5-,7-8", "x=1", "bytes=,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		if !goodRanges([]string{field}) {
			return
		}
		// What passes costs a server at most the page and a little more.
		w := &countingWriter{h: http.Header{}}
		r := &http.Request{Method: "GET", Header: http.Header{"Range": {field}}}
		http.ServeContent(w, r, "a.bin", time.Time{}, strings.NewReader(strings.Repeat("a", 100_000)))
		if w.n > 2*100_000+2000 {
			t.Errorf("%q: %d bytes", field, w.n)
		}
	})
}

type countingWriter struct {
	h http.Header
	n int
}

func (w *countingWriter) Header() http.Header { return w.h }
func (w *countingWriter) WriteHeader(int)     {}
func (w *countingWriter) Write(p []byte) (int, error) {
	w.n += len(p)
	return len(p), nil
}

var _ io.Writer = (*countingWriter)(nil)
