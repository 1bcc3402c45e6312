// Package pcap reads capture files packet by packet, the classic ones and pcapng
// (https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/ and
// draft-ietf-opsawg-pcapng), whichever byte order and unit of time they have.
//
// In: a stream of a stranger's bytes. Out: a Packet at a time, whose bytes are valid
// until the next one is asked for; what a link is, by its number and its name. Times
// are nanoseconds since 1970.
//
// Memory is bounded, whatever a file says: a buffer of half a MiB, and a few bytes for
// each of at most 4,096 interfaces. A packet that cannot be had by itself is a *Bad, and
// those after it come; where nothing says how long a packet is, the file ends with an
// error.
//
// Read reads whole files, for tests that replay others' floods. Captures of ours are
// written by kit/pcapng.
package pcap
