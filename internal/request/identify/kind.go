package identify

import (
	"bytes"
	"strings"

	"seawall/internal/traffic"
)

// The kind of content that a request wants decides what a refusal looks like
// and which budget is charged. When in doubt it is not a page: nobody who did
// not ask for HTML may be shown any.

// maxAccept is how many bytes of Accept and User-Agent are looked at.
const (
	maxAccept = 512
	maxAgent  = 128
)

// kindOf judges by, in this order: an upgrade, the path, what the browser says
// that the answer is for (Sec-Fetch-Dest), the method and its body, and Accept.
func kindOf(v *traffic.Visit, h traffic.Headers) traffic.Kind {
	if h.Get("Upgrade") != "" {
		return traffic.KindAPI // WebSocket and its like
	}
	read := v.Method == "GET" || v.Method == "HEAD"
	path := hintOfPath(v.Path)
	if path == hintNone && strings.HasPrefix(v.RawQuery, "feed=") {
		path = hintFeed // WordPress without pretty addresses
	}
	if read {
		switch path {
		case hintAsset:
			return traffic.KindAsset
		case hintFeed:
			return traffic.KindFeed
		}
	}
	if path == hintAPI || h.Get("X-Requested-With") != "" {
		return traffic.KindAPI
	}
	wants := readAccept(h.Get("Accept"))
	switch dest := h.Get("Sec-Fetch-Dest"); dest {
	case "":
	case "document", "iframe", "frame", "embed", "object", "fencedframe":
		return traffic.KindPage
	case "empty": // fetch, XMLHttpRequest, EventSource
		if read && wants.feed {
			return traffic.KindFeed
		}
		return traffic.KindAPI
	default: // image, style, script, font, audio, video, worker, manifest, ...
		// The front page is no asset of itself, whatever it is called.
		if read && !wants.html && v.Path != "/" {
			return traffic.KindAsset
		}
	}
	if !read {
		return kindOfWrite(v.Method, h.Get("Content-Type"), wants)
	}
	switch {
	case wants.feed:
		return traffic.KindFeed
	case wants.html:
		return traffic.KindPage
	case wants.data:
		return traffic.KindAPI
	case wants.asset:
		return traffic.KindAsset
	case readsFeeds(v.UserAgent):
		return traffic.KindFeed
	}
	return traffic.KindAPI
}

// kindOfWrite tells forms that a person sends from calls that a program makes.
func kindOfWrite(method, contentType string, wants accepted) traffic.Kind {
	if method != "POST" || !wants.html {
		return traffic.KindAPI
	}
	var buf [48]byte
	switch string(mediaType(&buf, contentType)) {
	case "", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain":
		return traffic.KindPage
	}
	return traffic.KindAPI
}

// hint is what a path alone says.
type hint uint8

const (
	hintNone hint = iota
	hintAsset
	hintFeed
	hintAPI
)

func hintOfPath(path string) hint {
	path = strings.TrimSuffix(path, "/")
	slash := strings.LastIndexByte(path, '/')
	last := path[slash+1:]
	if dot := strings.LastIndexByte(last, '.'); dot >= 0 {
		if k := hintOfExtension(last[:dot], last[dot+1:]); k != hintNone {
			return k
		}
	}
	var buf [48]byte
	switch string(lower(&buf, last)) {
	case "feed", "feeds", "rss", "rss2", "atom", "rdf":
		return hintFeed
	case "graphql", "xmlrpc.php", "git-upload-pack", "git-receive-pack", "robots.txt", "sitemap.xml":
		return hintAPI
	case "refs":
		if strings.HasSuffix(path, "/info/refs") {
			return hintAPI // git over HTTP
		}
	}
	// The first segment.
	if len(path) > 1 {
		first, _, _ := strings.Cut(path[1:], "/")
		switch string(lower(&buf, first)) {
		case "api", "wp-json", "graphql":
			return hintAPI
		case ".well-known":
			return hintAPI
		}
	}
	return hintNone
}

func hintOfExtension(base, ext string) hint {
	var buf [48]byte
	switch string(lower(&buf, ext)) {
	case "css", "js", "mjs", "map", "wasm", "webmanifest",
		"png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "ico", "bmp", "apng",
		"woff", "woff2", "ttf", "otf", "eot",
		"mp3", "mp4", "m4a", "m4v", "webm", "ogg", "oga", "ogv", "opus", "wav", "flac", "mov", "m3u8", "ts",
		"pdf", "zip", "gz", "epub", "vtt":
		return hintAsset
	case "rss", "atom", "rdf", "ics":
		return hintFeed
	case "xml", "json":
		name := lower(&buf, base)
		switch {
		case string(name) == "manifest" && strings.EqualFold(ext, "json"):
			return hintAsset
		case string(name) == "index" && strings.EqualFold(ext, "xml"):
			return hintFeed // what static site generators call theirs
		case has(name, "feed"), has(name, "rss"), has(name, "atom"), has(name, "podcast"):
			return hintFeed
		}
		return hintAPI
	}
	return hintNone
}

// accepted is what an Accept header names.
type accepted struct{ html, feed, data, asset bool }

func readAccept(s string) (a accepted) {
	if len(s) > maxAccept {
		s = s[:maxAccept]
	}
	// What browsers say, first: nothing in the rest of it changes the answer.
	if strings.HasPrefix(s, "text/html,application/xhtml+xml,application/xml;q=0.9,") {
		return accepted{html: true}
	}
	slash := [1]byte{'/'}
	for more := true; more; {
		var part string
		part, s, more = strings.Cut(s, ",")
		var buf [48]byte
		t := mediaType(&buf, part)
		switch string(t) {
		case "text/html", "application/xhtml+xml":
			a.html = true
		case "application/rss+xml", "application/atom+xml", "application/rdf+xml", "application/feed+json", "text/calendar":
			a.feed = true
		case "text/css", "application/javascript", "text/javascript", "application/manifest+json":
			a.asset = true
		case "application/json", "application/ld+json", "application/activity+json", "application/graphql-response+json",
			"text/event-stream", "application/grpc", "application/grpc-web", "application/problem+json",
			"application/octet-stream", "application/protobuf", "application/x-protobuf":
			a.data = true
		default:
			if class, _, ok := bytes.Cut(t, slash[:]); ok {
				switch string(class) {
				case "image", "font", "audio", "video":
					a.asset = true
				}
			}
		}
	}
	return a
}

// readsFeeds knows the programs that read feeds and ask for anything at all
// (Accept: */*), by the names that they give themselves.
func readsFeeds(agent string) bool {
	if strings.HasPrefix(agent, "Mozilla/5.0 (") && !strings.HasPrefix(agent[13:], "compatible") {
		return false // a browser, or what wants to be taken for one
	}
	if len(agent) > maxAgent {
		agent = agent[:maxAgent]
	}
	var buf [maxAgent]byte
	s := lowerInto(buf[:0], agent)
	for i, c := range s {
		// One look at each letter, not one search for each name.
		switch rest := s[i:]; c {
		case 'a':
			if begins(rest, "akregator", "antennapod") {
				return true
			}
		case 'c':
			if begins(rest, "castro") {
				return true
			}
		case 'f':
			if begins(rest, "feed") {
				return true
			}
		case 'g':
			if begins(rest, "gpodder") {
				return true
			}
		case 'i':
			if begins(rest, "inoreader", "itunes") {
				return true
			}
		case 'l':
			if begins(rest, "liferea") {
				return true
			}
		case 'm':
			if begins(rest, "miniflux") {
				return true
			}
		case 'n':
			if begins(rest, "netnewswire", "newsblur", "newsboat", "news explorer") {
				return true
			}
		case 'o':
			if begins(rest, "overcast") {
				return true
			}
		case 'p':
			if begins(rest, "podcast", "pocket casts", "pocketcasts") {
				return true
			}
		case 'r':
			if begins(rest, "rss", "reeder") {
				return true
			}
		case 's':
			if begins(rest, "simplepie") {
				return true
			}
		case 't':
			if begins(rest, "theoldreader") {
				return true
			}
		}
	}
	return false
}

func begins(b []byte, names ...string) bool {
	for _, name := range names {
		if len(b) >= len(name) && string(b[:len(name)]) == name {
			return true
		}
	}
	return false
}

// has says whether b contains s. (A string made of b would be allocated.)
func has(b []byte, s string) bool { return bytes.Contains(b, []byte(s)) }

// mediaType writes the type and subtype of a media type in lower case to buf,
// without parameters. Longer ones than buf come out cut.
func mediaType(buf *[48]byte, s string) []byte {
	if i := strings.IndexByte(s, ';'); i >= 0 {
		s = s[:i]
	}
	return lower(buf, trim(s))
}

func lower(buf *[48]byte, s string) []byte {
	if len(s) > len(buf) {
		s = s[:len(buf)]
	}
	return lowerInto(buf[:0], s)
}

// lowerInto appends s in lower case (ASCII).
func lowerInto(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}
