package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// origin is a web site that remembers what reached it.
type origin struct {
	url   string
	conns atomic.Int64  // connections accepted
	more  chan struct{} // lets /steps send an event
	http  *http.Server

	mu   sync.Mutex
	seen []*http.Request // without bodies
}

// newOrigin starts a site. Its pages do one odd thing each.
func newOrigin(t testing.TB) *origin {
	t.Helper()
	o := &origin{more: make(chan struct{}, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.url = "http://" + l.Addr().String()
	m := http.NewServeMux()
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "this is %s", r.URL.Path)
	})
	m.HandleFunc("/echo", echo)
	m.HandleFunc("/sink", sink)
	m.HandleFunc("/zeros", zeros)
	m.HandleFunc("/trailers", trailers)
	m.HandleFunc("/file", file)
	m.HandleFunc("/events", events)
	m.HandleFunc("/steps", o.steps)
	m.HandleFunc("/early", early)
	m.HandleFunc("/slow", slow)
	m.HandleFunc("/ws", ws)
	m.HandleFunc("/cookie", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Cookie")) })
	o.http = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		if len(o.seen) < 100_000 {
			o.seen = append(o.seen, r)
		}
		o.mu.Unlock()
		m.ServeHTTP(w, r)
	}), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			o.conns.Add(1)
		}
	}}
	go o.http.Serve(l) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { o.http.Close() })
	return o
}

// paths returns what was asked for so far.
func (o *origin) paths() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []string
	for _, r := range o.seen {
		list = append(list, r.URL.Path)
	}
	return list
}

// count is how often a path was asked for.
func (o *origin) count(path string) int {
	n := 0
	for _, p := range o.paths() {
		if p == path {
			n++
		}
	}
	return n
}

// last is the newest request for a path, nil if there was none.
func (o *origin) last(path string) *http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.seen) - 1; i >= 0; i-- {
		if o.seen[i].URL.Path == path {
			return o.seen[i]
		}
	}
	return nil
}

// echo sends a body back as it arrives.
func echo(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex()
	w.Header().Set("Trailer", "X-Sum")
	w.Header().Set("X-Encoding", strings.Join(r.TransferEncoding, ","))
	w.Header().Set("X-Length", strconv.FormatInt(r.ContentLength, 10))
	buf, total := make([]byte, 4096), 0
	for {
		n, err := r.Body.Read(buf)
		total += n
		_, _ = w.Write(buf[:n])
		_ = rc.Flush()
		if err != nil {
			break
		}
	}
	w.Header().Set("X-Sum", strconv.Itoa(total))
	for name, v := range r.Trailer {
		w.Header().Set(http.TrailerPrefix+"Back-"+name, strings.Join(v, ","))
	}
}

// sink counts a body.
func sink(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprint(w, n)
}

// zeros sends n bytes.
func zeros(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	buf := make([]byte, 64<<10)
	for n > 0 {
		m, err := w.Write(buf[:min(n, int64(len(buf)))])
		if err != nil {
			return
		}
		n -= int64(m)
	}
}

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-Announced")
	io.WriteString(w, "body")
	w.Header().Set("X-Announced", "one")
	w.Header().Set(http.TrailerPrefix+"X-Unannounced", "two")
}

// file is served with ranges, an ETag and a date.
func file(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"v1"`)
	http.ServeContent(w, r, "file.txt", time.Unix(1_700_000_000, 0), strings.NewReader("0123456789"))
}

// events sends ten events a second.
func events(w http.ResponseWriter, r *http.Request) {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	stream(w, r, t.C)
}

// steps sends one event, and another whenever more says so.
func (o *origin) steps(w http.ResponseWriter, r *http.Request) { stream(w, r, o.more) }

func stream[T any](w http.ResponseWriter, r *http.Request, next <-chan T) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 0; ; i++ {
		fmt.Fprintf(w, "data: %d %d\n\n", i, time.Now().UnixNano())
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-next:
		}
	}
}

// early refuses a body without reading it.
func early(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "close")
	http.Error(w, "too large for us", http.StatusRequestEntityTooLarge)
}

// slow answers after a time.
func slow(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.FormValue("d"))
	if err != nil {
		d = time.Second
	}
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
	fmt.Fprint(w, "at last")
}

// ws echoes messages.
func ws(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	for {
		kind, msg, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if c.Write(r.Context(), kind, msg) != nil {
			return
		}
	}
}
