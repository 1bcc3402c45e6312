// Package observe counts every request and sums up each second of traffic in
// a traffic.Window.
//
// In: Record, once a request, from any number of goroutines, refused requests
// too. Out: Cut, which ends a window and returns it, and Peek, the few numbers
// that the fast path looks at between two windows. Cut and Peek belong to the
// control loop's one goroutine.
//
// Record never waits. It adds to a few atomic counters, and then to the first
// of several shards whose lock is free at that moment; when all are taken (a
// goroutine was put to sleep inside) the request is counted as lost for
// everything but the atomic counters. It allocates nothing. Cut takes each
// shard's lock only to swap a pointer.
//
// What the atomic counters see, and so what is exact: Offered, Admitted,
// Slowed, Refused, ByKind, ByClearance, Felt.Offered and Felt.Served, and
// Origin's Asked, Failed and Shed. A request counts when its answer is
// finished, so one that hangs at the origin shows in Origin.InFlight first.
//
// Felt.Served are requests that got what they came for: let in (or given a
// saved copy), not shed by the full line, answered with a status below 500.
// A refused request counts as offered by its clearance and not as served; one that is
// asked to come back with a cookie counts when it comes back.
// Times felt are of served requests only, and not of those that became a
// connection of another protocol (status 101).
//
// Of connections, which are counted elsewhere, it keeps whose they are: Linked, a few
// times in a connection's life, adds to sketches of clients and of networks by what
// they did, the same way but for their own shards (links.go). CutLinks ends that
// window: it takes the counts since the start and returns differences.
//
// Units: clock.Instant and time.Duration; bytes are of bodies. Strings are cut
// to what traffic.Visit.Keep would keep (16 bytes of a method, 80 of a host,
// 160 of path, query and user agent), also as keys of heavy hitters. Above
// Config.SampleAbove, heavy hitters rest on one request in N, times N.
//
// Memory is allocated by New and never grows, whatever is sent: about 5.7 MiB at
// the defaults on two processors, 2 MiB with SmallConfig; roughly 920 bytes
// times 2.5 times Config.Samples, and 800 bytes times Config.Keys and 96 KiB for
// each shard and for two more; and what is kept of connections, 370 bytes times
// Config.Keys and 8 KiB for each of three. A Window is allocated by Cut, belongs to whoever receives it and
// takes at most 900 bytes times Config.Samples, and some tens of KiB.
//
// Where strings stay as they are (Config.Stays: what is replayed from a log), samples share
// them and need no room for their texts. Where there is one shard, a window is told
// straight from its tally; in a replay (Config.Seed) that tally then goes on in its place.
//
// It cannot fail. Nothing it does decides about a request.
package observe
