// Package replay runs the control loop over recorded logs, in the time that they tell
// of and as fast as it can be read.
//
// In: access logs, plain or compressed, of one server or of several; a World, which is
// the very door and loop that a running Seawall has, on a clock that stands still until
// it is set. Out: a Report: what would have been noticed when, what would have been done,
// and whom it would have hit.
//
// What a log does not tell is not made up, but for these: requests of one second, where
// that is all the log knows, are spread evenly over it; who calls itself a browser is
// taken to have asked for a page, unless it was for something that pages are made of; a
// client that the log calls by name gets a made-up address of its own. Cookies are not in
// logs, so nobody is known, and there is no line for the origin; whoever would have been
// slowed is told apart, and counts as let in.
//
// Lines are put in order within a minute; what is later still, or far ahead of all that
// follows, is left out and counted. Lines that cannot be read are counted and shown, and end
// nothing. Memory is bounded: 64 MiB of lines, 2^20 clients that are told apart, and what
// the door and the loop have.
//
// The same files give the same report, byte for byte, but for how long it took.
package replay
