// Package protocol attacks the program, as it is built for users, by what HTTP/1.1,
// HTTP/2, TLS and WebSocket let a client do, while visitors read the site behind
// it. Every attack must leave them unharmed and the program within its memory. And
// what others say about how these protocols are spoken: h2spec, nginx behind us, and
// a real browser in front.
package protocol
