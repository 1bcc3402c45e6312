package test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nineDays writes a log of nine days of a small site: little at night, more by day, most on
// Saturdays around noon. But for the last hour two seconds of each five minutes are in it.
func nineDays(t *testing.T) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	w, rng := bufio.NewWriter(f), rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2019, 11, 11, 15, 0, 0, 0, time.UTC) // a Monday
	end := begin.Add(9*24*time.Hour + 10*time.Minute)
	for at := begin; at.Before(end); at = at.Add(time.Second) {
		if end.Sub(at) > 70*time.Minute && at.Unix()%300 >= 2 {
			continue
		}
		pages := []int{1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 7, 6, 5, 5, 6, 7, 8, 8, 6, 4, 3, 2}[at.Hour()]
		if at.Weekday() == time.Saturday && at.Hour() >= 10 && at.Hour() < 15 {
			pages += 8
		}
		for range pages + rng.IntN(2) {
			who := fmt.Sprintf("84.1.%d.%d", rng.IntN(4), rng.IntN(60))
			for _, path := range []string{fmt.Sprintf("/news/%d", rng.IntN(12)), "/style.css", "/logo.png"} {
				fmt.Fprintf(w, "%s - - [%s] \"GET %s HTTP/1.1\" 200 5120 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\" %.3f\n",
					who, at.Format("02/Jan/2006:15:04:05 -0700"), path, 0.006+0.02*rng.Float64()*rng.Float64())
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// testNormal: what docs/normal.md shows is what `seawall normal` prints of that log, once
// it was learnt; and a Seawall that starts there knows it.
func testNormal(t *testing.T, program string) {
	_, rest, _ := strings.Cut(page(t, "docs/normal.md").text, "<!-- normal -->\n```\n")
	shown, _, ok := strings.Cut(rest, "```\n")
	s := live{program: program, data: filepath.Join(t.TempDir(), "data")}
	format := `$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time`
	if out, err := exec.Command(program, "replay", "--learn", s.data, "--format", format, nineDays(t)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said := s.command(t, "normal", "--admin", freeAddress(t))
	if !ok || strings.TrimSpace(shown) != strings.TrimSpace(said) {
		t.Errorf("docs/normal.md does not show what is printed:\n%s", said)
	}
	started := startLiveOn(t, program, "{}", s.data)
	said = started.command(t, "normal")
	if !strings.Contains(said, "learning\n") || !strings.Contains(said, "Saturday") || strings.Contains(said, "No hour of the week") {
		t.Errorf("a Seawall that starts there says\n%s", said)
	}
}
