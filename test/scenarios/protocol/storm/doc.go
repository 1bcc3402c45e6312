// Package storm attacks a web server by what HTTP/1.1, HTTP/2, TLS, WebSocket and
// QUIC let a client do, and counts what it did. It knows nothing of what it
// attacks but where that is: what it sends is written by hand, frame by frame, as
// no ordinary client would.
//
// Every attack is bounded: connections at a time, connections a second, units (a
// request, a frame, a handshake) a second, and time. Its connections come from
// very many addresses of 127.64.0.0/10, and lead to loopback only: any other
// target is refused.
package storm
