package refuse

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"seawall/internal/mitigation"
)

//go:embed page.html
var pageHTML string

// format is the kind of body.
type format uint8

const (
	formatHTML format = iota
	formatJSON
	formatText
	formats
)

func (f format) contentType() string {
	switch f {
	case formatHTML:
		return "text/html; charset=utf-8"
	case formatJSON:
		return "application/problem+json"
	}
	return "text/plain; charset=utf-8"
}

// wait says what a body tells about coming back.
type wait uint8

const (
	waitNot    wait = iota // it will not help
	waitHand               // after so many seconds
	waitReload             // the page comes back by itself
	waits
)

// Marks stand in a rendered body where something is put in for each answer.
// They are words that no template escapes.
const (
	markRef     = "SEAWALLxREFxMARK"
	markSeconds = "SEAWALLxSECONDSxMARK" // a number
	markWait    = "SEAWALLxWAITxMARK"    // "12 seconds"
)

// slot is what stands behind a piece.
type slot uint8

const (
	slotEnd slot = iota
	slotRef
	slotSeconds
	slotWait
)

// piece is fixed bytes and what comes after them.
type piece struct {
	text []byte
	slot slot
}

// body is a rendered answer, cut at its marks.
type body []piece

// render makes one body.
func (r *Refuse) render(why mitigation.Reason, f format, w wait) (body, error) {
	words := wordsFor(why)
	do := textLater
	switch w {
	case waitHand:
		do = textAgain
	case waitReload:
		do = textReload
	}
	do = strings.ReplaceAll(do, "%wait%", markWait)
	tell := textNoOne
	if r.cfg.Contact != "" {
		tell = textContact
	}

	var out bytes.Buffer
	switch f {
	case formatHTML:
		err := r.page.Execute(&out, map[string]any{
			"Language": language, "Site": r.cfg.Site, "Contact": r.cfg.Contact, "Link": r.cfg.link(),
			"Words": words, "Do": do, "Tell": tell, "Personal": textPersonal, "Device": textDevice,
			"Reload": w == waitReload, "Seconds": markSeconds, "RefLabel": textRef, "Ref": markRef,
		})
		if err != nil {
			return nil, err
		}
	case formatJSON:
		status := statusOf(mitigation.Refuse, why, w != waitNot)
		p := problemDocument{
			// With about:blank the title is the status's own (RFC 9457, 4.2.1).
			Type: "about:blank", Title: http.StatusText(status), Status: status,
			Detail: words.Title + ". " + words.Why, Reason: why.String(), Ref: markRef, Contact: r.cfg.Contact,
		}
		if w != waitNot {
			p.RetryAfter = json.RawMessage(strconv.Quote(markSeconds))
		}
		text, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		// The seconds are a number: the quotes around their mark go.
		out.Write(bytes.ReplaceAll(text, []byte(strconv.Quote(markSeconds)), []byte(markSeconds)))
		out.WriteByte('\n')
	default:
		fmt.Fprintf(&out, "%s.\n\n%s\n%s\n\n%s\n%s: %s\n", words.Title, words.Why, do, tell, textRef, markRef)
		if r.cfg.Contact != "" {
			fmt.Fprintln(&out, r.cfg.Contact)
		}
	}
	return cut(out.Bytes()), nil
}

// problemDocument is the JSON body, RFC 9457 with three members of our own.
type problemDocument struct {
	Type       string          `json:"type"`
	Title      string          `json:"title"`
	Status     int             `json:"status"`
	Detail     string          `json:"detail"`
	Reason     string          `json:"reason"`
	Ref        string          `json:"ref"`
	RetryAfter json.RawMessage `json:"retry_after,omitempty"` // seconds
	Contact    string          `json:"contact,omitempty"`
}

// cut cuts a rendered text at its marks.
func cut(text []byte) (b body) {
	for {
		at, s, n := len(text), slotEnd, 0
		for mark, of := range map[string]slot{markRef: slotRef, markSeconds: slotSeconds, markWait: slotWait} {
			if i := bytes.Index(text, []byte(mark)); i >= 0 && i < at {
				at, s, n = i, of, len(mark)
			}
		}
		b = append(b, piece{text[:at:at], s})
		if s == slotEnd {
			return b
		}
		text = text[at+n:]
	}
}

// appendTo writes the body behind dst.
func (b body) appendTo(dst []byte, ref string, seconds int) []byte {
	for i := range b {
		dst = append(dst, b[i].text...)
		switch b[i].slot {
		case slotRef:
			dst = append(dst, ref...)
		case slotSeconds:
			dst = strconv.AppendInt(dst, int64(seconds), 10)
		case slotWait:
			dst = appendWait(dst, seconds)
		}
	}
	return dst
}

// appendWait writes a time as people say it, never shorter than it is.
func appendWait(dst []byte, seconds int) []byte {
	n, unit := seconds, " second"
	switch {
	case seconds > 2*3600:
		n, unit = (seconds+3599)/3600, " hour"
	case seconds > 120:
		n, unit = (seconds+59)/60, " minute"
	}
	dst = append(strconv.AppendInt(dst, int64(n), 10), unit...)
	if n != 1 {
		dst = append(dst, 's')
	}
	return dst
}

func parsePage() (*template.Template, error) { return template.New("refused").Parse(pageHTML) }
