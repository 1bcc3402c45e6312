package dashboard

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"seawall/internal/kit/handover"
)

// Server serves the admin address.
type Server struct {
	shield    Shield
	token     string
	log       *slog.Logger
	handler   http.Handler
	inherited func(address string) *net.TCPListener
	ln        *net.TCPListener
	asking    sync.WaitGroup // requests
	patience  time.Duration  // for a request to arrive
}

// farewell is how long requests may take to finish at the end.
const farewell = time.Second

// The kinds of errors of a Shield that are told apart; see Kind.
var (
	// ErrNotFound: nothing like that is known.
	ErrNotFound = errors.New("not found")
	// ErrConfiguration: the new configuration has problems and is not used.
	ErrConfiguration = errors.New("wrong configuration")
	// ErrNotNow: it cannot be had as things are.
	ErrNotNow = errors.New("not now")
)

// Kind makes err one of the kinds above, and leaves its text as it is.
func Kind(kind, err error) error { return kindError{err, kind} }

type kindError struct {
	error
	kind error
}

func (e kindError) Unwrap() []error { return []error{e.error, e.kind} }

// New prepares the server. metrics serves /metrics. token may be "" on loopback.
func New(shield Shield, metrics http.Handler, token string, log *slog.Logger) *Server {
	s := &Server{shield: shield, token: token, log: log, patience: 10 * time.Second}
	s.handler = s.guard(s.routes(metrics))
	return s
}

// Inherit has Listen ask take for a socket that listens already before it binds one;
// nil: there is none. What take returns belongs to the Server.
func (s *Server) Inherit(take func(address string) *net.TCPListener) { s.inherited = take }

// Listen binds the admin address.
func (s *Server) Listen(addr string) error {
	if s.inherited != nil {
		if s.ln = s.inherited(addr); s.ln != nil {
			return nil
		}
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("admin address %s: %w", addr, err)
	}
	s.ln = ln.(*net.TCPListener)
	return nil
}

// Copy makes another descriptor of the listening socket, which belongs to the
// caller. Valid after Listen and before Serve has ended.
func (s *Server) Copy(name string) (*os.File, error) { return handover.Copy(s.ln, name) }

// Addr is where it listens. Valid after Listen.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Serve answers until ctx ends. Event streams end with ctx, and other requests are
// finished, within a moment; none is being served when it returns. After Listen it
// may be called again.
func (s *Server) Serve(ctx context.Context) error {
	h := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       s.patience,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = h.Shutdown(patience)
		_ = h.Close() // whoever does not take an answer
		s.asking.Wait()
	})
	err := h.Serve(s.ln)
	if !stop() {
		<-ended
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin address: %w", err)
	}
	return nil
}

// guard turns away what no operator would send.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asking.Add(1)
		defer s.asking.Done()
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		open := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
		switch {
		case !open && !s.ownHost(r.Host):
			fail(w, http.StatusMisdirectedRequest, "this is Seawall's admin address; use the address that it listens on, not a name")
		case !open && s.token != "" && !s.tokenFits(r):
			// A browser asks for a name and a password and takes the token as the
			// latter; that it sends both by itself is harmless, see doc.go.
			w.Header()["Www-Authenticate"] = []string{`Bearer realm="seawall"`, `Basic realm="Seawall: any name, the admin token as password"`}
			fail(w, http.StatusUnauthorized, "send the admin token: Authorization: Bearer TOKEN")
		case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get("Seawall-Admin") == "":
			fail(w, http.StatusForbidden, "requests that change something carry the header Seawall-Admin: 1, so that no web page can send them")
		default:
			r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
			next.ServeHTTP(w, r)
		}
	})
}

// ownHost says whether a Host is an address or localhost: a foreign name that
// was made to point here (DNS rebinding) is neither.
func (s *Server) ownHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

func (s *Server) tokenFits(r *http.Request) bool {
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		_, got, ok = r.BasicAuth()
	}
	return ok && subtle.ConstantTimeCompare([]byte(got), []byte(s.token)) == 1
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	// An error here means that the reader went away.
	_ = e.Encode(v)
}

func fail(w http.ResponseWriter, status int, what string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": what})
}
