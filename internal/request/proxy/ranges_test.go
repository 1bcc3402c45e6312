package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// A few parts of a page may be asked for at once; of too many the origin learns
// nothing, and the answer is the whole.
func TestTooManyRanges(t *testing.T) {
	got := make(chan []string, 1)
	origin := site(t, func(w http.ResponseWriter, r *http.Request) { got <- r.Header["Range"] })
	h := newHouse(t, testConfig(origin.URL))
	for _, c := range []struct {
		name   string
		ranges []string
		passes bool
	}{
		{"one", []string{"bytes=0-9"}, true},
		{"five", []string{"bytes=0-0,2-2,4-4,6-6,-1"}, true},
		{"six", []string{"bytes=0-0,2-2,4-4,6-6,8-8,-1"}, false},
		{"a thousand", []string{"bytes=0-" + strings.Repeat(",0-", 999)}, false},
		{"six in two fields", []string{"bytes=0-0,2-2,4-4", "bytes=6-6,8-8,-1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequest("GET", "http://"+h.addr+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header["Range"] = c.ranges
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if sent := <-got; (len(sent) > 0) != c.passes {
				t.Errorf("the origin was asked for %.80q", sent)
			}
		})
	}
}
