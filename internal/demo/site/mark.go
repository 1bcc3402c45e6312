package site

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// markWord begins the mark, which stands on the last line of every text body:
//
//	<!-- campaign-site:/news:3f2a90c1d4b5e6f7 -->
//
// The digits are the first 64 bits of SHA-256 over all bytes before that line.
const markWord = "campaign-site:"

// Mark appends the mark of path to a body. open and end are what makes a
// comment in the body's language, such as "<!-- " and " -->".
func Mark(body []byte, path, open, end string) []byte {
	if len(body) > 0 && body[len(body)-1] != '\n' {
		body = append(body, '\n')
	}
	sum := digest(body)
	return append(body, open+markWord+path+":"+sum+end+"\n"...)
}

// Check says what is wrong with a body that should be the answer for path. A
// PDF carries no mark; it must be whole.
func Check(path string, body []byte) error {
	if bytes.HasPrefix(body, []byte("%PDF-")) {
		if !bytes.HasSuffix(bytes.TrimSpace(body), []byte("%%EOF")) {
			return fmt.Errorf("the PDF is cut short after %d bytes", len(body))
		}
		return nil
	}
	at := bytes.LastIndex(body, []byte(markWord))
	if at < 0 {
		return fmt.Errorf("no mark of the site in %d bytes", len(body))
	}
	line := bytes.LastIndexByte(body[:at], '\n') + 1
	want := markWord + path + ":" + digest(body[:line])
	if !bytes.HasPrefix(body[at:], []byte(want)) {
		return fmt.Errorf("the mark is %.80q, not %q", body[at:], want)
	}
	return nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
