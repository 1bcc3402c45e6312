// Package reflection finds reflected floods: answers that nobody here asked
// for, sent by servers elsewhere that somebody asked in our name.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that
// held when it was cut. Out: at most one finding a window, an attack.Reflection,
// in the first window that shows it; What names the service.
//
// What counts as an answer: SYN-ACKs to a server's port (a server opens no
// connections from it), UDP from ports of services that are used to amplify
// (traffic.Amplifier), and RSTs from a server's port, which machines send that
// were asked at a closed one. The filter counts the first two by reason; what
// its rungs let through is estimated from the samples. ICMP errors and later
// fragments that come along are told, and not counted.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the
// same. Memory is constant. It fails open: without a filter it finds nothing.
// Not safe for concurrent use.
package reflection
