// Package match is the one parser and evaluator of match expressions: a
// conjunction of tests on the fields of a Visit or of a Packet, written in CEL
// syntax.
//
//	path == "/" && kind == "page" && standing == "shy"
//	country in ["RU", "BR"] && !client.within("198.51.100.0/24")
//	user_agent.startsWith("python-") && method != "GET"
//
//	packet.protocol == "udp" && packet.source_port == 161 && packet.length >= 1000
//	packet.flags == "S" && packet.ttl in [52, 54] && packet.payload_at(4, "3082")
//
// Text stands in quotes, network numbers do not (network == 64496). There are
// ==, !=, in [...], startsWith, endsWith, contains, client.within, and ! before
// any of them; true matches every visit. Numbers of packets (ports, length, ttl,
// window) have <, <=, > and >= as well; of packets, addresses have
// packet.source.within, and payloads packet.payload.startsWith and
// packet.payload_at with an offset, both in hexadecimal digits. A match is about
// visits or about packets, never both. A test of a field that a packet does not
// have hits nothing, negated or not (HitsPacket). Length and number of tests are
// bounded (MaxText, MaxTests, MaxList).
//
// In: an expression (parsed and type-checked by cel-go, then compiled to our
// own tests; a term that the tests cannot express is rejected by name) or tests
// put together in Go. Out: a *Match, immutable and safe for concurrent use,
// whose Hits and HitsPacket allocate nothing, and whose String parses back to
// itself.
//
// admit, sign and replay use it; packet/filter compiles those of packets for the
// kernel, and is checked against HitsPacket.
package match
