// Package packet is the packet's way in: everything below the socket.
//
// filter is the program in the kernel and its Go side; craft builds packets for
// the tests in this folder, which show packets to the program and look at the
// verdicts.
package packet
