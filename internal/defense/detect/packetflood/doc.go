// Package packetflood finds floods of packets that belong to no connection and
// are neither SYNs nor answers: ACKs, RSTs, UDP, QUIC Initials, fragments, ICMP
// and packets that contradict themselves.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that
// held when it was cut. Out: at most one finding a window, an
// attack.PacketFlood, in the first window that shows it; What names which.
//
// Visitors send ACKs, UDP (HTTP/3) and Initials too. So of these counts what is
// above the usual peak and not explained by requests and by the bytes that they
// moved; and where the packets come from few sources, as those of a large
// download do, several times as much. RSTs and ICMP errors are explained by the
// SYNs and the answers that bring them (see synflood and reflection).
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the
// same. Memory is constant. It fails open: without a filter it finds nothing.
// Not safe for concurrent use.
package packetflood
