package traffic

// HTTPVersion is the version of HTTP that a visit came by.
type HTTPVersion uint8

// The versions; the zero value is unknown.
const (
	HTTPUnknown HTTPVersion = iota
	HTTP10
	HTTP11
	HTTP2
	HTTP3
	HTTPVersions
)

var httpVersionNames = [HTTPVersions]string{"unknown", "1.0", "1.1", "2", "3"}

// String returns the number, as people say it.
func (v HTTPVersion) String() string {
	if v < HTTPVersions {
		return httpVersionNames[v]
	}
	return "http?"
}

// MarshalText writes the number.
func (v HTTPVersion) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// ParseHTTPVersion finds a version by its number.
func ParseHTTPVersion(name string) (HTTPVersion, bool) {
	return find[HTTPVersion](httpVersionNames[:], name)
}
