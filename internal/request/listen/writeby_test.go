package listen

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A room may have a write end that waits for the client: of one stream where its own
// window is shut, of the connection where nothing is read from that.
func TestWriteByInHTTP2(t *testing.T) {
	for _, reads := range []bool{true, false} {
		failed := make(chan error, 1)
		h := start(t, clearConfig(), testDoor{}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/large" {
				_, _ = io.WriteString(w, "small")
				return
			}
			rc := http.NewResponseController(w)
			if rc.SetWriteDeadline(time.Now().Add(time.Hour)) == nil {
				t.Error("a deadline to come is said to hold")
			}
			over := make(chan struct{})
			time.AfterFunc(300*time.Millisecond, func() {
				defer close(over)
				if err := rc.SetWriteDeadline(time.Unix(1, 0)); err != nil {
					t.Error(err)
				}
			})
			_, err := w.Write(make([]byte, 30<<20))
			<-over
			failed <- err
		})
		var r *raw2
		if reads {
			r = h.raw2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		} else {
			c := h.dial(t)
			_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
			_, _ = io.WriteString(c, http2.ClientPreface)
			r = &raw2{Conn: c, fr: http2.NewFramer(c, c)}
			_ = r.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
		}
		_ = r.fr.WriteWindowUpdate(0, 1<<30)
		r.ask(1, true, "GET", "/large")
		select {
		case err := <-failed:
			if err == nil {
				t.Fatal("all of it was written")
			}
		case <-time.After(10 * time.Second): // well before the least rate would end it
			t.Fatal("the write goes on")
		}
		if reads {
			r.hears(t, "reset 1 CANCEL")
			r.ask(3, true, "GET", "/")
			r.hears(t, "data 3 small")
			continue
		}
		eventually(t, "the end of the connection", func() bool { return h.Stats().Open == 0 })
	}
}
