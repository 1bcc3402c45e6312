// Package replay runs the control loop over recorded logs and captures of packets, in the
// time that they tell of and as fast as it can be read.
//
// In: access logs and captures, plain or compressed, of one server or of several; a
// World, which is the very door and loop that a running Seawall has, on a clock that
// stands still until it is set, with a Ladder that judges packets. Out: a Report: what
// would have been noticed when, what would have been done, and whom it would have hit.
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
// nothing. Packets are judged as they come, those of several captures by their times
// (tapes.go), up to the moment of each step of the loop (packets.go); one that is a
// little earlier than one before it counts as of that one's time. Instead of in their own time they can be
// played at a pace, and the Report says so.
//
// Memory is bounded: 64 MiB of lines, of which what they repeat is kept once (texts.go), half
// a MiB of each capture, 2^20 clients that are told apart, in 64 MiB at most (clients.go), and
// what the door and the loop have.
//
// Requests are made out sixteen at a time before the first of them is decided on (visits.go):
// what is known of their clients, and what the door knows of them, comes from memory side by
// side. Nothing that is decided hangs on it.
//
// The same files give the same report, byte for byte, but for how long it took.
package replay
