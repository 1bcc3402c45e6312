package listen

import (
	"fmt"
	"testing"

	"seawall/internal/traffic"
)

// Where a client is, is found out once for a connection, and kept for that one only.
func TestPlaceIsKept(t *testing.T) {
	country, _ := traffic.ParseCountry("PT")
	found := uint32(0)
	h := start(t, testConfig(), testDoor{identify: func(v *traffic.Visit) {
		if !v.Located {
			found++
			v.Network, v.Country, v.Located = found, country, true
		}
	}}, hello)
	for i := uint32(1); i <= 2; i++ {
		c, br := h.send(t, "")
		for _, path := range []string{"/refuse", "/", "/refuse"} {
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
			answer(t, br, "GET")
		}
		for _, s := range h.watch.wait(t, int(3*i))[3*(i-1):] {
			if v := s.visit; v.Network != i || v.Country != country {
				t.Errorf("connection %d: a visit from network %d, %v", i, v.Network, v.Country)
			}
		}
	}
}
