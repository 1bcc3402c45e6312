package config

import (
	"slices"
	"strings"

	"seawall/internal/kit/problem"
)

// Flags are the settings that can be given on the command line; they stand
// above those of the file. An empty one says nothing.
type Flags struct {
	Origin, Listen, Admin, Data, Mode string
	UnderAttack                       bool
}

// Compose reads file (or nothing, where it is ""), puts the flags above it,
// and checks the whole. All problems come back at once, as Errors; the Config
// comes back with them as far as it could be read, so that a caller can look
// for further problems (Locate) before it reports any. Where nothing could be
// read it is nil.
func Compose(file string, flags Flags) (*Config, error) {
	c := Default()
	c.source = source{name: "command line"}
	var found problem.List
	if file != "" {
		text, err := read(file)
		if err != nil {
			return nil, err
		}
		c.source.name = file
		var read bool
		if c.source.lines, found, read = decode(text, c); !read {
			return nil, c.Locate(found)
		}
	}
	flags.onto(c)
	c.Request.Resolve()
	news := slices.DeleteFunc(c.Validate(), func(p problem.Problem) bool { return about(found, p.Key) })
	if errs := c.Locate(append(found, news...)); len(errs) > 0 {
		return c, errs
	}
	return c, nil
}

// about says whether a key, or a group that it is in, has been found wrong
// already: it was not read then, and what it holds says nothing.
func about(found problem.List, key string) bool {
	return slices.ContainsFunc(found, func(p problem.Problem) bool {
		rest, in := strings.CutPrefix(key, p.Key)
		return in && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// source is where a Config was read, for whoever reports problems with it.
type source struct {
	name  string
	lines map[string]int // of each key that was set
}

// Locate gives problems their file and line.
func (c *Config) Locate(found problem.List) Errors {
	var errs Errors
	for _, p := range found {
		errs = append(errs, Located{File: c.source.name, Line: lineOf(c.source.lines, p.Key), Problem: p})
	}
	return errs
}

func (f Flags) onto(c *Config) {
	if f.Origin != "" {
		c.Request.SetOrigin(f.Origin)
	}
	if f.Listen != "" {
		c.Request.Listen.Addresses = []string{f.Listen}
	}
	if f.Admin != "" {
		c.Admin.Listen = f.Admin
	}
	if f.Data != "" {
		c.Data = f.Data
	}
	if f.Mode != "" {
		c.Mode = f.Mode
	}
	c.UnderAttack = c.UnderAttack || f.UnderAttack
}
