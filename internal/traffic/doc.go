// Package traffic holds the words for what was seen: a Visit (one request as
// the door sees it), its Outcome, a Sample kept for study, a Window (one second
// of traffic, summed up) and Normal (what is usual here).
//
// It holds no behaviour beyond reading its own values, does no I/O and keeps
// no clock. Every room above may import it; it imports only kit/clock.
//
// Units: times are clock.Instant or time.Duration, sizes are bytes, rates are
// per second, shares are 0 to 1.
package traffic
