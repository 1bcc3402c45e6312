// Package twin is the packet filter's ladder in user space, for packets that were
// recorded: it says of each what the program in the kernel (filter/bpf) would have made
// of it, counts it, and shows the control loop an even sample, as the filter does.
//
// In: packets of captures with their moments, of any link that carries IP as a rule;
// which ports and, where that is known, which addresses are protected; mitigations
// (Apply, Withdraw), whose signatures it compares packets with. Out: windows for the
// control loop (Cut, Yet), and Totals of all.
//
// What the program asks the kernel for is not in a capture: sockets and connections. So
// the rung of connections is missing, with its SYN cookies, and so are the lists; more
// is stopped in truth. Whether an answer was asked for is told by the question, where
// the capture has it. All comes in through one processor.
//
// It keeps no clock and does no I/O. Memory is bounded: 1.3 MiB, at most 4,000 samples
// between two Cuts, and a count for each mitigation that there was. The same packets give
// the same counts and samples. Whether it judges as the program does is tested beside it, on
// the same frames (internal/packet). For one goroutine.
package twin
