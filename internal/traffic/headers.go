package traffic

// Headers is a request's header fields as a room may read them, however the
// connection loop keeps them. http.Header is one. Valid while the request is.
type Headers interface {
	// Get returns the first value of a field, "" where there is none. name is
	// in canonical form: "X-Forwarded-For".
	Get(name string) string
	// Values returns all values of a field in the order sent; read only.
	Values(name string) []string
}
