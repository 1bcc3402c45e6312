package listen

// The header-order fingerprint: FNV-1a (64 bits, Fowler, Noll and Vo) over the
// HTTP version and the lower-cased names of the header fields in the order
// sent. It is the same after a restart and on every Seawall of a fleet, so no
// secret seed goes in; it tells programs apart and proves nothing.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func mix(h uint64, b byte) uint64 { return (h ^ uint64(b)) * fnvPrime }

// orderless says that a field, by its lower-cased name, is left out of the
// fingerprint, because whether it is there depends on the request and not on
// the program that sends it.
func orderless(name string) bool {
	switch name {
	case
		// State of the visitor: there or not from one request to the next.
		"cookie", "authorization", "proxy-authorization",
		// Where the visitor came from.
		"referer", "origin",
		// The body, if any.
		"content-length", "content-type", "content-encoding", "content-language",
		"transfer-encoding", "trailer", "expect",
		// What the visitor's cache holds, reloads, resumed downloads.
		"cache-control", "pragma", "range", "if-range", "if-match", "if-none-match",
		"if-modified-since", "if-unmodified-since", "last-event-id",
		// Sent for pages and not for what is on them, for clicks and not for
		// scripts, when fetched ahead, and by priority.
		"upgrade-insecure-requests", "sec-fetch-user", "purpose", "sec-purpose",
		"x-moz", "priority", "x-requested-with", "x-csrf-token",
		"access-control-request-method", "access-control-request-headers",
		// Upgrades.
		"upgrade", "http2-settings", "sec-websocket-key", "sec-websocket-version",
		"sec-websocket-protocol", "sec-websocket-extensions",
		// Added on the way by relays and tracing.
		"via", "forwarded", "x-real-ip", "x-request-id", "x-client-ip",
		"true-client-ip", "x-cluster-client-ip", "cdn-loop", "early-data",
		"x-amzn-trace-id", "traceparent", "tracestate", "baggage":
		return true
	}
	return len(name) > 12 && name[:12] == "x-forwarded-" ||
		len(name) > 3 && name[:3] == "cf-"
}
