package doctor

import (
	"io/fs"
	"seawall/internal/kit/figures"
	"strconv"
	"strings"
)

// text reads a small file of the kernel without the white space around it; ok is
// false where there is none that can be read.
func text(from fs.FS, name string) (s string, ok bool) {
	if from == nil {
		return "", false
	}
	b, err := fs.ReadFile(from, name)
	if err != nil {
		return "", false
	}
	return strings.TrimSpace(string(b)), true
}

// number reads a file that holds a number.
func number(from fs.FS, name string) (n int64, ok bool) {
	s, ok := text(from, name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// field finds the value of a line such as "CapEff:	0000000000000000".
func field(text, name string) (value string, ok bool) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// about rounds a rate to two digits: nobody should read more into it.
func about(rate float64) string {
	n, unit := int64(rate+0.5), int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return figures.Thousands((n + unit/2) / unit * unit)
}

// count writes "1 queue" and "2 queues".
func count(n int, what string) string {
	s := strconv.Itoa(n) + " " + what
	if n != 1 {
		s += "s"
	}
	return s
}
