package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// width is that of the text: it fits a terminal, and a mail.
const width = 100

// Text writes the report for people.
func (r Report) Text(w io.Writer) error {
	var b strings.Builder
	subject := ""
	for _, f := range r.Findings {
		if f.Subject != subject {
			if subject != "" {
				b.WriteByte('\n')
			}
			subject = f.Subject
			b.WriteString(strings.ToUpper(subject[:1]) + subject[1:] + "\n")
		}
		paragraph(&b, fmt.Sprintf("  %-9s", f.Level), f.What)
		if f.Do != "" {
			paragraph(&b, strings.Repeat(" ", 11)+"→ ", f.Do)
		}
	}
	fmt.Fprintf(&b, "\n%d good, %d poor, %d missing.", r.Good, r.Poor, r.Missing)
	if r.First == nil {
		b.WriteString(" There is nothing to do.\n")
	} else {
		b.WriteString(" First of all:\n")
		paragraph(&b, "  ", r.First.What)
		paragraph(&b, "  → ", r.First.Do)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// paragraph writes text behind a head, broken into lines that begin below its
// first letter. What stands between backquotes is not broken: people copy it.
func paragraph(b *strings.Builder, head, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	b.WriteString(head)
	at := len(indent)
	for i, word := range words(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width:
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	b.WriteByte('\n')
}

// words splits text at spaces outside backquotes.
func words(text string) (out []string) {
	quoted := false
	for _, f := range strings.Fields(text) {
		if quoted {
			out[len(out)-1] += " " + f
		} else {
			out = append(out, f)
		}
		if strings.Count(f, "`")%2 == 1 {
			quoted = !quoted
		}
	}
	return out
}
