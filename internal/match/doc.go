// Package match is the one parser and evaluator of match expressions: a
// conjunction of tests on the fields of a Visit, written in CEL syntax.
//
//	path == "/" && kind == "page" && standing == "shy"
//	country in ["RU", "BR"] && !client.within("198.51.100.0/24")
//	user_agent.startsWith("python-") && method != "GET"
//
// Text stands in quotes, network numbers do not (network == 64496). There are
// ==, !=, in [...], startsWith, endsWith, contains, client.within, and ! before
// any of them; true matches everything. Length and number of tests are bounded
// (MaxText, MaxTests, MaxList).
//
// In: an expression (parsed and type-checked by cel-go, then compiled to our
// own tests; a term that the tests cannot express is rejected by name) or tests
// put together in Go. Out: a *Match, immutable and safe for concurrent use,
// whose Hits allocates nothing, and whose String parses back to itself.
//
// admit, sign and replay use it; packet/filter will compile its packet subset.
package match
