package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"seawall/internal/config"
	"seawall/internal/kit/clock"
	"seawall/internal/kit/problem"
	"seawall/internal/request/proxy"
)

// Check adds to what is wrong with a configuration (found, from
// config.Compose) all that only a look at the machine can tell: addresses that
// cannot be had, a data folder that cannot be written, an origin that does not
// answer. It starts nothing.
func Check(ctx context.Context, cfg *config.Config, found error) error {
	if cfg == nil {
		return found
	}
	var l problem.List
	// Whoever checks a changed file while Seawall runs has its ports in use.
	self := running(cfg.Data)
	tryServe(&l, cfg, self)
	tryListen(&l, "admin.listen", cfg.Admin.Listen, self)
	tryData(&l, cfg.Data)
	tryInterfaces(&l, cfg.Packet.Interfaces)
	if len(cfg.Request.Proxy.Origins) > 0 && len(cfg.Request.Proxy.Validate()) == 0 {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if p, err := proxy.New(cfg.Request.Proxy, nil, clock.New(), slog.New(slog.DiscardHandler)); err == nil {
			l.Under("proxy", p.Check(ctx))
			p.Close()
		}
	}

	var errs config.Errors
	if found != nil && !errors.As(found, &errs) {
		return found
	}
	if errs = append(errs, cfg.Locate(l)...); len(errs) == 0 {
		return nil
	}
	return errs
}

func tryServe(l *problem.List, cfg *config.Config, self Running) {
	for i, a := range cfg.Request.Listen.Addresses {
		tryListen(l, fmt.Sprintf("listen.addresses[%d]", i), a, self)
	}
	for i, a := range cfg.Request.Listen.TLS.Addresses {
		tryListen(l, fmt.Sprintf("listen.tls.addresses[%d]", i), a, self)
		if cfg.Request.Listen.TLS.HTTP3 {
			tryPacket(l, fmt.Sprintf("listen.tls.addresses[%d]", i), a, self)
		}
	}
	l.Under("listen", cfg.Request.Listen.CheckCertificates(time.Now()))
}

// tryListen says why an address cannot be had. That self has it is no problem.
func tryListen(l *problem.List, key, addr string, self Running) {
	ln, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		ln.Close()
	case errors.Is(err, syscall.EADDRINUSE) && self.has(addr):
	case errors.Is(err, syscall.EADDRINUSE):
		l.Add(key, "choose another port, or stop what listens there (`ss -ltnp` names it)", "%s is in use by another program", addr)
	case errors.Is(err, fs.ErrPermission):
		l.Add(key, "use a port from 1024 up, or give the program CAP_NET_BIND_SERVICE (the packages do)", "%s may not be used without rights", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		l.Add(key, "write an address of this machine (`ip addr` lists them), or 0.0.0.0 for all", "%s is no address of this machine", addr)
	}
	// Other errors are about how the address is written, which Validate reports.
}

// tryPacket is tryListen for HTTP/3. What is wrong with both is said there.
func tryPacket(l *problem.List, key, addr string, self Running) {
	conn, err := net.ListenPacket("udp", addr)
	switch {
	case err == nil:
		conn.Close()
	case errors.Is(err, syscall.EADDRINUSE) && !self.has(addr):
		l.Add(key, "write http3: false, or stop what listens there (`ss -lunp` names it)", "%s is in use by another program by UDP, which HTTP/3 needs", addr)
	}
}

func tryInterfaces(l *problem.List, names []string) {
	for i, name := range names {
		if _, err := net.InterfaceByName(name); err != nil {
			l.Add(fmt.Sprintf("packet.interfaces[%d]", i), "write a name that `ip link` shows", "%q is no interface of this machine", name)
		}
	}
}

func tryData(l *problem.List, data string) {
	info, err := os.Stat(data)
	if err != nil || !info.IsDir() {
		return // Validate reports what cannot be made
	}
	if unix.Access(data, unix.W_OK|unix.X_OK) != nil {
		l.Add("data", "chown it to the user that runs Seawall", "%s may not be written by this user", data)
	}
}
