// Package cachebust finds floods of requests with ever new queries, which no cache can
// have an answer for.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that held
// when it was cut. Out: at most one finding a window, an attack.CacheBusting, of the
// requests with queries (at one path, where most are).
//
// What counts are queries that came once in the window, from clients that do nothing
// that browsers do by themselves: not those of a newsletter, in which every link has a
// number of its own. It needs many more of them than requests with any query at all
// are usual.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the same.
// Memory is constant; a window's samples bound the work. It fails open: while nothing
// is known of the site it needs three times as much. Not safe for concurrent use.
package cachebust
