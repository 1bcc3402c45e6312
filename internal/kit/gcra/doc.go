// Package gcra is the arithmetic of the generic cell rate algorithm, in its
// virtual scheduling form (ITU-T Recommendation I.371, annex A; ATM Forum
// Traffic Management 4.1, section 4.4): a token bucket whose whole state is one
// moment, the theoretical arrival time.
//
// In: the state, the time, a cost. Out: the new state, yes or no, and how long
// to wait after a no. It stores nothing, reads no clock and takes no lock; the
// caller keeps the state and makes sure that one goroutine changes it at a time.
//
// Units: moments are clock.Instants, costs are whole requests.
package gcra
