package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
)

// The commands as people and scripts use them: arguments in, text, JSON and
// exit codes out. Each script of testdata/script runs the real program.
func TestMain(m *testing.M) {
	time.Local = time.UTC // clock times in golden files are the same everywhere
	testscript.Main(m, map[string]func(){"seawall": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			key, err := age.GenerateX25519Identity()
			if err == nil {
				e.Setenv("KEY", key.Recipient().String())
			}
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"site":  site,
			"ports": ports,
			"get":   get,
			"term":  terminate,
			"code":  code,
			"seen":  seen,
		},
	})
}

// site starts a web site on a free port of loopback, and puts its address into
// $SITE.
func site(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello from the site")
	})}
	go s.Serve(l) //nolint:errcheck // it ends with the script
	ts.Defer(func() { s.Close() })
	ts.Setenv("SITE", "http://"+l.Addr().String())
}

// tried is how many ports were looked at.
var tried atomic.Int64

// ports puts free ports into the variables named, each given once. They lie below
// those that the kernel gives to whoever asks for any, or another script's site or
// a connection could have one before it is listened on.
func ports(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		for {
			port := strconv.FormatInt(20_000+(int64(os.Getpid())*50+tried.Add(1))%10_000, 10)
			l, err := net.Listen("tcp", "127.0.0.1:"+port)
			if errors.Is(err, syscall.EADDRINUSE) {
				continue
			}
			ts.Check(err)
			ts.Check(l.Close())
			ts.Setenv(name, port)
			break
		}
	}
}

// get asks a URL, from an address of ours, until it answers with a status, and puts the reference code of
// a refusal into $REF.
func get(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: get URL STATUS [FROM]")
	}
	client := http.DefaultClient
	if len(args) == 3 {
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(args[2])}}
		client = &http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	var last any
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		req, err := http.NewRequestWithContext(ctx, "GET", args[0], nil)
		ts.Check(err)
		resp, err := client.Do(req)
		if err != nil {
			last = err
			cancel()
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		cancel()
		if last = resp.StatusCode; err == nil && last == want {
			ts.Setenv("REF", resp.Header.Get("Seawall-Ref"))
			_, _ = ts.Stdout().Write(body)
			return
		}
	}
	ts.Fatalf("%s: %v, want %d", args[0], last, want)
}

// seen waits until the Seawall with an admin address has learnt of requests for a path,
// from so many networks that it shows it.
func seen(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: seen ADMIN PATH")
	}
	path := []byte(`"key": "` + args[1] + `"`)
	body := `{"rules": [{"name": "any", "match": "method == \"GET\"", "action": "slow"}]}`
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequest("POST", "http://"+args[0]+"/api/v1/rules/try", strings.NewReader(body))
		ts.Check(err)
		req.Header.Set("Seawall-Admin", "1")
		resp, err := http.DefaultClient.Do(req)
		ts.Check(err)
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if bytes.Contains(text, []byte(`"share"`)) && !bytes.Contains(text, []byte(`"hits": 0,`)) && bytes.Contains(text, path) {
			return
		}
	}
	ts.Fatalf("nothing was learnt within 20 s")
}

// terminate sends SIGTERM to what runs in the background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			ts.Logf("%v", err)
		}
	}
}

// code runs a command line that must end with an exit code: code 2 seawall ...
func code(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = strconv.Itoa(exit.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("ended with %s, want %s", got, args[0])
	}
}
