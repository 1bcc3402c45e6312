package freeport

import (
	"net"
	"testing"
)

func TestLoopback(t *testing.T) {
	list, err := Loopback(200)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, addr := range list {
		if seen[addr] {
			t.Errorf("%s is given twice", addr)
		}
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("%s is not free: %v", addr, err)
			continue
		}
		l.Close()
		if port := l.Addr().(*net.TCPAddr).Port; port < first || port >= last {
			t.Errorf("port %d is one for outgoing connections", port)
		}
	}
}

// More than there are: an error, and no hanging.
func TestTooMany(t *testing.T) {
	if list, err := Loopback(tries + 1); err == nil {
		t.Errorf("%d ports", len(list))
	}
}
