// Package synflood finds floods of SYNs: connections asked for by the
// thousands, and not made.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that
// held when it was cut. Out: at most one finding a window, an attack.SynFlood,
// in the first window that shows it.
//
// Many SYNs alone are no flood: a crowd asks for as many connections. What sets
// it apart is what follows. A visitor's SYN leads to a request within a moment,
// and before that to an ACK and data. So what counts is the excess over the
// usual peak, less what the excess of requests explains; while most packets of
// connections carry data and there are as many as handshakes would bring, the
// requests get five seconds to show up.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the
// same. Memory is constant. It fails open: without a filter it finds nothing.
// Not safe for concurrent use.
package synflood
