// Package socket reads from and writes to TCP connections as package net does, with
// fewer instructions on the way to the kernel and back.
//
// A socket of package net does not block: its read(2) and write(2) are over within
// microseconds. package syscall tells the scheduler of each all the same, which may then
// give the processor's place to others; here it is not told. And recvfrom(2) and
// sendto(2) spare what the kernel does for files of all kinds. What package net does
// otherwise stays as it is: waiting, deadlines, closing.
//
// A Loose is a connection without package net: a Poller tells of many which are to be
// read, for one goroutine that never waits for any of them.
package socket
