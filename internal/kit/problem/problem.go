// Package problem is how a room says what is wrong with its settings: every
// problem at once, each with its key and with what would be right. The config
// room adds the file and the line.
//
// In: nothing. Out: a List, empty when all is well. Not safe for concurrent use.
package problem

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with one setting.
type Problem struct {
	Key  string // where, from the room's own Config: "origins[0].url"
	What string // what is wrong: `"ftp://x" is no web address`
	Hint string // what would be right: "write http://127.0.0.1:3000"
}

func (p Problem) String() string {
	s := p.What
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// List gathers problems. The zero List is ready to use.
type List []Problem

// Add puts a problem on the list; what is formatted with args.
func (l *List) Add(key, hint, what string, args ...any) {
	*l = append(*l, Problem{Key: key, Hint: hint, What: fmt.Sprintf(what, args...)})
}

// Under takes over the problems of a part, whose keys are below key ("" for a
// part whose keys stand at the same level).
func (l *List) Under(key string, part List) {
	for _, p := range part {
		switch {
		case key == "":
		case p.Key == "":
			p.Key = key
		case strings.HasPrefix(p.Key, "["):
			p.Key = key + p.Key
		default:
			p.Key = key + "." + p.Key
		}
		*l = append(*l, p)
	}
}

// Err returns the list as one error, a line each, or nil when it is empty.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	lines := make([]string, len(l))
	for i, p := range l {
		lines[i] = p.String()
	}
	return fmt.Errorf("%s", strings.Join(lines, "\n"))
}
