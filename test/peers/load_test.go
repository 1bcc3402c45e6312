package peers

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// version is what is spoken.
type version int

const (
	http11 version = iota
	https11
	https2
)

func (v version) String() string { return [...]string{"HTTP/1.1", "HTTPS/1.1", "HTTPS/2"}[v] }

func (v version) url(s *shield) string {
	if v == http11 {
		return "http://" + s.clear + "/"
	}
	return "https://" + s.secure + "/"
}

// tally is what a load says of itself.
type tally struct {
	answers int
	good    int // of these, with a status of 2xx or 3xx
	faults  int // requests and connections that came to nothing
}

// check says what is wrong with a run in which every answer should be good, or
// none.
func (n tally) check(refuses bool) error {
	good := n.answers
	if refuses {
		good = 0
	}
	switch {
	case n.answers == 0:
		return errors.New("nothing was answered")
	case n.faults > 0:
		return fmt.Errorf("%d requests or connections failed beside %d answers", n.faults, n.answers)
	case n.good != good:
		return fmt.Errorf("%d of %d answers were good, where %d should be", n.good, n.answers, good)
	}
	return nil
}

// The load: one thread, and as many requests under way as fit the version.
// Connections stay open for the whole run.
const (
	connections  = 32 // with HTTP/1.1
	connections2 = 16 // with HTTP/2, of
	streams      = 10 // streams each
)

// differing has wrk put a number into the query of each request.
const differing = `local n = 0
function request() n = n + 1; return wrk.format(nil, "/?" .. n) end
`

// run sends requests for some seconds.
func run(r row, s *shield, o options) (tally, error) {
	v, seconds := r.version, strconv.Itoa(o.seconds)
	if v != https2 {
		args := []string{"-t", "1", "-c", strconv.Itoa(connections), "-d", seconds + "s", "-H", "Accept: " + o.accept}
		if r.differ {
			args = append(args, "-s", o.differing)
		}
		text, err := say(o.seconds, "wrk", append(args, v.url(s))...)
		if err != nil {
			return tally{}, err
		}
		return readWrk(text)
	}
	text, err := say(o.seconds, "h2load", "-t", "1", "-c", strconv.Itoa(connections2), "-m", strconv.Itoa(streams), "-D", seconds,
		"--groups", group, "--tls13-ciphers", suite, "-H", "Accept: "+o.accept, v.url(s))
	if err != nil {
		return tally{}, err
	}
	return readH2load(text)
}

// say runs a command that should take some seconds, and returns what it says.
func say(seconds int, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second+20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), nil
}

// find reads the numbers of the one line that a pattern is for.
func find(text, pattern string, into ...*int) bool {
	m := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(text)
	if m == nil {
		return false
	}
	for i, n := range into {
		var err error
		if *n, err = strconv.Atoi(m[i+1]); err != nil {
			return false
		}
	}
	return true
}

// readWrk reads what wrk prints. It leaves out lines that would say nothing went
// wrong.
func readWrk(text string) (tally, error) {
	var n tally
	if !find(text, `^ +(\d+) requests in `, &n.answers) {
		return tally{}, fmt.Errorf("wrk says no number of requests: %s", text)
	}
	var connect, read, write, late, bad int
	if strings.Contains(text, "Socket errors") &&
		!find(text, `^ +Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$`, &connect, &read, &write, &late) {
		return tally{}, fmt.Errorf("wrk says what is not understood: %s", text)
	}
	if strings.Contains(text, "Non-2xx") && !find(text, `^ +Non-2xx or 3xx responses: (\d+)$`, &bad) {
		return tally{}, fmt.Errorf("wrk says what is not understood: %s", text)
	}
	n.faults, n.good = connect+read+write+late, n.answers-bad
	return n, nil
}

// readH2load reads what h2load prints. What is answered with 4xx it calls failed.
func readH2load(text string) (tally, error) {
	var done, succeeded, failed, errored, late, s2, s3, s4, s5 int
	if !find(text, `^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout$`,
		&done, &succeeded, &failed, &errored, &late) ||
		!find(text, `^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx$`, &s2, &s3, &s4, &s5) {
		return tally{}, fmt.Errorf("h2load says what is not understood: %s", text)
	}
	for _, want := range []string{"TLS Protocol: TLSv1.3", "Cipher: " + suite, "Server Temp Key: " + group, "Application protocol: h2"} {
		if !strings.Contains(text, want+"\n") && !strings.Contains(text, want+" ") {
			return tally{}, fmt.Errorf("h2load does not say %q: %s", want, text)
		}
	}
	answers := s2 + s3 + s4 + s5
	// Whatever is done without a status came to nothing.
	return tally{answers: answers, good: s2 + s3, faults: errored + late + max(0, done-answers)}, nil
}

// agreed asks a shield what wrk and it agree on: the library is the same.
func agreed(s *shield) error {
	text, err := say(5, "openssl", "s_client", "-brief", "-connect", s.secure, "-servername", "localhost")
	if err != nil {
		return err
	}
	for _, want := range []string{"Protocol version: TLSv1.3", "Ciphersuite: " + suite, "Server Temp Key: " + group} {
		if !strings.Contains(text, want) {
			return fmt.Errorf("%s does not agree on %q: %s", s.name, want, text)
		}
	}
	return nil
}
