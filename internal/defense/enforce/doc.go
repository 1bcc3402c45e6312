// Package enforce makes what was decided stand: it applies and withdraws
// mitigations, again and again until they took.
//
// In: Set (this mitigation shall stand, as it is now), Drop (this one shall
// not), and Flush, which does what is due. Out: calls of an Applier (the door,
// as a rule) and the list of what failed. A failing or even panicking Applier
// never stops the loop: its mitigation is tried again after 100 ms, then twice
// as long each time, up to 5 s. So is one that had to give way for want of room
// (mitigation.LeftOut). Both directions are idempotent: setting what stands
// unchanged does nothing.
//
// It keeps no clock and does no I/O of its own. It fails open: what could not
// be applied lets traffic pass. Not safe for concurrent use; the control loop's
// goroutine owns it. Memory: one entry for each mitigation that shall stand or
// whose withdrawal is still due.
package enforce
