package doctor

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func quick(t *testing.T, e Env) Report {
	t.Helper()
	r, err := Examine(t.Context(), e, Options{Quick: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHealthy(t *testing.T) {
	r := quick(t, healthy())
	allGood(t, r.Findings)
	if r.First != nil || r.Poor+r.Missing != 0 || r.Good != len(r.Findings) {
		t.Errorf("%d good, %d poor, %d missing, first %v", r.Good, r.Poor, r.Missing, r.First)
	}
	if r.Measured != nil {
		t.Error("measured though that was to be left out")
	}
}

// Whatever the kernel's files hold, the doctor says something of it.
func TestGarbage(t *testing.T) {
	garbage := []string{
		"", "\n", " ", "\x00\xff\xfe", ":", "::::", "a", "a b c d e f g h i j k l m n o p", "-1", "99999999999999999999999", "0x10",
		"Max open files", "Max open files x y z", "CapEff:", "MemTotal: kB", "cpu", "cpu x x x x x x x x", strings.Repeat("9 ", 5000),
		"0: ZZ:ZZ 0:0 0A a b c d e f g", "0: 00:0 00000000:0000 0A 1 1 1 1 1 1 1", "0: 0100007F:FFFFF 0 0A 1 1 1 1 1 1", "e 0 0 0 0 0 0", "00 00 00 00 00 00 00 00 zz lo",
	}
	trees := []func(Env) fstest.MapFS{
		func(e Env) fstest.MapFS { return e.Proc.(fstest.MapFS) },
		func(e Env) fstest.MapFS { return e.Sys.(fstest.MapFS) },
	}
	for _, tree := range trees {
		for name := range tree(healthy()) {
			for _, text := range garbage {
				e := healthy()
				tree(e)[name].Data = []byte(text)
				if r := quick(t, e); len(r.Findings) < 15 {
					t.Errorf("%s with %.20q: only %d findings", name, text, len(r.Findings))
				}
			}
			e := healthy()
			delete(tree(e), name)
			quick(t, e)
		}
	}
	e := healthy()
	e.Proc, e.Sys, e.Kernel, e.Site = fstest.MapFS{}, fstest.MapFS{}, nil, Site{}
	e.Links = func() ([]Link, error) { return nil, errors.New("no links") }
	r := quick(t, e)
	for _, f := range r.Findings {
		if f.Level != Good && f.Do == "" {
			t.Errorf("%q does not say what to do", f.What)
		}
	}
	if r.Missing < 8 {
		t.Errorf("of a machine that says nothing only %d things are missing:%s", r.Missing, show(r.Findings))
	}
}

func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Examine(ctx, healthy(), Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFirst(t *testing.T) {
	e := healthy()
	write(e.Proc, "sys/net/ipv4/tcp_synack_retries", "5\n")
	write(e.Proc, "sys/net/ipv4/tcp_syncookies", "0\n")
	r := quick(t, e)
	if r.First == nil || !strings.Contains(r.First.What, "tcp_syncookies is 0") {
		t.Errorf("first is %+v", r.First)
	}
	// A site that can be reached past Seawall comes before everything.
	write(e.Proc, "net/tcp", socketHead+line("00000000:0BB8", "0A", "901"))
	if r = quick(t, e); !strings.Contains(r.First.What, "your site itself") {
		t.Errorf("first is %+v", r.First)
	}
}

func TestText(t *testing.T) {
	n := notes{subject: "some subject"}
	n.good("all is %s", "well")
	n.poor(tidy, "`sudo a very long command that must not be broken even though it is longer than one line of this width, which it is`, and more", "%s", strings.Repeat("word ", 40))
	r := Report{Findings: n.list}
	r.sum()
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, want := range []string{
		"Some subject\n  good     all is well\n  poor     word word",
		"\n           → `sudo a very long command that must not be broken even though it is longer than one line of this width, which it is`,\n             and more\n",
		"\n1 good, 1 poor, 0 missing. First of all:\n  word",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for l := range strings.Lines(out) {
		if len(l) > width+1 && !strings.Contains(l, "`") {
			t.Errorf("%d characters: %s", len(l), l)
		}
		if strings.TrimRight(l, " \n") != strings.TrimRight(l, "\n") {
			t.Errorf("spaces at the end of %q", l)
		}
	}
}

var _ fs.ReadLinkFS = fstest.MapFS{}
