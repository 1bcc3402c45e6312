package crowd

import (
	"strconv"
	"strings"
)

// request is what one request says.
type request struct {
	method, path string
	host         string
	referer      string
	cookie       string
	etag         string
	accept, dest string // of an asset
	site         string // Sec-Fetch-Site
	form         string // the body of a POST
	agent        string
}

// head writes a request with the lines of a browser, in the browser's order.
func (q request) head(lines []string) []byte {
	length := ""
	if q.method == "POST" {
		length = strconv.Itoa(len(q.form))
	}
	fill := strings.NewReplacer(
		"{host}", q.host, "{agent}", q.agent, "{referer}", q.referer, "{cookie}", q.cookie,
		"{etag}", q.etag, "{accept}", q.accept, "{dest}", q.dest, "{site}", q.site, "{length}", length,
	)
	var b strings.Builder
	b.WriteString(q.method + " " + q.path + " HTTP/1.1\r\n")
	for _, line := range lines {
		line = fill.Replace(line)
		if strings.HasSuffix(line, ": ") {
			continue
		}
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	b.WriteString(q.form)
	return []byte(b.String())
}
