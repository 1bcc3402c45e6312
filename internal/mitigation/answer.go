package mitigation

// Answer is what a visitor who is not let in gets, ready to be written by any
// connection loop: these header fields, then Body. The writer adds
// Content-Length and, for HEAD, leaves Body out.
type Answer struct {
	Status      int
	ContentType string
	Language    string // of Body: "en"; "" leaves the field out
	RetryAfter  int    // seconds; 0 leaves the field out
	Ref         string // the value of Seawall-Ref
	Cookie      string // the value of Set-Cookie; "" leaves the field out
	Again       bool   // the visitor is sent to what it asked for once more; the writer knows the Location
	Location    string // "" leaves the field out
	Body        []byte // belongs to the buffer that the caller handed in
	Close       bool   // the connection is better closed after this answer
}
