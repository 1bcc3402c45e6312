// Package scrape finds programs that read page after page, and fetch nothing of what
// pages are made of.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that held
// when it was cut. Out: at most one finding a window, an attack.Scraping. It is for
// people to know of: nobody is refused for it, and it is no flood. A crawler that
// declares itself is named by the name that it gives.
//
// Over a minute, a client that read many different pages, in many of its seconds, with
// next to no assets; or a network of clients (/24, /48) that did so together, with
// three times as many pages.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the same.
// Memory is constant (1,024 clients and networks); a window's samples bound the work.
// Where few of a window's requests are sampled, fewer pages are seen. Not safe for
// concurrent use.
package scrape
