// Package decide turns findings, orders and reports into mitigations. It is the
// only place where it is decided that anybody is slowed or refused.
//
// In: windows with their findings and signatures (Step), a blatant glance
// (Emergency), the door's reports of repeat offenders (Offences), orders of
// people (Order). Out, each time: an Output: changes for enforce, events for
// the journal, notes for people.
//
// Rules of the configuration (Rules) stand until it changes, and under no cap.
//
// What the machine may do, or in watch mode (Watch) only count:
//
//   - Slow first. A signature refuses when it would have hit at most 0.1 % of
//     the recent ordinary traffic, enough ordinary requests were there to test
//     it on (or it rests on a poor standing), and first visits are spared. It
//     does so at once when the flood is blatant or the origin suffers, otherwise
//     a window later. What locks out first visits refuses only after that
//     did not keep visitors served.
//   - What must not be refused is challenged, where somebody whom it meets could
//     answer: a few first, to see whether a flood answers too (see asking), and
//     nobody where it does. What visitors answer for is not refused.
//   - Everything has an end. A mitigation lives 30 s beyond the last time that
//     the flood met it, and twice as long each time it comes back within one
//     attack, up to ten minutes; the end of an attack ends all of it.
//   - What refused a flood is remembered for ten minutes after its end, and refuses at
//     once when a flood comes back that it hits, or a blatant glance says so: measured
//     anew (Judge), under the same caps, and not what was loosened or undone, meets
//     visitors or locks out first visits. So of a flood in pulses only the first costs
//     anything.
//   - What a person pins stays as it is, and the machine makes no other like it.
//   - Bans of clients whose packets the kernel stops end one after the other
//     while an attack runs (see spread): each is tried, none is kept for good.
//   - It loosens by itself when real visitors are hit more than was expected.
//   - It never undoes an order of a person, and does not repeat for an hour
//     what a person undid, nor what would hit the same requests.
//   - Packets are dropped only by a match that would have hit at most 0.1 % of
//     ordinary packets, and of those that ask for a connection; others are only
//     counted (Slow), and so is what meets visitors' packets after all. Floods of packets are kept apart from those of requests.
//
// Time is passed in as a Moment: expiry runs on Instants, so that a step of the
// wall clock moves none; wall time is for the disk and for people. There is no
// I/O here, and the same input gives the same decisions.
//
// Bounds: 32 signatures of requests, as many remembered ones, and 16 of packets, 20,000 bans by the
// machine, 20,000 orders, 32,768 past offenders and as many undone things, 4,096
// ended mitigations and 4,096 ended bans. Addresses of ended bans are forgotten
// within the hour. Not safe for concurrent use; the control loop's goroutine
// owns a Decider.
package decide
