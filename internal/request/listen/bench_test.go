package listen

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"seawall/internal/kit/clock"
	"seawall/internal/mitigation"
	"seawall/internal/traffic"
)

const benchHead = " HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n" +
	"Sec-Fetch-Mode: navigate\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: de,en;q=0.9\r\n\r\n"

type noWatcher struct{}

func (noWatcher) Record(*traffic.Visit, mitigation.Verdict, traffic.Outcome) {}
func (noWatcher) TurnedAway(*traffic.Visit, mitigation.Verdict)              {}
func (noWatcher) Linked(netip.Addr, string, traffic.LinkEvent)               {}

// benchDoor refuses with a page of a usual size.
func benchDoor() testDoor {
	page := bytes.Repeat([]byte("sorry "), 300)
	return testDoor{answer: func(buf []byte, _ *traffic.Visit) mitigation.Answer {
		return mitigation.Answer{
			Status: 429, ContentType: "text/html; charset=utf-8", Language: "en", RetryAfter: 5,
			Ref: "ABCDE-FGHJK-MNPQR-STVWX-YZ", Body: append(buf, page...),
		}
	}}
}

func benchRoom(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// ask makes n requests over one connection with no allocation.
func ask(addr, path string, n int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	request := []byte("GET " + path + benchHead)
	br := bufio.NewReaderSize(c, 16<<10)
	length := []byte("Content-Length: ")
	for range n {
		if _, err := c.Write(request); err != nil {
			return err
		}
		size := 0
		for {
			line, err := br.ReadSlice('\n')
			if err != nil {
				return err
			}
			if len(line) == 2 {
				break
			}
			if bytes.HasPrefix(line, length) {
				for _, d := range line[len(length) : len(line)-2] {
					size = size*10 + int(d-'0')
				}
			}
		}
		if _, err := br.Discard(size); err != nil {
			return err
		}
	}
	return nil
}

// Both ends in one process: what is allocated per request.
func benchmarkInProcess(b *testing.B, path string) {
	s := New(testConfig(), benchDoor(), noWatcher{}, http.HandlerFunc(benchRoom), clock.New(), slog.New(slog.DiscardHandler))
	if err := s.Listen(); err != nil {
		b.Fatal(err)
	}
	go func() { _ = s.Serve(b.Context()) }()
	defer s.Close()
	b.ReportAllocs()
	b.ResetTimer()
	if err := ask(s.Addrs()[0].String(), path, b.N); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRefuse(b *testing.B) { benchmarkInProcess(b, "/refuse") }
func BenchmarkAdmit(b *testing.B)  { benchmarkInProcess(b, "/") }

// Only the server's own CPU time, with the server as a process of its own and
// plain net/http beside it in the same run.
func BenchmarkCPU(b *testing.B) {
	for _, k := range []struct{ name, server, path string }{
		{"refuse", "seawall", "/refuse"},
		{"refuse-nethttp", "nethttp", "/refuse"},
		{"admit", "seawall", "/"},
		{"admit-nethttp", "nethttp", "/"},
	} {
		b.Run(k.name, func(b *testing.B) { benchmarkCPU(b, k.server, k.path) })
	}
}

func benchmarkCPU(b *testing.B, server, path string) {
	const connections = 16
	cmd := exec.Command(os.Args[0], "-test.run=^TestServerForBenchmarks$")
	cmd.Env = append(os.Environ(), "SEAWALL_BENCH_SERVER="+server, "GOMAXPROCS=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	addr = strings.TrimSpace(addr)
	if err := ask(addr, path, 100); err != nil {
		b.Fatal(err)
	}
	before := cpuTicks(b, cmd.Process.Pid)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			if err := ask(addr, path, b.N/connections+1); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	used := cpuTicks(b, cmd.Process.Pid) - before
	b.ReportMetric(float64(used)*10_000/float64(b.N), "server-cpu-us/op")
}

// cpuTicks returns user and system time in ticks of 10 ms.
func cpuTicks(b *testing.B, pid int) (n int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range strings.Fields(string(text[bytes.LastIndexByte(text, ')'):]))[12:14] {
		k, _ := strconv.Atoi(f)
		n += k
	}
	return n
}

// TestServerForBenchmarks is the server that BenchmarkCPU starts as a process;
// otherwise it does nothing.
func TestServerForBenchmarks(t *testing.T) {
	door := benchDoor()
	switch os.Getenv("SEAWALL_BENCH_SERVER") {
	case "seawall":
		s := New(testConfig(), door, noWatcher{}, http.HandlerFunc(benchRoom), clock.New(), slog.New(slog.DiscardHandler))
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		fmt.Println(s.Addrs()[0])
		_ = s.Serve(t.Context())
	case "nethttp":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(l.Addr())
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/refuse" {
				benchRoom(w, r)
				return
			}
			a := door.Refuse(nil, nil, mitigation.Verdict{}, nil)
			w.Header()["Content-Type"] = []string{a.ContentType}
			w.Header()["Content-Length"] = []string{strconv.Itoa(len(a.Body))}
			w.Header()["Seawall-Ref"] = []string{a.Ref}
			w.WriteHeader(a.Status)
			_, _ = w.Write(a.Body)
		}))
	}
}
