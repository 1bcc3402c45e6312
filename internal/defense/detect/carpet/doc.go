// Package carpet finds carpet bombing: floods spread so evenly over the addresses of
// a few networks that no address stands out. Budgets and bans by address, and rates
// by destination, miss them.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that held
// when it was cut. Out: at most one finding a window, an attack.CarpetBombing, in the
// first window that shows it.
//
// A network is a /24 or a /48. It looks at who sends requests, who opens connections,
// and, where there is a packet filter, from which addresses packets come and to which
// of ours they go. There is a carpet where there is far more than usual of one of
// these, half of it or more belongs to sixteen networks or fewer, and in each of them
// eight addresses or more take part, none with more than four times its even share.
// Requests that bring their pages' assets along are people's: a campus is no carpet.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the same.
// Memory is constant, and work bounded by the samples of a window. It fails open:
// what nobody counts it does not look at. Not safe for concurrent use.
package carpet
