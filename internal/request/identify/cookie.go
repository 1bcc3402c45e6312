package identify

import "strings"

// Limits on looking for our cookie among those that a request brings.
const (
	maxCookieBytes = 16 << 10 // of all Cookie fields together
	maxCookieTries = 4        // cookies of our name that we try to open
)

// ours calls try with the value of each cookie of this name, in order, until it
// says that it is content. It looks at a bounded number of bytes and tries.
func ours(fields []string, name string, try func(value string) bool) {
	room, tries := maxCookieBytes, maxCookieTries
	for _, s := range fields {
		if room -= len(s); room < 0 {
			return
		}
		for {
			// Only cookies in which the name stands somewhere are looked at: a
			// field may hold thousands of others.
			i := strings.Index(s, name)
			if i < 0 {
				break
			}
			var c string
			c, s, _ = strings.Cut(s[strings.LastIndexByte(s[:i], ';')+1:], ";")
			value, ok := cookieNamed(c, name)
			if !ok {
				continue
			}
			if try(value) {
				return
			}
			if tries--; tries == 0 {
				return
			}
		}
	}
}

// cookieNamed returns the value of a cookie iff it has this name (RFC 6265, 5.4, as
// browsers write it and servers read it: blanks around do not count).
func cookieNamed(cookie, name string) (value string, ok bool) {
	cookie = trim(cookie)
	if !strings.HasPrefix(cookie, name) {
		return "", false
	}
	rest := trim(cookie[len(name):])
	if rest == "" || rest[0] != '=' {
		return "", false
	}
	return trim(rest[1:]), true
}

// without returns a Cookie field without the cookies of this name and leaves
// the others as they are, byte for byte, also what separates them. It allocates
// only where it takes one out.
func without(field, name string) string {
	if !strings.Contains(field, name) {
		return field
	}
	var kept []string
	found := false
	for rest, more := field, true; more; {
		var c string
		c, rest, more = strings.Cut(rest, ";")
		if _, ok := cookieNamed(c, name); ok {
			found = true
			continue
		}
		// A name alone, without "=", is one that some servers read as ours.
		if trim(c) == name {
			found = true
			continue
		}
		kept = append(kept, c)
	}
	if !found {
		return field
	}
	return strings.TrimLeft(strings.Join(kept, ";"), " \t")
}
