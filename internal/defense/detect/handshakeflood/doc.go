// Package handshakeflood finds floods of TLS handshakes: begun and not made, or
// made and nothing asked after them. Each costs the server far more than the
// client.
//
// In: one traffic.Window a second, in order, each with the traffic.Normal that
// held when it was cut. Out: at most one finding a window, an
// attack.HandshakeFlood, in the first window that shows it.
//
// A crowd makes as many handshakes, and asks for something after them. So what
// counts are those that came to nothing, but for those in line for us to compute
// and those of clients whom we have banned; those whose connection was closed
// without a request; and those held open. Browsers make some beforehand, so that
// each two requests above the usual explain one. QUIC's handshakes count as well,
// and first packets that were told to come again and did not.
//
// It keeps no clock and does no I/O: fed the same windows, a Detector finds the
// same. Memory is constant. It fails open: where nobody counts connections it finds
// nothing. Not safe for concurrent use.
package handshakeflood
