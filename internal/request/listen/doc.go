// Package listen owns the sockets. It reads requests strictly, asks the door
// about each of them, answers those who are not let in by itself, and hands the
// others to the rooms.
//
// # What flows in and out
//
// In: TCP connections, HTTP/1.0, 1.1 and 2 in clear text or by TLS 1.2 and 1.3, with
// or without a PROXY header before that; HTTP/3 by UDP; certificates from files and from
// listen/acme. Out: a Visit, a Verdict and an Outcome for every request that was
// well formed (Watcher.Record, exactly once each), and requests to the rooms'
// http.Handler. The Visit's path is in its normal form, for judging; rooms get the target as
// it was sent. And of connections themselves, what became of them: counts (Links), and
// whose they are (Watcher.Linked, at most once for each event in a connection's life).
//
// # How it is built
//
// A conn has one goroutine, which follows the framing of messages itself: head,
// fixed or chunked body, trailers, next head. A head counts only when all of it has
// been read and checked.
//
// The door is asked as soon as a head is complete, while no earlier answer is under
// way. A refusal is written straight to the socket and the connection goes on to its
// next head, so that it costs one read, one write and nothing of net/http's. A head that
// is the last one again is not even parsed (again.go). For
// those let in an exchange makes the standard http.Request and is itself the
// http.ResponseWriter; the rooms run on the same goroutine, so that there is no other
// to be woken. Answers therefore stay in order under pipelining. Nobody reads the
// socket meanwhile: that a client has left is seen by the sweeper. Most requests need
// no standard form, and rooms that are a Road get them without (straight.go).
//
// Who is refused time and again in clear text is parked: one goroutine for each
// processor reads and answers for all of them, and whatever might have to wait gets a
// goroutine of its own again (lot.go).
//
// # HTTP/2
//
// An http2conn reads the frames on the connection's own goroutine and asks the door
// about each request, once its fields are whole. Refusals are collected and go out
// together before the next read that waits. A request that is let in is a stream,
// with a goroutine for its rooms; what streams have to send is collected too, and
// whoever finds nobody sending sends for all. One lock guards what they share, and
// is never held while anything waits for the client. Fields make the same head that
// lines make in HTTP/1 (gather), so that the rooms see no difference; an extended
// CONNECT becomes the upgrade that it stands for.
//
// All that a client can pile up has a bound: streams, unread bodies of one connection
// and of all, fields, and what is to be sent. What is useless costs points, and too
// many end the connection (http2_limits.go).
//
// # Malformed messages
//
// What is malformed is answered with 400 (or 408, 413, 417) and one plain line
// saying what was wrong, and closed. A malformed head, or a chunk that arrived
// malformed together with its head, never reaches the door or the rooms. Where
// a body turns out malformed later, reading it fails, so that the origin sees
// an aborted request, and the client is told 400 if no answer had begun.
//
// While a request is being served nothing behind it is interpreted. That is what
// makes an upgrade safe: after Hijack those bytes and all later ones belong to the
// new protocol.
//
// # TLS
//
// A handshake is made on the connection's own goroutine, within the time of a
// first head, behind a PROXY header and before anything else; all above then works
// on what was deciphered. What TLS sends is held to the least rate as answers are,
// and few bytes may come in that give nothing deciphered. Certificates are chosen
// by name and read again when their files change; each is replaced only by one that
// is right. Names without a file have those that listen/acme gets. A certificate
// authority that asks for a proof of ours, by HTTP-01 or TLS-ALPN-01, is answered
// before the door is asked; the visit is recorded as let in for that reason.
//
// Session tickets have keys of our own (tickets), sealed in a file of the data
// folder: a new one each day, three in all. Each tls.Config that is handed to a
// connection must be among tickets.configs, or be a clone of one made after their
// keys were set. What authorities say of certificates in files (OCSP) is fetched in
// the background; no handshake waits for it.
//
// # HTTP/3
//
// Where it is asked for, UDP is bound at the addresses of HTTPS, and said to be
// there (Alt-Svc) on what they answer by TCP. quic-go keeps the connections of QUIC
// (quic.go); an arrival counts each from its first packet on (quic_arrival.go). Until
// the client's address is proven nothing is held against it: no places, no budgets,
// and no question to the door. When many begin at once, newcomers have to prove it
// first (Retry). A conn of HTTP/3 has no socket; it stands in the same registry, is
// swept, evicted, drained and closed like the others, and ends by way of http3.quit.
// Each stream has a goroutine, which reads the head, asks the door and runs the
// rooms; what else the client opens has one each, eight at most. Fields are judged by
// the gather of HTTP/2. Deadlines are the streams' own: a budget of Grace for each
// direction, as below. Windows do not grow, so that a body nobody reads stays with
// the client.
//
// # Before a handshake
//
// When a ClientHello was read, and before any key is touched, its fingerprint is
// computed (JA4; all visits of the connection have it), the door is asked whether
// it is wanted (Greeter), and it is charged to the budgets of its client and of the
// network around it (Handshakes, pace.go). Who is turned away gets a reset and no
// answer. Then it waits at a gate that bounds how many handshakes compute at a time
// (gate.go): those that go on before those whom the door knows, and strangers last,
// one of them at least for three others; more strangers than can wait are turned
// away. A place is given back before each wait for the client, so that half-open
// handshakes hold none. Certificate validation by TLS and trusted proxies go first.
// What finds certificates (tls.Config.GetCertificate) runs while it holds a place,
// and must not wait for anybody.
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
// Who keeps us waiting longer than the honest do is counted at each sweep, long before
// the time is up (links.go).
//
// # Bounds
//
// Connections: MaxConns in all, MaxConnsPerClient for each /32 or /64 and
// MaxConnsPerNetwork for each /24 or /48, counted in tables of fixed size. When
// all places are taken the least useful connections that wait for a request, or
// for the rest of its head, are closed first: those that never sent one or were
// refused last, then the longest idle. Of those in the middle of a request only who
// is waited for may be closed for another, the slowest first, and as a rule only
// where nobody waits for a request; but they hold half of all places at most. Visitors
// whom we know make room only once they hold more than half.
// Memory per idle connection is about 20 KiB, 46 to 62 KiB with TLS. Heads over 2 KiB
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
// A door that panics fails open: the visit, or the handshake, is let in, and that is logged and
// counted. A room that panics costs that request (500, or the connection where
// the answer had begun) and no other.
//
// A request is recorded when its handler returns; one that took the connection
// over (Hijack) at that moment, since it may last for days.
package listen
