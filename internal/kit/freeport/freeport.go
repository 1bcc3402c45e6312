// Package freeport finds ports on loopback for a program that is about to be
// started: a demonstration, a measurement or a test.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken from [first, last): below those that Linux gives to outgoing
// connections by default (32768 and up), since any connection made before the
// program listens could else take the port away.
const (
	first = 20_000
	last  = 32_768
	tries = 1_000
)

// Loopback returns n different addresses of 127.0.0.1 whose ports are free now.
// All are held until the last is found, and which ones is left to chance, so
// that two programs looking at once rarely get the same.
func Loopback(n int) ([]string, error) {
	var list []string
	for range tries {
		if len(list) == n {
			return list, nil
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first)))
		if err != nil {
			continue
		}
		defer l.Close()
		list = append(list, l.Addr().String())
	}
	return nil, fmt.Errorf("no %d free ports on 127.0.0.1 among %d tried from %d to %d", n, tries, first, last-1)
}
