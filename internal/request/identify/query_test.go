package identify

import (
	"strings"
	"testing"
)

func TestQueryShape(t *testing.T) {
	same := [][]string{
		{"a=1&b=2", "a=3&b=4", "a=&b=", "a=x%26&b==="},
		{"1718281828", "99", "x1y2"},
		{"s=" + strings.Repeat("z", 9000), "s=1"},
	}
	for _, group := range same {
		for _, q := range group[1:] {
			if queryShape(q) != queryShape(group[0]) {
				t.Errorf("%.40q and %.40q differ", q, group[0])
			}
		}
	}
	seen := map[uint64]string{}
	for _, q := range []string{"", "a=1", "b=1", "a=1&b=1", "b=1&a=1", "a=1&a=1", "a1=1", "feed", "rss", "1", "ab=1", "a=1&", "&", "="} {
		h := queryShape(q)
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q have one shape", q, other)
		}
		seen[h] = q
		if (h == 0) != (q == "") {
			t.Errorf("%q: shape %d", q, h)
		}
	}
	long := strings.Repeat("p=1&", 100)
	if queryShape(long) != queryShape(long+"q=1") {
		t.Error("more parameters are looked at than the limit says")
	}
}

func FuzzQueryShape(f *testing.F) {
	f.Add("a=1&b=2")
	f.Add("&&==&")
	f.Fuzz(func(t *testing.T, q string) {
		h := queryShape(q)
		if (h == 0) != (q == "") {
			t.Fatalf("%q: %d", q, h)
		}
		// Values never matter.
		if filled := strings.ReplaceAll(q, "=", "=v"); queryShape(filled) != h && !strings.Contains(q, "==") {
			t.Fatalf("%q and %q differ", q, filled)
		}
	})
}

func TestHostName(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "",
		"example.org":       "example.org",
		"Example.ORG:8080":  "example.org",
		"example.org.":      "example.org",
		"example.org.:80":   "example.org",
		"[2001:DB8::1]:443": "[2001:db8::1]",
		"[::1]":             "[::1]",
		"::1":               "::1",
		"127.0.0.1:80":      "127.0.0.1",
		":80":               "",
		".":                 ".",
	} {
		if got := hostName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
