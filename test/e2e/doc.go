// Package e2e drives the program as it is built, from outside, over loopback:
// raw sockets and HTTP clients on the one side, an origin that remembers what
// reached it on the other. What a room promises of itself is tested beside it;
// here is what only the whole can show.
package e2e
