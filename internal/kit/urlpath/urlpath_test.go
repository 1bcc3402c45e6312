package urlpath

import (
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	for p, want := range map[string]string{
		// RFC 3986, section 6.2.2 and the parts of it, 5.2.4, and 5.4 with the reference
		// merged with the base http://a/b/c/d;p?q.
		"/a/./b/../b/%63/%7bfoo%7d": "/a/b/c/%7Bfoo%7D", "/b/c/%7Bfoo%7D": "/b/c/%7Bfoo%7D",
		"/%7Euser": "/~user", "/%3a": "/%3A",
		"/a/b/c/./../../g": "/a/g", "mid/content=5/../6": "mid/content=5/../6",
		"/b/c/g": "/b/c/g", "/b/c/./g": "/b/c/g", "/b/c/g/": "/b/c/g/", "/b/c/;x": "/b/c/;x",
		"/b/c/.": "/b/c/", "/b/c/./": "/b/c/", "/b/c/..": "/b/", "/b/c/../": "/b/", "/b/c/../g": "/b/g",
		"/b/c/../..": "/", "/b/c/../../": "/", "/b/c/../../g": "/g", "/b/c/../../../g": "/g", "/b/c/../../../../g": "/g",
		"/./g": "/g", "/../g": "/g", "/b/c/g.": "/b/c/g.", "/b/c/.g": "/b/c/.g", "/b/c/g..": "/b/c/g..", "/b/c/..g": "/b/c/..g",
		"/b/c/./../g": "/b/g", "/b/c/./g/.": "/b/c/g/", "/b/c/g/./h": "/b/c/g/h", "/b/c/g/../h": "/b/c/h",
		"/b/c/g;x=1/./y": "/b/c/g;x=1/y", "/b/c/g;x=1/../y": "/b/c/y",

		// The same resource to most sites.
		"/%70oster": "/poster", "/%70%6F%73ter": "/poster", "//poster": "/poster", "///poster//a": "/poster/a",
		"/x/../poster": "/poster", "/%2e/poster": "/poster", "/x/%2E%2e/poster": "/poster", "/x/.%2e/poster": "/poster",
		"/x//../poster": "/poster", "//..//poster": "/poster", "/.": "/", "/..": "/", "//": "/",

		// Others.
		"/poster": "/poster", "/poster/": "/poster/", "/poster//": "/poster/", "/POSTER": "/POSTER", "/...": "/...", "/.../a": "/.../a",
		"/a%2fb": "/a%2Fb", "/a%2F..%2Fb": "/a%2F..%2Fb", "/a%5cb": "/a%5Cb", "/a;b=c/d": "/a;b=c/d", "/%2570oster": "/%2570oster",
		"/caf%c3%a9": "/caf%C3%A9", "/caf\xc3\xa9": "/caf\xc3\xa9", "/%c0%ae": "/%C0%AE", "/%00": "/%00",

		// No escapes.
		"/%": "/%", "/%7": "/%7", "/%zz": "/%zz", "/%u0070": "/%u0070", "/%%37%30": "/%%370", "/%7%30": "/%7%30", "/%%70": "/%p", "/%z%41": "/%zA",

		// No paths.
		"": "", "*": "*", "\x16\x03\x01": "\x16\x03\x01", "poster//": "poster//",
	} {
		if got := Clean(p); got != want {
			t.Errorf("%q is %q, want %q", p, got, want)
		}
		if got := Normal(p); got != (p == want) {
			t.Errorf("%q: normal %v", p, got)
		}
	}
}

// Escapes written otherwise are the same path to every site; segments that went are not.
func TestResegmented(t *testing.T) {
	for p, want := range map[string]bool{
		"/": false, "/a": false, "/a/": false, "/a/b": false, "/...": false, "/.../a": false, "/.a/..b": false, "*": false, "": false, "//"[1:]: false,
		"/%7Euser": false, "/%d0%bf/x": false, "/%70oster": false, "/a%2f%2f": false, "/%2e%2e%2e": false, "/a.": false, "poster//": false,
		"//": true, "//a": true, "/a//": true, "/.": true, "/..": true, "/./a": true, "/a/../b": true, "/a/..": true, "/%2e/a": true, "/a/.%2E": true,
	} {
		if got := Resegmented(p); got != want || Resegmented([]byte(p)) != want {
			t.Errorf("%q: %v, want %v", p, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"/", "/a/./b/../b/%63/%7bfoo%7d", "//x/../%2e%2e//p%6fster", "/%%37%30", "/%2%35%37%30", "/..%2f..%5c%c0%ae", "*", "/a/%2e%2E"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		got := Clean(p)
		if again := Clean(got); again != got || !Normal(got) || !Normal([]byte(got)) {
			t.Fatalf("%q is %q, and that %q", p, got, again)
		}
		if Normal(p) != (p == got) || len(got) > len(p) {
			t.Fatalf("%q: normal %v, and is %q", p, Normal(p), got)
		}
		if other := Resegmented(p); other && Normal(p) || !other && strings.Count(p, "/") != strings.Count(got, "/") {
			t.Fatalf("%q is %q: other segments %v", p, got, other)
		}
		if both := string(Append([]byte("/x"), []byte(p))); both != "/x"+got {
			t.Fatalf("%q appended is %q", p, both)
		}
		if len(p) == 0 || p[0] != '/' {
			return
		}
		if got[0] != '/' || strings.Contains(got, "//") {
			t.Fatalf("%q is %q", p, got)
		}
		for _, s := range strings.Split(got, "/") {
			if s == "." || s == ".." {
				t.Fatalf("%q is %q", p, got)
			}
		}
		if n := testing.AllocsPerRun(1, func() { Clean(got) }); n != 0 {
			t.Fatalf("%q is normal, and %v allocations", got, n)
		}
	})
}

func BenchmarkClean(b *testing.B) {
	for _, p := range []string{"/", "/news/2019/11/12", "/static/news/17/caf%C3%A9-am-markt-1280.jpg", "//%70oster"} {
		b.Run(p, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Clean(p)
			}
		})
	}
}
