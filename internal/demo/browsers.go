package demo

import (
	"fmt"
	"strings"

	"seawall/internal/demo/crowd"
)

// browsers are the families that visitors and bots use, each with its headers
// in the order in which it sends them over HTTP/1.1.
func browsers() []crowd.Browser {
	var list []crowd.Browser
	add := func(family crowd.Browser, agents ...string) {
		for _, a := range agents {
			family.Agent = a
			list = append(list, family)
		}
	}
	add(chromium(),
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
	)
	add(firefox(),
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	)
	add(safari(),
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
	)
	return list
}

func chromium() crowd.Browser {
	return crowd.Browser{
		Page: []string{
			"Host: {host}", "Connection: keep-alive", "Upgrade-Insecure-Requests: 1", "User-Agent: {agent}",
			"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
			"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1", "Sec-Fetch-Dest: document",
			"Referer: {referer}", "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8",
			"Cookie: {cookie}", "If-None-Match: {etag}",
		},
		Asset: []string{
			"Host: {host}", "Connection: keep-alive", "User-Agent: {agent}", "Accept: {accept}",
			"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: {dest}",
			"Referer: {referer}", "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8",
			"Cookie: {cookie}", "If-None-Match: {etag}",
		},
		Form: []string{
			"Host: {host}", "Connection: keep-alive", "Content-Length: {length}", "Cache-Control: max-age=0",
			"Origin: http://{host}", "Content-Type: application/x-www-form-urlencoded", "Upgrade-Insecure-Requests: 1",
			"User-Agent: {agent}",
			"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
			"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1", "Sec-Fetch-Dest: document",
			"Referer: {referer}", "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8",
			"Cookie: {cookie}",
		},
	}
}

func firefox() crowd.Browser {
	const accept = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	return crowd.Browser{
		Page: []string{
			"Host: {host}", "User-Agent: {agent}", accept, "Accept-Language: en-GB,en;q=0.5",
			"Accept-Encoding: gzip, deflate, br, zstd", "Referer: {referer}", "Connection: keep-alive", "Cookie: {cookie}",
			"Upgrade-Insecure-Requests: 1", "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate",
			"Sec-Fetch-Site: {site}", "Sec-Fetch-User: ?1", "If-None-Match: {etag}", "Priority: u=0, i",
		},
		Asset: []string{
			"Host: {host}", "User-Agent: {agent}", "Accept: {accept}", "Accept-Language: en-GB,en;q=0.5",
			"Accept-Encoding: gzip, deflate, br, zstd", "Referer: {referer}", "Connection: keep-alive", "Cookie: {cookie}",
			"Sec-Fetch-Dest: {dest}", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Site: {site}", "If-None-Match: {etag}", "Priority: u=2",
		},
		Form: []string{
			"Host: {host}", "User-Agent: {agent}", accept, "Accept-Language: en-GB,en;q=0.5",
			"Accept-Encoding: gzip, deflate, br, zstd", "Referer: {referer}",
			"Content-Type: application/x-www-form-urlencoded", "Content-Length: {length}", "Origin: http://{host}",
			"Connection: keep-alive", "Cookie: {cookie}", "Upgrade-Insecure-Requests: 1", "Sec-Fetch-Dest: document",
			"Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: {site}", "Sec-Fetch-User: ?1", "Priority: u=0, i",
		},
	}
}

func safari() crowd.Browser {
	const accept = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	return crowd.Browser{
		Page: []string{
			"Host: {host}", accept, "Sec-Fetch-Site: {site}", "Cookie: {cookie}", "Sec-Fetch-Dest: document",
			"Accept-Language: en-GB,en;q=0.9", "Sec-Fetch-Mode: navigate", "User-Agent: {agent}", "Referer: {referer}",
			"Accept-Encoding: gzip, deflate", "If-None-Match: {etag}", "Connection: keep-alive",
		},
		Asset: []string{
			"Host: {host}", "Accept: {accept}", "Sec-Fetch-Site: {site}", "Cookie: {cookie}", "Sec-Fetch-Dest: {dest}",
			"Accept-Language: en-GB,en;q=0.9", "Sec-Fetch-Mode: no-cors", "User-Agent: {agent}", "Referer: {referer}",
			"Accept-Encoding: gzip, deflate", "If-None-Match: {etag}", "Connection: keep-alive",
		},
		Form: []string{
			"Host: {host}", "Content-Type: application/x-www-form-urlencoded", "Origin: http://{host}",
			"Cookie: {cookie}", "Content-Length: {length}", accept, "Sec-Fetch-Site: {site}",
			"Accept-Language: en-GB,en;q=0.9", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
			"User-Agent: {agent}", "Referer: {referer}", "Accept-Encoding: gzip, deflate", "Connection: keep-alive",
		},
	}
}

// heads are the requests of bots: for "/", with the headers of a browser in its
// order, as on a first visit. They bring no cookie back and never send more.
func heads(host string) [][]byte {
	var list [][]byte
	for _, b := range browsers() {
		fill := strings.NewReplacer("{host}", host, "{agent}", b.Agent, "{site}", "none")
		var out strings.Builder
		out.WriteString("GET / HTTP/1.1\r\n")
		for _, line := range b.Page {
			if strings.Contains(line, "{cookie}") || strings.Contains(line, "{referer}") || strings.Contains(line, "{etag}") {
				continue
			}
			fmt.Fprintf(&out, "%s\r\n", fill.Replace(line))
		}
		out.WriteString("\r\n")
		list = append(list, []byte(out.String()))
	}
	return list
}
