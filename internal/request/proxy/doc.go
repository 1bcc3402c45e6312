// Package proxy takes the requests that were let in to the site (the origin)
// and brings the answers back, losing nothing on either way.
//
// In: an *http.Request, and on its ResponseWriter, if listen put them there,
// the Visit, the Verdict and the Outcome of the request; or, for what needs no
// standard form, a Straight. Out: the origin's
// answer, byte for byte, or a page that says why there is none; and in the
// Outcome, what became of it (Reached, OriginTime, Waited, Failed, Shed).
//
// A Gate stands before the origin. It bounds how many requests are there at
// one time and lets them in by rank, so that a flood that nobody has noticed
// yet waits in our line and not in the origin's, where it would make everybody
// wait; those in line meet orders that come meanwhile (again.go). Who sends or reads
// slowly keeps no place there: a form is read whole first, and a request that has
// waited for its client for a quarter of a second, at a time or in all, counts as a
// stream from then on.
//
// The way to the origin is HTTP/1.1 over pooled connections, each used on the
// handler's own goroutine; a second goroutine runs only while a body is still
// being sent. net/http's Transport is not used there: it loses an early answer
// when the origin stops reading, hides an answer that has both Content-Length and
// Transfer-Encoding, and rewrites paths. Origins that are set to it are asked in
// HTTP/2, by net/http's Transport (http2road.go, overhttp2.go, sending.go), as
// gRPC needs; all else is the same.
//
// Memory: a connection to an origin holds 8 KiB of buffers and up to 18 KiB of room for
// heads, a body on its way
// 4 or 32 KiB more in each direction, an answer in HTTP/2 up to 64 KiB that its
// client has not taken yet; lines, slots and tables have fixed sizes. Nothing of a request is kept after it.
//
// Fail-open: where every origin fails its health checks they are asked all the
// same. Where the origin gives no usable answer, visitors get 502 or 504. An
// answer that breaks off is never passed on as if it were whole.
//
// Units: sizes are bytes, times are time.Duration or clock.Instant.
package proxy
