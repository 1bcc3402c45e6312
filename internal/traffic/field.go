package traffic

import "fmt"

// Field names one observable trait of a Visit. Heavy hitters are counted and
// signatures are mined by Field; the names are those used in match expressions.
type Field uint8

// The fields, in the order in which they stand in Window.Top.
const (
	FieldClient       Field = iota // the client's own prefix: /32 or /64
	FieldNetwork                   // autonomous system number
	FieldCountry                   // two letters, where the address is registered
	FieldMethod                    // GET, POST, ...
	FieldHost                      // the Host asked for, without port
	FieldPath                      // the path, without the query
	FieldQueryShape                // names of the query's parameters, without values
	FieldUserAgent                 // the User-Agent header as sent
	FieldHeaderOrder               // fingerprint of the order of header names
	FieldKind                      // page, asset, feed, api
	FieldClearance                 // none, proven, known
	FieldStanding                  // how this client has behaved so far
	FieldJA4                       // fingerprint of the connection's ClientHello
	FieldHTTP                      // version of HTTP: 1.0, 1.1, 2, 3
	FieldOpeningHTTP2              // fingerprint of how the connection opened HTTP/2
	Fields                         // how many there are
)

var fieldNames = [Fields]string{
	"client", "network", "country", "method", "host", "path", "query_shape",
	"user_agent", "header_order", "kind", "clearance", "standing",
	"ja4", "http", "http2_opening",
}

// OfConnection says whether a field is known of a connection before its first
// request: it is the same for all visits of it.
func (f Field) OfConnection() bool {
	switch f {
	case FieldClient, FieldNetwork, FieldCountry, FieldJA4:
		return true
	}
	return false
}

// String returns the field's name in match expressions.
func (f Field) String() string {
	if f < Fields {
		return fieldNames[f]
	}
	return "field?"
}

// MarshalText writes the field's name.
func (f Field) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (f *Field) UnmarshalText(b []byte) error {
	v, ok := ParseField(string(b))
	if !ok {
		return fmt.Errorf("unknown field %q", b)
	}
	*f = v
	return nil
}

// ParseField finds a field by its name.
func ParseField(name string) (Field, bool) {
	for f, n := range fieldNames {
		if n == name {
			return Field(f), true
		}
	}
	return 0, false
}

// Kind is the kind of content that a request wants, judged by its path,
// method and Accept header. It decides what a refusal looks like.
type Kind uint8

// The kinds of content.
const (
	KindPage  Kind = iota // an HTML page for a person
	KindAsset             // style, script, image, font of a page
	KindFeed              // RSS, Atom, a calendar: read by a program, for a person
	KindAPI               // JSON or anything else read by a program
	Kinds
)

var kindNames = [Kinds]string{"page", "asset", "feed", "api"}

func (k Kind) String() string {
	if k < Kinds {
		return kindNames[k]
	}
	return "kind?"
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// ParseKind finds a kind by its name.
func ParseKind(name string) (Kind, bool) { return find[Kind](kindNames[:], name) }

// Clearance says what a visitor has shown about itself.
type Clearance uint8

// The clearances, weakest first.
const (
	ClearanceNone   Clearance = iota // no valid cookie of ours
	ClearanceProven                  // a valid cookie of ours came back
	ClearanceKnown                   // known, and behaving, since before the attack
	Clearances
)

var clearanceNames = [Clearances]string{"none", "proven", "known"}

func (c Clearance) String() string {
	if c < Clearances {
		return clearanceNames[c]
	}
	return "clearance?"
}

// MarshalText writes the clearance's name.
func (c Clearance) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ParseClearance finds a clearance by its name.
func ParseClearance(name string) (Clearance, bool) {
	return find[Clearance](clearanceNames[:], name)
}

// Standing is how a client (its prefix together with what it calls itself, the user
// agent) has behaved over its last requests. admit keeps it.
type Standing uint8

// The standings.
const (
	// StandingNew: too few requests to say anything.
	StandingNew Standing = iota
	// StandingGood: keeps cookies or fetches the assets of the pages it reads,
	// within its budget, for a while.
	StandingGood
	// StandingShy: asked for page after page, was given a cookie and never
	// brought it back, and fetched no asset. Some honest programs do so too;
	// by itself this is no reason to refuse anybody.
	StandingShy
	// StandingGreedy: went over its budget again and again.
	StandingGreedy
	// StandingThin: asks for page after page and for hardly what they are made of, at
	// most half as many assets as pages, and never brought our cookie back. It is less
	// than shy: a browser that has the assets already does so too. It tells something
	// only where hardly any ordinary visit is thin, and costs nobody a rank or a budget.
	StandingThin
	Standings
)

var standingNames = [Standings]string{"new", "good", "shy", "greedy", "thin"}

func (s Standing) String() string {
	if s < Standings {
		return standingNames[s]
	}
	return "standing?"
}

// MarshalText writes the standing's name.
func (s Standing) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseStanding finds a standing by its name.
func ParseStanding(name string) (Standing, bool) { return find[Standing](standingNames[:], name) }

func find[T ~uint8](names []string, name string) (T, bool) {
	for i, n := range names {
		if n == name {
			return T(i), true
		}
	}
	return 0, false
}
