// Package clock gives the one notion of time that the rooms share.
//
// In memory, moments are Instants: nanoseconds on a clock that only goes
// forward, so that a step of the wall clock (NTP, a person) moves no expiry.
// On disk, moments are wall time, so that they still mean something after a
// restart. A Clock translates between the two, at the moment of translation.
//
// In: nothing. Out: Instants and wall times. A Clock is safe for concurrent
// use and holds no goroutine. It reads time.Now, so testing/synctest drives it;
// one that is stopped is set by whoever replays what was recorded.
package clock
