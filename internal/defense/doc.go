// Package defense is the control loop: it notices floods, decides what to do
// about them, and undoes it.
//
//	observe -> baseline -> detect -> sign -> decide -> enforce
//
// In: visits with what became of them (Record, safe for concurrent use, never
// waiting), the packet filter's counts, how the line for the origin stands, the
// door's reports of repeat offenders, orders of people. Out: mitigations for an
// Applier, the door's stance (under attack, crowded or calm), a Status, Records of
// every step.
//
// What the kernel stops never becomes a request, so each window also says what
// the packet filter did (Deps.Packets). A flood that is held off there is not
// over, and its bans end one after the other: see httpflood and decide.
//
// What became of connections (Deps.Links) is in each window as well. What is found in
// it, and whatever else decide does not act on, is shown and recorded, and refuses
// nobody (findings.go).
//
// Run is one goroutine. Ten times a second it glances at plain counters, so
// that what is blatant is answered within 250 ms; once a second it walks the
// whole loop. Where packets abound, those of a second are looked at once before it
// is over (early.go). Order, Find and Mitigations hand a question to that goroutine
// and wait for its answer. Nothing on the way of a request ever waits for it.
//
// On disk, in DataDir: mitigations.journal (what is decided, within 100 ms) and
// baseline (what is normal, each minute). Bans in the journal hold addresses
// while they are active and for an hour after; see decide.
//
// Fail-open: without a journal, with a failing Applier or a broken detector the
// loop goes on, traffic passes, and the trouble stands in Status and in the
// log. Memory is bounded by the sub-rooms' bounds, the last 100 records and 16
// attacks.
package defense
