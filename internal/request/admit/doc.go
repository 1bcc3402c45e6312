// Package admit decides on each request: it is the door.
//
// In: a traffic.Visit that identify has filled. Out: a mitigation.Verdict, and
// on the visit itself its Standing and, for visitors known since before an
// attack, a better Clearance. A visit meets the deciders of a ladder, in the
// order that Decide shows; the first that has an opinion ends it.
//
//	off switch, ACME, allow list, bans, what is remembered of the client, its
//	own budget, active mitigations, its neighbours' budget, rank
//
// Beyond its own budget a prefix whose visits fetch assets, or keep their
// clearances, goes behind everybody else (Slow) before it is refused: there may
// be many people behind it.
//
// A challenge asks who wants a page, and has no clearance, to come back with one at
// once, seldom enough that nobody is sent round in a circle; who does not, and whoever
// wants anything else, is slowed.
//
// Greet is asked before all that, about connections that begin a TLS handshake,
// and knows only what they show. It turns away who is banned, and those whom a
// mitigation describes by that alone and whom the door has just refused several
// times; by the machine's word nobody behind whose prefix people are known to be.
// One now and then goes through to the door, to be told why.
//
// Mitigations are asked in two lists: rules of the configuration, then all others. One
// on a dry run is counted and the next is asked (see Shadows). In watch mode
// (Config.Watch) budgets and the machine's mitigations stop nobody; the verdict says
// what would have happened.
//
// The neighbours' budget comes after the mitigations, so that a flood that a
// mitigation refuses does not use up what its honest neighbours share with it.
// Each visit is charged at most once to each budget that it belongs to.
//
// Where visits are known beforehand, as in a log, Expect makes out a group of them and
// DecideExpected decides on each as Decide would, in less time.
//
// What is remembered stands in tables of a fixed size, whatever is sent: about
// BytesPerClient bytes for each of Config.Clients. The keys are keyed hashes of
// prefixes, clearances and names of programs, so that nobody can aim at somebody
// else's entry, and no address is kept in them. Newcomers never push out
// clients that have proven themselves. The one list of raw prefixes, of those
// lately refused, is bounded and erased after an hour (see Recent).
//
// Decide does no I/O, allocates nothing and waits for no client: the locks are
// one per set of eight entries and are held for some tens of nanoseconds.
// Everything here is safe for concurrent use; Apply, Withdraw, UnderAttack,
// Crowded and Calm may be called from any goroutine, and visits see them at once.
//
// Fail-open: where the tables have no room, the visitor is let in on a budget
// that those without room share; where a setting cannot be read, New says so
// and makes nothing. Bans and deny entries fail closed: they need no table.
//
// Units: moments are clock.Instants; rates are requests a second.
package admit
