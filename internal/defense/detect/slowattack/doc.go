// Package slowattack finds slow attacks: connections that hold what they have by
// keeping us waiting in the middle of a request, with heads that never end
// (Slowloris), bodies that trickle (slow POST), or answers that nobody reads (slow
// read).
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that
// held when it was cut. Out: at most one finding a window, an attack.SlowAttack,
// in the first window that shows it.
//
// It need not wait for connections to be closed for it: listen counts those that
// keep us waiting longer than the honest do already while they are open. A crowd
// has some of them too, on bad lines: of the last ten seconds' requests above the
// usual, one of ten that were answered well explains a body or an answer that has
// come to a halt, and one of fifty of all a head, or a request that had to be given
// up, which those on bad lines hardly ever have to be. So beside a crowd an attack by
// bodies may show only after ten seconds.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the
// same. Memory is constant. It fails open: where nobody counts connections it finds
// nothing. Not safe for concurrent use.
package slowattack
