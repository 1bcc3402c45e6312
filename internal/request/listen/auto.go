package listen

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"seawall/internal/kit/sealed"
	"seawall/internal/mitigation"
	"seawall/internal/request/listen/acme"
)

// store is where what outlives a restart is kept.
type store struct {
	data string      // folder
	box  *sealed.Box // nil: nothing is kept
}

// Keep says where keys and certificates that outlive a restart are kept, and what
// seals them. It is called before Listen. Without it session tickets are good for
// this process only.
func (s *Server) Keep(data string, box *sealed.Box) { s.store = store{data, box} }

// prepareTLS reads what was kept.
func (s *Server) prepareTLS() (errs []error) {
	if s.store.box != nil {
		s.tickets = &tickets{file: filepath.Join(s.store.data, ticketFile), box: s.store.box, log: s.log, configs: []*tls.Config{s.tls}}
		s.tickets.turn(time.Now())
	}
	if cfg := s.cfg.TLS.ACME; cfg.On() && s.certs.auto == nil {
		var err error
		if s.certs.auto, err = acme.New(cfg, s.store.data, s.log); err != nil {
			errs = append(errs, fmt.Errorf("certificates by themselves: %w", err))
		}
	}
	return errs
}

// tendTLS starts what looks after certificates and tickets; stop and endTLS end it.
// It needs mu.
func (s *Server) tendTLS() {
	s.sweeper.Go(func() { s.certs.follow(s.stop, s.log) })
	s.sweeper.Go(func() { s.certs.staple(s.stop, s.log) })
	if s.tickets != nil {
		s.sweeper.Go(func() { s.tickets.follow(s.stop) })
	}
	if s.certs.auto != nil {
		var bound []net.Addr
		for _, l := range s.listeners {
			bound = append(bound, l.Addr())
		}
		n := len(s.cfg.Addresses)
		s.certs.auto.Start(bound[:n], bound[n:])
	}
}

func (s *Server) endTLS() {
	if s.certs != nil && s.certs.auto != nil {
		s.certs.auto.Close()
	}
}

// proves says whether a certificate authority asks for what we have promised it.
// That is answered whatever the door thinks of who asks, and of the times: it is no
// more than what we asked for, and costs less than a refusal.
func (x *exchange) proves() bool {
	v := &x.visit
	if x.c.s.certs == nil || v.RawQuery != "" || v.Method != http.MethodGet && v.Method != http.MethodHead {
		return false
	}
	if x.proof = x.c.s.certs.auto.Answer(v.Host, v.Path); x.proof == "" {
		return false
	}
	x.verdict = mitigation.Verdict{Reason: mitigation.ReasonACME, Rank: mitigation.RankNewcomer}
	return true
}

// proved is the answer to that. It uses buf.
func (x *exchange) proved(buf []byte) mitigation.Answer {
	return mitigation.Answer{Status: http.StatusOK, ContentType: "application/octet-stream", Body: append(buf, x.proof...)}
}

// has says whether there is a certificate with a name.
func (c *certs) has(name string) bool { return len(c.names.Load().with(name)) > 0 || c.auto.Has(name) }

// first is the first name of the first certificate that has one which is no
// pattern.
func (c *certs) first() string {
	for _, one := range c.names.Load().all {
		for _, name := range one.Leaf.DNSNames {
			if !strings.HasPrefix(name, "*") {
				return strings.ToLower(name)
			}
		}
	}
	return c.auto.Known()
}

// ready says whether who asks for a name in clear text may be sent to HTTPS: not
// while the certificate for it is still to be got.
func (c *certs) ready(name string) bool {
	return c.auto == nil || c.has(name) || !c.auto.Wants(name) && c.first() != ""
}

// endStandIns has a session that began with the stand-in end with it: who resumes
// one sees no certificate, and a browser goes on warning of the one it saw first.
func (c *certs) endStandIns(t *tls.Config) {
	const mark = "stand-in"
	standsIn := func(name string) bool { return c.auto.Wants(name) && !c.has(strings.ToLower(name)) }
	t.WrapSession = func(s tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		if standsIn(s.ServerName) {
			session.Extra = append(session.Extra, []byte(mark))
		}
		return t.EncryptTicket(s, session)
	}
	t.UnwrapSession = func(ticket []byte, s tls.ConnectionState) (*tls.SessionState, error) {
		session, err := t.DecryptTicket(ticket, s)
		if session != nil && !standsIn(s.ServerName) &&
			slices.ContainsFunc(session.Extra, func(b []byte) bool { return string(b) == mark }) {
			return nil, nil
		}
		return session, err
	}
}

// CertificateEnds says when the certificate of each name ends that has one in files
// or is to get one; the zero time where there is none yet.
func (s *Server) CertificateEnds() map[string]time.Time {
	if s.certs == nil || s.certs.names.Load() == nil {
		return nil
	}
	ends := s.certs.auto.Ends()
	for _, one := range s.certs.names.Load().all {
		for _, name := range one.Leaf.DNSNames {
			ends[strings.ToLower(name)] = one.Leaf.NotAfter
		}
	}
	return ends
}
