// Package listen owns the sockets. It reads requests strictly, asks the door
// about each of them, answers those who are not let in by itself, and hands the
// others to the rooms.
//
// # What flows in and out
//
// In: TCP connections, HTTP/1.0 and 1.1 in clear text or by TLS 1.2 and 1.3, with
// or without a PROXY header before that; certificates from files. Out: a Visit, a
// Verdict and an Outcome for every request that was well formed (Watcher.Record,
// exactly once each), and requests to the rooms' http.Handler.
//
// # How it is built
//
// A conn stands between the socket and net/http and follows the framing of
// messages itself: head, fixed or chunked body, trailers, next head. It hands
// net/http at most the rest of the current message, never a byte of the next
// one, and a head only when all of it has been read and checked. So what
// net/http and this package think of a message is the same, byte by byte, or
// the message does not pass.
//
// The door is asked as soon as a head is complete, on the connection's own
// goroutine, while no earlier answer is under way. A refusal is written
// straight to the socket and the connection goes on to its next head: net/http
// learns nothing of it. Answers therefore stay in order under pipelining, and a
// refusal costs one read, one write and no HTTP machinery. Only those let in
// reach net/http.
//
// What is malformed is answered with 400 (or 408, 413, 417) and one plain line
// saying what was wrong, and closed. A malformed head, or a chunk that arrived
// malformed together with its head, never reaches the door or the rooms. Where
// a body turns out malformed later, reading it fails, so that the origin sees
// an aborted request, and the client is told 400 if no answer had begun.
//
// While a request is being served the conn holds what the client sends next
// uninterpreted. That is what makes an upgrade safe: after Hijack those bytes
// and all later ones belong to the new protocol.
//
// # TLS
//
// A handshake is made on the connection's own goroutine, within the time of a
// first head, behind a PROXY header and before anything else; all above then works
// on what was deciphered. What TLS sends is held to the least rate as answers are,
// and few bytes may come in that give nothing deciphered. Certificates are chosen
// by name and read again when their files change; each is replaced only by one that
// is right.
//
// # Time
//
// No deadline is set per read or write. A sweeper looks at all connections a
// few times a second and ends what took too long: a head that does not arrive,
// a connection idle for too long, a body or an answer that moves below the
// minimum rate. The rate counts only while a read or write is blocked on the
// client: an event stream with nothing to say, a long poll and a slow origin
// cost the client nothing. Each direction has a budget of Grace; waiting uses
// it up, bytes refill it at MinRate, never beyond Grace.
//
// # Bounds
//
// Connections: MaxConns in all, MaxConnsPerClient for each /32 or /64 and
// MaxConnsPerNetwork for each /24 or /48, counted in tables of fixed size. When
// all places are taken the least useful connections that wait for a request, or
// for the rest of its head, are closed first: those that never sent one or were
// refused last, then the longest idle. Of those in the middle of a request only who
// is waited for may be closed for another, the slowest first, and as a rule only
// where nobody waits for a request; but they hold half of all places at most.
// Memory per idle connection is about 20 KiB, 44 KiB with TLS. Heads over 2 KiB
// borrow one of a bounded number of larger buffers; when those run out, the heads
// that have been arriving for longest are given up.
//
// CloseClients closes the connections of banned clients, whatever is done on
// them, with one walk for many bans.
//
// # Units, ownership, failing
//
// Sizes are bytes, rates bytes a second. Visits belong to listen and are used
// again after Record returns; the strings in them are ordinary Go strings, but
// one of them kept keeps the whole head alive (use Visit.Keep).
// A door that panics fails open: the visit is let in, and that is logged and
// counted. A room that panics costs that request (500, or the connection where
// the answer had begun) and no other.
//
// A request is recorded when its handler returns; one that took the connection
// over (Hijack) at that moment, since it may last for days.
package listen
