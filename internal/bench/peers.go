package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"seawall/internal/kit/freeport"
)

// peer is another program that can stand in front of a site and limit requests
// by address.
type peer struct {
	name, program string
	// config is its configuration: where it listens, where the site is, and a
	// folder of its own.
	config func(listen, site, dir string) string
	args   func(file, dir string) []string
}

// peers are those that Debian packages. Both get one worker, read addresses
// from the PROXY protocol, and allow 5 requests a second for each address, with
// room for the burst of a page with its pictures.
func peers() []peer {
	return []peer{
		{
			name: "nginx limit_req", program: "nginx", config: nginxConfig,
			args: func(file, dir string) []string {
				return []string{"-p", dir, "-c", file, "-e", filepath.Join(dir, "error.log")}
			},
		},
		{
			name: "HAProxy stick table", program: "haproxy", config: haproxyConfig,
			args: func(file, _ string) []string { return []string{"-db", "-f", file} },
		},
	}
}

func nginxConfig(listen, site, dir string) string {
	return fmt.Sprintf(`daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid %[3]s/nginx.pid;
events { worker_connections 16384; }
http {
	access_log off;
	client_body_temp_path %[3]s/body;
	proxy_temp_path %[3]s/proxy;
	fastcgi_temp_path %[3]s/fastcgi;
	uwsgi_temp_path %[3]s/uwsgi;
	scgi_temp_path %[3]s/scgi;
	keepalive_requests 100000;
	set_real_ip_from 127.0.0.0/8;
	real_ip_header proxy_protocol;
	limit_req_zone $binary_remote_addr zone=per:16m rate=5r/s;
	limit_req_status 429;
	upstream site { server %[2]s; keepalive 64; }
	server {
		listen %[1]s proxy_protocol;
		location / {
			limit_req zone=per burst=20 nodelay;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_pass http://site;
		}
	}
}
`, listen, site, dir)
}

func haproxyConfig(listen, site, _ string) string {
	return fmt.Sprintf(`global
	nbthread 1
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
frontend front
	bind %s accept-proxy
	stick-table type ipv6 size 1m expire 60s store http_req_rate(10s)
	http-request track-sc0 src
	http-request deny deny_status 429 if { sc_http_req_rate(0) gt 50 }
	option forwardfor
	default_backend site
backend site
	http-reuse always
	server site %s
`, listen, site)
}

// installed says whether the program can be found. Debian puts it where only
// root's path leads.
func (p peer) installed() bool { return p.path() != "" }

func (p peer) path() string {
	if path, err := exec.LookPath(p.program); err == nil {
		return path
	}
	if path := filepath.Join("/usr/sbin", p.program); exists(path) {
		return path
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// peer runs a setup with p in front of the site.
func (b *bench) peer(ctx context.Context, p peer, set setup) (Row, error) {
	dir, err := os.MkdirTemp("", "seawall-bench-")
	if err != nil {
		return Row{}, err
	}
	defer os.RemoveAll(dir)
	free, err := freeport.Loopback(2)
	if err != nil {
		return Row{}, err
	}
	listen, site := free[0], free[1]
	file := filepath.Join(dir, p.program+".conf")
	if err := os.WriteFile(file, []byte(p.config(listen, site, dir)), 0o600); err != nil {
		return Row{}, err
	}
	cmd := exec.Command(p.path(), p.args(file, dir)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	run, err := launch(cmd)
	if err != nil {
		return Row{}, err
	}
	defer run.end(3 * time.Second)
	if err := run.listens(listen); err != nil {
		run.end(3 * time.Second)
		return Row{}, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	set.Front, set.Through, set.SiteListen = "through", listen, site
	s, err := b.demo(ctx, set)
	if err != nil {
		return Row{}, err
	}
	return s.row(p.name), nil
}

// listens waits until the process accepts connections.
func (p *process) listens(addr string) error {
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.done:
			return fmt.Errorf("it ended at once: %w", errors.Join(p.err, errors.New("no reason given")))
		default:
		}
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("it does not listen on %s", addr)
}
