// Package pcapng writes and walks through capture files in the pcapng format
// (https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/), as far as one
// section with one Ethernet interface needs it.
//
// Pcapng and not the older pcap, since a packet of ours is evidence only together
// with why it was stopped and how many it stands for, and pcap has no place for
// either. Here both stand beside each packet (opt_comment, and epb_verdict for
// the kernel's verdict), and what was lost stands in the file (Interface
// Statistics Block). tcpdump has read pcapng since libpcap 1.1 (2010).
//
// In: packets, whose bytes are only read. Out: blocks of bytes appended to a
// slice, little-endian, each whole; it does no I/O but for Blocks, which reads.
// Times are wall time in nanoseconds.
package pcapng
