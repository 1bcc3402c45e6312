// Package ja4 computes the JA4 fingerprint of a TLS client: what kind of program
// sent a ClientHello, told by what it offers and not by what it says of itself.
// Only this one of the JA4 family, which is under the BSD 3-Clause licence; the
// others are not.
//
// Specification: FoxIO, "JA4: TLS Client Fingerprinting",
// https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md. The code was
// written from that text alone.
//
//	t13d1516h2_8daaf6152771_e5627efa2ab1
//	|| || | |  |            the extensions but for server name and ALPN, sorted,
//	|| || | |  |            and the signature algorithms as sent (SHA-256, cut)
//	|| || | |  the cipher suites, sorted (SHA-256, cut)
//	|| || | first and last letter of the first protocol of ALPN
//	|| || how many extensions
//	|| |how many cipher suites
//	|| d with a server name, i without
//	|highest version of TLS
//	t over TCP, q in QUIC
//
// Values reserved to be ignored (GREASE, RFC 8701) are left out everywhere, also
// among protocols of ALPN.
//
// In: a whole ClientHello, as the handshake message that a stranger sent
// (OfMessage) or as crypto/tls has read it (OfInfo). Out: a Print, or an error.
// Both ways agree on all that crypto/tls takes (a fuzz test holds them to it), but
// for one thing: crypto/tls tells the version only as a list of those that it
// knows, so that a hello without supported_versions that names a version after TLS
// 1.2 is "13" there and "00" here.
//
// Nothing is allocated, and the work is bounded: more than MostCiphers cipher
// suites, or MostExtensions extensions or signature algorithms, are an error.
// Safe for concurrent use; nothing handed in is kept or changed.
package ja4
