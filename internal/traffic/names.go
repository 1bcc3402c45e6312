package traffic

import "strings"

// LoginPath says whether a path sounds like one where people log in.
func LoginPath(path string) bool {
	p := strings.ToLower(path)
	for _, word := range [...]string{"login", "signin", "sign-in", "sign_in", "logon", "/auth", "/session", "xmlrpc.php"} {
		if strings.Contains(p, word) {
			return true
		}
	}
	return false
}

// Crawler is the name by which a user agent declares a crawler ("Googlebot"), "" where
// it declares none. Anybody can say so.
func Crawler(agent string) string {
	for _, word := range strings.FieldsFunc(agent, func(r rune) bool { return strings.ContainsRune(" ;,/()+", r) }) {
		w := strings.ToLower(word)
		if strings.Contains(w, ".") || strings.HasPrefix(w, "cubot") { // an address; a maker of phones
			continue
		}
		for _, kind := range [...]string{"bot", "crawler", "spider", "slurp", "externalhit"} {
			if strings.Contains(w, kind) && len(w) > len("bot") {
				return word[:min(len(word), 40)]
			}
		}
	}
	return ""
}
