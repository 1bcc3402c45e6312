// Package h3 is the wire format of HTTP/3 (RFC 9114) and of the field sections that
// we send (QPACK, RFC 9204), as far as a server writes and reads them: plain values
// and appending functions, without state, streams or goroutines. The reading of
// field sections is left to github.com/quic-go/qpack.
//
// Appending functions return the longer slice, as append does. What is appended
// refers to the static table alone, so that no answer waits for another one, and
// the connection needs no stream for table updates.
package h3
