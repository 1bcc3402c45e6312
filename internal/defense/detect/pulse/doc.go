// Package pulse tells that a flood comes in pulses: on and off every few seconds or
// minutes, so that what is done about each is gone when the next one comes.
//
// In: one traffic.Window a second, in order, with what other detectors found in it
// (After). Out: at most one finding a window, an attack.PulseWave, once a flood has come
// back twice, until it is overdue. Its period and how long a pulse lasts are facts of
// the finding. Nothing is done because of it: the flood itself is another detector's
// finding, and what was done about it comes back with it (see decide).
//
// A pulse begins where a flood of requests has at least half of the rate that the
// largest pulse lately had, and ends where it has less than a quarter, or is over. What
// the packet filter's block list holds off meanwhile is not over.
//
// It keeps no clock and does no I/O: fed the same windows and findings, a Detector finds
// the same. Memory is constant: sixteen pulses. Not safe for concurrent use.
package pulse
