// Package mitigation holds the words for what is done: a Mitigation (a match,
// an action, for a time, for a reason), a Verdict (what the door says of one
// visit), an Order (what somebody asks of decide) and an Offence (what the door
// reports to decide).
//
// It holds no behaviour beyond reading its own values and does no I/O.
package mitigation
