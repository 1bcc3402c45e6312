// Package packet is the packet's way in: everything below the socket.
//
// filter is the program in the kernel and its Go side; craft builds packets for
// the tests in this folder, which show packets to the program and look at the
// verdicts; twin is the program's ladder once more, in user space, for packets that were
// recorded, and the tests here hold it to the program. This package keeps the filter attached and its lease renewed,
// puts on its lists what people order and which clients the machine bans that it
// met at the other end of a connection, and gives it signatures. Where XDP cannot
// be had, fallback keeps the lists in nftables (enforcer.go).
//
// The first time it does so on trial (confirm.go): unless somebody confirms that
// the machine can still be reached, it takes the filter off again. It never
// protects the ports of sshd, and spares who is connected to it (sshd.go).
//
// SYN cookies (cookies.go) are armed when SYNs are many, and only where a
// connection made by one was proven to get through the machine's firewall
// (prove.go).
//
// In: a Config, the ports at which Seawall listens, and mitigations (Apply,
// Withdraw). Out: Stats, windows for the control loop (Cut), and on a person's
// order the headers of sampled packets (Capture). It fails open: where there is
// no filter, or its lease is
// over, packets pass, and the log says so.
package packet
