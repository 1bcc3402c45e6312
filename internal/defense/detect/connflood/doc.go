// Package connflood finds floods of connections: opened by the hundreds, and
// nothing asked on them.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that
// held when it was cut. Out: at most one finding a window, an
// attack.ConnectionFlood, in the first window that shows it.
//
// Many connections alone are no flood: a crowd opens as many. What counts are
// those that have shown to be of no use: closed without having asked for anything,
// open without a byte for longer than anybody honest takes, or turned away because
// their client or its network has too many. Browsers open some beforehand and leave them, so that
// each two requests above the usual explain one. Those on which a TLS handshake
// was begun are handshakeflood's.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the
// same. Memory is constant. It fails open: where nobody counts connections it finds
// nothing. Not safe for concurrent use.
package connflood
