// Package packet is the packet's way in: everything below the socket.
//
// filter is the program in the kernel and its Go side; craft builds packets for
// the tests in this folder, which show packets to the program and look at the
// verdicts. This package keeps the filter attached and its lease renewed,
// puts on its lists what people order, and gives it signatures.
//
// In: a Config, the ports at which Seawall listens, and mitigations (Apply,
// Withdraw). Out: Stats, windows for the control loop (Cut), and on a person's
// order the headers of sampled packets (Capture). It fails open: where there is no filter, or its lease is
// over, packets pass, and the log says so.
package packet
