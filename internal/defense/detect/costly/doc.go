// Package costly finds floods of few requests, each for a page that keeps the origin
// busy: twenty a second at a page that takes half a second are ten workers' whole time.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that held
// when it was cut. Out: at most one finding a window, an attack.CostlyRequests, of the
// requests for one path.
//
// What counts is the origin's time, summed up by path from the samples, and not the
// number of requests. A page is costly where it takes several times what is usual here.
// It is flooded where it takes half of the origin's time or more, is asked for much more
// than usual, and that by clients that do nothing that browsers do by themselves. An
// origin that is slow everywhere, or a page that many people read, is neither.
//
// Requests for the page that are refused count with what it took before: a flood that
// is held off is not over.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the same.
// Memory is constant; a window's samples bound the work. It fails open: while nothing is
// known of the site it says nothing, and where visitors cannot be told by what they do,
// only while the origin suffers. Not safe for concurrent use.
package costly
