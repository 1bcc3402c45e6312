package acme

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// resolver looks names up as the authority will, past /etc/hosts.
type resolver struct {
	servers []string // host:port; none: those of /etc/resolv.conf
}

const (
	resolvConf = "/etc/resolv.conf"
	askFor     = 3 * time.Second // one server, one question
	askMost    = 3               // servers
)

var errNoServer = errors.New("no DNS server is known")

// ask puts one question to the servers in turn. That a name does not exist is an
// answer and no error.
func (r resolver) ask(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	servers := r.servers
	if len(servers) == 0 {
		system, err := dns.ClientConfigFromFile(resolvConf)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", resolvConf, err)
		}
		for _, s := range system.Servers {
			servers = append(servers, net.JoinHostPort(s, system.Port))
		}
	}
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	q.SetEdns0(1232, false) // bytes; DNS flag day 2020
	err := errNoServer
	for _, server := range servers[:min(len(servers), askMost)] {
		var m *dns.Msg
		udp := dns.Client{Timeout: askFor}
		if m, _, err = udp.ExchangeContext(ctx, q, server); err == nil && m.Truncated {
			tcp := dns.Client{Net: "tcp", Timeout: askFor}
			m, _, err = tcp.ExchangeContext(ctx, q, server)
		}
		switch {
		case err != nil:
		case m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError:
			return m, nil
		default:
			err = errors.New("the DNS server answers " + dns.RcodeToString[m.Rcode])
		}
	}
	return nil, err
}

// addresses returns those of a name; none is no error.
func (r resolver) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	var list []netip.Addr
	for _, kind := range []uint16{dns.TypeAAAA, dns.TypeA} {
		m, err := r.ask(ctx, name, kind)
		if err != nil {
			return nil, err
		}
		for _, rr := range m.Answer {
			var ip net.IP
			switch rr := rr.(type) {
			case *dns.A:
				ip = rr.A
			case *dns.AAAA:
				ip = rr.AAAA
			}
			if a, ok := netip.AddrFromSlice(ip); ok {
				list = append(list, a.Unmap())
			}
		}
	}
	return list, nil
}

// caa is what a domain says about who may give certificates for it.
type caa struct {
	at      string // the name that has the records
	issuers []string
	bound   bool // the record that allows us names an account
}

// allowed says whether one of identities may give a certificate that is proven by
// one of methods (RFC 8659, section 3; RFC 8657). It climbs from the name to its
// parents until one has records; where none has, everybody may.
func (r resolver) allowed(ctx context.Context, name string, identities, methods []string) (found caa, ok bool, err error) {
	for at := name; strings.Contains(at, "."); {
		m, err := r.ask(ctx, at, dns.TypeCAA)
		if err != nil {
			return caa{}, false, err
		}
		found, ok, any := readCAA(m.Answer, identities, methods)
		if any {
			found.at = at
			return found, ok, nil
		}
		_, at, _ = strings.Cut(at, ".")
	}
	return caa{}, true, nil
}

// readCAA judges one name's records; any says whether it has some.
func readCAA(answer []dns.RR, identities, methods []string) (found caa, ok, any bool) {
	restricted := false
	for _, rr := range answer {
		rec, is := rr.(*dns.CAA)
		if !is {
			continue
		}
		any = true
		switch strings.ToLower(rec.Tag) {
		case "issue":
			restricted = true
			issuer, rest, _ := strings.Cut(rec.Value, ";")
			issuer = strings.ToLower(strings.TrimSpace(issuer))
			fits, bound := fitsCAA(rest, methods)
			if slices.Contains(identities, issuer) && fits {
				ok, found.bound = true, bound
			}
			if issuer == "" {
				issuer = "nobody"
			}
			found.issuers = append(found.issuers, issuer)
		case "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone":
		default:
			if rec.Flag&0x80 != 0 { // what must be understood and is not
				return caa{issuers: []string{rec.Tag}}, false, true
			}
		}
	}
	return found, ok || !restricted, any
}

// fitsCAA reads the parameters of a record: which methods it allows, and whether it
// is bound to an account.
func fitsCAA(parameters string, methods []string) (fits, bound bool) {
	fits = true
	for p := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(p, "=")
		switch strings.TrimSpace(strings.ToLower(key)) {
		case "accounturi":
			bound = true
		case "validationmethods":
			fits = false
			for m := range strings.SplitSeq(value, ",") {
				fits = fits || slices.Contains(methods, strings.TrimSpace(m))
			}
		}
	}
	return fits, bound
}
