package sketch

import (
	"bufio"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const logs = "../../../../shared/data/logs"

// lines reads a log, or skips the test where it is missing.
func lines(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(logs, name))
	if err != nil {
		t.Skipf("needs %s: %v", name, err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for s := bufio.NewScanner(z); s.Scan(); {
		out = append(out, s.Text())
	}
	return out
}

// TestRealLogs compares what sketches say of real logs with exact counts.
func TestRealLogs(t *testing.T) {
	for _, log := range []struct {
		name  string
		field func(line string) string
	}{
		{"elastic-apache.log.gz", func(l string) string { return l[:strings.IndexByte(l, ' ')] }},
		{"elastic-apache.log.gz", func(l string) string { return strings.Split(l, " ")[6] }},
		{"elastic-apache.log.gz", func(l string) string { return l[strings.LastIndex(l[:len(l)-1], `"`):] }},
		{"nasa-19950701.tsv.gz", func(l string) string { return strings.Split(l, "\t")[0] }},
		{"nasa-19950701.tsv.gz", func(l string) string { return strings.Split(l, "\t")[4] }},
		{"crowdsec-http_dos_bypass_cache.log.gz", func(l string) string { return strings.Split(l, " ")[6] }},
	} {
		all := lines(t, log.name)
		for _, capacity := range []int{16, 128} {
			seed := NewSeed()
			s, half := NewStrings(capacity, 400, seed), NewStrings(capacity, 400, seed)
			d := NewDistinct(seed)
			exact := map[string]uint64{}
			for i, l := range all {
				k := log.field(l)
				exact[k]++
				if i%3 == 0 {
					half.Add(k, 1)
				} else {
					s.Add(k, 1)
				}
				d.Add(seed.string(k))
			}
			s.Merge(half)
			check(t, exact, s.Top(s.Len()), s.Floor(), s.Total(), capacity)
			n, want := float64(d.Count()), float64(len(exact))
			if n < 0.9*want || n > 1.1*want {
				t.Errorf("%s: %v distinct keys, estimated %v", log.name, want, n)
			}
		}
	}
}
