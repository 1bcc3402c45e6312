// Package filter is the program in the kernel (XDP) that looks at each packet
// before the kernel spends anything on it, and the Go side that loads it, keeps
// its lists and reads its counters.
//
// # What flows in and out
//
// In: a Config, the ports to protect, prefixes to block and to allow, signatures,
// and a renewed lease every few seconds. Out: packets that pass or do not, Counts,
// and the Hits of each signature.
//
// The program is a ladder (bpf/filter.bpf.c), one header a rung: parse,
// malformed, fragments, ICMP, ours to protect?, reflected, block list, source
// budget, QUIC Initials, signatures, new connections, count and sample. What is
// not for a protected port is not judged, but for fragments and ICMP, which have
// no ports and get budgets, for what contradicts itself, which the kernel would
// discard as well, and for floods of answers that no socket waits for.
//
// New connections: what belongs to no connection is stopped, by asking the
// kernel's table of sockets; and while Arm says so, SYNs are answered with the
// kernel's own cookies. Alarm tells when SYNs are many, Samples shows packets.
//
// What is set (rungs, ports, prefix lengths in use) are constants of the loaded
// program, so that what is off costs nothing. A change loads a new program over
// the same maps and switches to it in one step; no packet goes unjudged.
//
// Signatures (sign.go, emit.go) are matches on packets, compiled here to BPF
// instructions. The object has a function for them that is never run as it is: its
// body is replaced before the program is loaded.
//
// # Failing
//
// It fails open. Only while the lease is renewed (Renew) are packets stopped;
// after that all pass but those on a person's ban, decided in the kernel, so
// that neither a crash nor a hanging daemon shuts anybody out. A machine
// without the rights or the kernel for it gets ErrUnsupported with the reason;
// HTTP is defended all the same.
//
// # Units, ownership, bounds
//
// Times on the lists are nanoseconds of the kernel's monotonic clock. All maps
// have a fixed size, taken at the start. A Filter is safe for concurrent use.
// The object in bpf/ is built by `make bpf` and committed; whoever builds
// Seawall needs no clang.
package filter
