package replay

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// What is kept stays when the line that it stood in is overwritten, and what comes again is
// not copied anew.
func TestTexts(t *testing.T) {
	texts := newTexts()
	at := func(s string) *byte { return unsafe.StringData(s) }
	line := []byte("/a/path and a program")
	path, agent := texts.keep(unsafe.String(&line[0], 7)), texts.keep(unsafe.String(&line[8], len(line)-8))
	clear(line)
	if path != "/a/path" || agent != "and a program" {
		t.Errorf("%q, %q are left", path, agent)
	}
	if again := texts.keep(strings.Clone("/a/path")); at(again) != at(path) {
		t.Error("it was copied anew")
	}
	long := strings.Repeat("x", longText+1)
	if one := texts.keep(long); one != long || at(one) == at(long) {
		t.Error("a long one is not a copy")
	}
	for i := range 100_000 { // however many there are
		if s := fmt.Sprint("/", i); texts.keep(s) != s || texts.keep("") != "" {
			t.Fatalf("%q is another one", s)
		}
	}
	held := 0
	for _, pair := range texts.kept {
		held += len(pair[0]) + len(pair[1])
	}
	if held > 2*textSets*longText {
		t.Errorf("%d bytes are held", held)
	}
}
