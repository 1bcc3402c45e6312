package refuse

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"seawall/internal/kit/problem"
)

// Config is what a person can set about refusals.
type Config struct {
	// Site is the name shown to people who are refused; empty leaves it out.
	Site string `yaml:"site"`
	// Contact is where they can turn: a mail address, a web address that is not
	// behind this Seawall, or a telephone number. Empty leaves it out.
	Contact string `yaml:"contact"`
}

const (
	mostSite    = 100 // bytes
	mostContact = 300
)

// DefaultConfig names neither.
func DefaultConfig() Config { return Config{} }

// Validate lists what is wrong.
func (c Config) Validate() problem.List {
	var l problem.List
	line := func(key, s string, most int) {
		switch {
		case len(s) > most:
			l.Add(key, "", "%d bytes are too long, %d is the most", len(s), most)
		case !utf8.ValidString(s) || strings.IndexFunc(s, unicode.IsControl) >= 0:
			l.Add(key, "write one line of plain text", "%q is not one line of text", s)
		}
	}
	line("site", c.Site, mostSite)
	line("contact", c.Contact, mostContact)
	if u, err := url.Parse(c.Contact); strings.Contains(c.Contact, "://") && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		l.Add("contact", "write help@example.org or https://status.example.org/", "%q is no web address", c.Contact)
	}
	return l
}

// link is where the contact leads when clicked; "" where that is nowhere.
func (c Config) link() string {
	switch {
	case strings.HasPrefix(c.Contact, "https://"), strings.HasPrefix(c.Contact, "http://"), strings.HasPrefix(c.Contact, "mailto:"):
		return c.Contact
	case strings.Contains(c.Contact, "@") && !strings.ContainsAny(c.Contact, " /:?&"):
		return "mailto:" + c.Contact
	}
	return ""
}
