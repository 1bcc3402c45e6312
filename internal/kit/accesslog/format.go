package accesslog

import (
	"fmt"
	"strings"
)

// Format is a form of lines. The zero Format is JSON.
type Format struct {
	name  string
	parts []part // of text; nil: JSON
	tabs  []field
}

// part is a piece of a line: what stands before it, and what it means.
type part struct {
	before string
	until  string // the part before it ends where this stands
	field  field
	quoted bool // it ends at a quote that no backslash stands before
	square bool // it is in square brackets, as Apache writes a time
}

// Names of the forms that are known, in the order in which they are tried.
const (
	VHost    = "vhost_combined"
	Combined = "combined"
	Common   = "common"
	JSON     = "json"
	ALB      = "alb"
	Table    = "table"
)

// known are the text forms as their servers describe them.
var known = [...]struct{ name, text string }{
	{ALB, `$type $time_iso8601 $elb $client_port $target_port $request_processing_time $upstream_response_time $response_processing_time $status $target_status $request_length $bytes_sent "$request" "$http_user_agent"`},
	{Combined, `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`},
	{VHost, `%v %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`},
	{Common, `%h %l %u %t "%r" %>s %b`},
}

// Name is the form's.
func (f *Format) Name() string { return f.name }

// Named returns a known form. JSON is what nginx, Caddy, Cloudflare and Traefik write.
func Named(name string) (*Format, bool) {
	if name == JSON {
		return &Format{name: JSON}, true
	}
	for _, k := range known {
		if k.name == name {
			f, err := ParseFormat(k.text)
			if err != nil {
				return nil, false
			}
			f.name = name
			return f, true
		}
	}
	return nil, false
}

// variables are nginx's names of what can be of use here.
var variables = map[string]field{
	"remote_addr": fieldClient, "http_x_forwarded_for": fieldClient, "client_port": fieldClientPort,
	"time_local": fieldTime, "time_iso8601": fieldTime, "msec": fieldTime,
	"request": fieldRequest, "request_method": fieldMethod, "request_uri": fieldURL, "uri": fieldPath,
	"args": fieldQuery, "query_string": fieldQuery, "server_protocol": fieldProtocol,
	"host": fieldHost, "http_host": fieldHost, "server_name": fieldHost,
	"status": fieldStatus, "body_bytes_sent": fieldBytes, "bytes_sent": fieldBytes,
	"http_user_agent": fieldAgent, "http_referer": fieldReferer,
	"request_time": fieldSeconds, "upstream_response_time": fieldOriginSeconds,
}

// directives are Apache's; what stands in braces is told apart by the caller.
var directives = map[byte]field{
	'h': fieldClient, 'a': fieldClient, 't': fieldTime, 'r': fieldRequest, 'm': fieldMethod, 'U': fieldPath, 'q': fieldQuery,
	'H': fieldProtocol, 'V': fieldHost, 'v': fieldHost, 's': fieldStatus, 'b': fieldBytes, 'B': fieldBytes, 'D': fieldMicros, 'T': fieldSeconds,
}

// ParseFormat reads a description as nginx's log_format or Apache's LogFormat has it.
func ParseFormat(text string) (*Format, error) {
	f := &Format{name: "own"}
	before := ""
	for i := 0; i < len(text); {
		p := part{}
		n := 0
		switch c := text[i]; {
		case c == '$':
			name := variable(text[i+1:])
			if n = 1 + len(name); name == "" {
				return nil, fmt.Errorf("a $ without a name after %q", text[:i])
			}
			if text[i+1] == '{' {
				name = name[1 : len(name)-1]
			}
			p.field = variables[name]
		case c == '%' && i+1 < len(text) && text[i+1] != '%':
			var err error
			if p.field, n, err = directive(text[i:]); err != nil {
				return nil, err
			}
			p.square = text[i:i+n] == "%t" && !strings.HasSuffix(before, "[")
		case c == '%':
			before += "%"
			i += 2
			continue
		case c == '\\' && i+1 < len(text): // as Apache's configuration and shells write quotes and tabs
			before += strings.NewReplacer("t", "\t").Replace(text[i+1 : i+2])
			i += 2
			continue
		default:
			before += text[i : i+1]
			i++
			continue
		}
		i += n
		if len(f.parts) > 0 && before == "" {
			return nil, fmt.Errorf("nothing stands between two fields before %q", text[i-n:])
		}
		p.before, p.quoted = before, strings.HasSuffix(before, `"`)
		p.until = before
		if p.square {
			p.until += "[" // a user's name may have spaces
		}
		f.parts = append(f.parts, p)
		before = ""
	}
	for i := range f.parts[:max(len(f.parts)-1, 0)] {
		// Where one pair of quotes holds several fields, each ends as others do.
		if !strings.HasPrefix(f.parts[i+1].before, `"`) {
			f.parts[i].quoted = false
		}
	}
	has := func(want ...field) bool {
		for _, p := range f.parts {
			for _, w := range want {
				if p.field == w {
					return true
				}
			}
		}
		return false
	}
	switch {
	case !has(fieldClient, fieldClientPort):
		return nil, fmt.Errorf("%q does not say where the client's address stands: $remote_addr or %%h", text)
	case !has(fieldTime):
		return nil, fmt.Errorf("%q does not say where the time stands: $time_local or %%t", text)
	case !has(fieldRequest, fieldURL, fieldPath):
		return nil, fmt.Errorf("%q does not say where the request stands: $request or %%r", text)
	}
	return f, nil
}

// variable is the name at the beginning of text, with its braces.
func variable(text string) string {
	if strings.HasPrefix(text, "{") {
		if i := strings.IndexByte(text, '}'); i > 1 {
			return text[:i+1]
		}
		return ""
	}
	n := 0
	for n < len(text) && (text[n] == '_' || 'a' <= text[n] && text[n] <= 'z' || 'A' <= text[n] && text[n] <= 'Z' || '0' <= text[n] && text[n] <= '9') {
		n++
	}
	return text[:n]
}

// directive reads one of Apache's at the beginning of text, and says how long it is.
func directive(text string) (f field, n int, err error) {
	n = 1
	for n < len(text) && strings.IndexByte("<>!,0123456789", text[n]) >= 0 {
		n++
	}
	inner := ""
	if n < len(text) && text[n] == '{' {
		end := strings.IndexByte(text[n:], '}')
		if end < 0 {
			return 0, 0, fmt.Errorf("%q has no closing brace", text)
		}
		inner = text[n+1 : n+end]
		n += end + 1
	}
	if n == len(text) {
		return 0, 0, fmt.Errorf("%q ends too early", text)
	}
	c := text[n]
	n++
	switch {
	case inner == "":
		return directives[c], n, nil
	case c == 'i' && strings.EqualFold(inner, "User-Agent"):
		return fieldAgent, n, nil
	case c == 'i' && strings.EqualFold(inner, "Referer"):
		return fieldReferer, n, nil
	case c == 'i' && strings.EqualFold(inner, "X-Forwarded-For"):
		return fieldClient, n, nil
	case c == 'i' && strings.EqualFold(inner, "Host"):
		return fieldHost, n, nil
	case c == 'a': // %{c}a, the connection's
		return fieldClient, n, nil
	case c == 't' && (inner == "sec" || inner == "msec" || inner == "usec" || strings.Contains(inner, "%")):
		return fieldTime, n, nil
	case c == 'T' && inner == "ms":
		return fieldMillis, n, nil
	case c == 'T' && inner == "us":
		return fieldMicros, n, nil
	case c == 'T':
		return fieldSeconds, n, nil
	}
	return fieldNone, n, nil
}

// columns are names that heads of tables have for what is of use here.
var columns = map[string]field{
	"host": fieldClient, "client": fieldClient, "ip": fieldClient, "c-ip": fieldClient, "remote_addr": fieldClient,
	"time": fieldTime, "timestamp": fieldTime, "method": fieldMethod, "cs-method": fieldMethod,
	"url": fieldURL, "uri": fieldURL, "path": fieldURL, "request": fieldRequest, "query": fieldQuery,
	"response": fieldStatus, "status": fieldStatus, "sc-status": fieldStatus, "bytes": fieldBytes, "sc-bytes": fieldBytes,
	"referer": fieldReferer, "useragent": fieldAgent, "user_agent": fieldAgent,
}

// tableOf reads the head of a table whose columns are apart by tabs.
func tableOf(line string) (*Format, bool) {
	f := &Format{name: Table}
	client, at := false, false
	for name := range strings.SplitSeq(line, "\t") {
		c := columns[strings.ToLower(strings.TrimSpace(name))]
		client, at = client || c == fieldClient, at || c == fieldTime
		f.tabs = append(f.tabs, c)
	}
	return f, client && at && len(f.tabs) >= 3
}
