// Package scan finds scanners: clients that ask for pages that are not there, in
// search of a weakness.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that held
// when it was cut. Out: at most one finding a window, an attack.Scanning. It is for
// people to know of: nobody is refused for it, and it is no flood.
//
// Over a minute, a client that asked for many different pages that are not there, and
// for little else, or for some of the names that scanners look for everywhere
// (names.go), without finding them. What pages are made of counts by such a name only,
// for a broken deploy makes every reader ask for much that is missing. Who declares a
// crawler follows old links, and counts by such names only, too.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the same.
// Memory is constant (512 clients); a window's samples bound the work. Where few of a
// window's requests are sampled, a scanner is seen late or not at all. Not safe for
// concurrent use.
package scan
