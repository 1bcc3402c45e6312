package replay

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A flood of one page is one in a log as well, in how many ways its path is spelt.
func TestReplayJudgesPathsNormalised(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	l := &logbook{bufio.NewWriter(f), rand.New(rand.NewPCG(1, 2))}
	spelt := []string{"/poster", "/%70oster", "//poster", "/p%6fster", "/./poster", "/x%d/../poster", "/%2e/poster"}
	for s := range 90 {
		at := morning.Add(time.Duration(s) * time.Second)
		l.second(at, 3+l.rng.IntN(4))
		for i := range 1000 {
			if s >= 60 {
				path := spelt[i%len(spelt)]
				if path[1] == 'x' {
					path = fmt.Sprintf(path, l.rng.IntN(1000))
				}
				l.line(at, fmt.Sprintf("5.%d.%d.7", 1+l.rng.IntN(8), l.rng.IntN(250)), path, "-", browser)
			}
		}
	}
	if err := l.w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r := replayed(t, "", f.Name())
	if len(r.Attacks) != 1 || r.Requests.Refused < 20_000 || len(r.Hit.Paths) != 1 || r.Hit.Paths[0].Key != "/poster" {
		t.Errorf("%d attacks, %d refused, at %+v", len(r.Attacks), r.Requests.Refused, r.Hit.Paths)
	}
}
