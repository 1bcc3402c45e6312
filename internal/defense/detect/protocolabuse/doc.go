// Package protocolabuse finds abuse of the protocols: what HTTP/2 and 3 allow and
// nobody honest does (requests taken back as soon as they are made, field blocks
// without end, settings and pings by the thousands), what is no protocol at all,
// and malformed requests, such as those by which two servers are made to disagree.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that
// held when it was cut. Out: at most one finding a window, an
// attack.ProtocolAbuse, in the first window that shows it.
//
// Each connection that was closed for abuse has spent a thousand points of
// oddities before (see listen), which takes hundreds of requests or frames: it
// counts as ten malformed requests. What is no protocol costs one message, and
// counts as one.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the
// same. Memory is constant. It fails open: where nobody counts connections it finds
// nothing. Not safe for concurrent use.
package protocolabuse
