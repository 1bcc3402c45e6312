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
// An attack goes by the flood of all requests, where there is one, else by the largest
// of those of a part of them (costly pages, new queries, forms), which are described
// from samples of that part (parts.go). What detectors find besides stands in Status
// and is told when it comes and goes (notice.go); nothing else follows from it.
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
// whole loop, and sooner where the glance has just seen what is new. Where packets abound, those of a second are looked at once before it
// is over (early.go). Order, Find and Mitigations hand a question to that goroutine
// and wait for its answer. Nothing on the way of a request ever waits for it.
//
// Rules of the configuration are handed to decide at the start and by Rules; Try says
// what rules would have met of ordinary traffic. In watch mode (Deps.Watch) nothing that
// the machine decides acts. Letter tells what the last days brought.
//
// On disk, in DataDir: mitigations.journal (what is decided, within 100 ms),
// baseline (what is normal, each minute), ordinary (samples of ordinary requests of
// the last week, without addresses, each ten minutes) and days.json (whom each day
// stopped). Bans in the journal hold addresses
// while they are active and for an hour after; see decide.
//
// Fail-open: without a journal, with a failing Applier or a broken detector the
// loop goes on, traffic passes, and the trouble stands in Status and in the
// log. Memory is bounded by the sub-rooms' bounds, the last 100 records and 16
// attacks.
package defense
