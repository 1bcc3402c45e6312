// Package peers measures what a request costs Seawall beside nginx and HAProxy:
// the same origin behind each, the same load, one processor each, in turns.
// `make bench-peers` runs it; docs/peers.md says what is compared with what.
//
// Counted is the processor time of the shield's process, in user space and in
// the kernel, of all its threads. No figure comes from a run in which an answer
// was missing or was another than the expected one.
//
// The load comes from wrk and h2load, and from this program where each
// connection is to be looked at. Everything stays on loopback; every process is
// ended by its number.
package peers
