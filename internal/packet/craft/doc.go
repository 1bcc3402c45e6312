// Package craft builds packets, well formed ones and odd ones, for tests and
// benchmarks of the packet filter.
//
// In: a Frame, whose zero fields have sensible values. Out: the bytes of an
// Ethernet frame, with all lengths and checksums right. Whoever wants them wrong
// changes the bytes. It sends nothing.
package craft
