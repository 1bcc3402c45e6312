// Package h2 is the wire format of HTTP/2 (RFC 9113) and of its field blocks (HPACK,
// RFC 7541), as far as a server writes and reads them: plain values and appending
// functions, without state, sockets or goroutines. The reading of field blocks is
// left to golang.org/x/net/http2/hpack.
//
// Appending functions return the longer slice, as append does. What is appended is
// never indexed, so that answers may be encoded in any order, and an encoder costs a
// connection no memory.
package h2
