package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// Flags stand above the file, and what they do not say below it.
func TestFlagsAboveFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "seawall.yaml")
	text := `proxy: {origins: [{url: "http://10.0.0.1"}, {url: "http://10.0.0.2"}]}
listen: {addresses: ["127.0.0.1:1"]}
admin: {listen: "127.0.0.1:2"}
data: ` + dir + `
log: {level: debug}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Compose(file, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Request.Proxy.Origins); n != 2 || c.Request.Listen.Addresses[0] != "127.0.0.1:1" || c.UnderAttack {
		t.Errorf("the file alone: %+v", c)
	}
	other := t.TempDir()
	c, err = Compose(file, Flags{Origin: "http://10.0.0.3", Listen: ":3", Admin: "127.0.0.1:4", Data: other, UnderAttack: true})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Request.Proxy.Origins[0].URL, len(c.Request.Proxy.Origins), c.Request.Listen.Addresses, c.Admin.Listen, c.Data, c.UnderAttack, c.Log.Level}
	want := []any{"http://10.0.0.3", 1, []string{":3"}, "127.0.0.1:4", other, true, "debug"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Nothing but an origin is needed.
func TestNoFile(t *testing.T) {
	if _, err := Compose("", Flags{Origin: "http://127.0.0.1:3000", Data: t.TempDir()}); err != nil {
		t.Error(err)
	}
	_, err := Compose("", Flags{})
	const want = "command line: proxy.origins: no origin is given; write where the site answers, for example http://127.0.0.1:3000"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// What several rooms share is handed to each.
func TestTrustedProxies(t *testing.T) {
	c, errs := compose(t, origin+"trusted_proxies: [loopback, 192.0.2.7]\nlisten: {proxy_protocol: optional}\n")
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if got := fmt.Sprint(c.Request.Listen.TrustedProxies); got != "[127.0.0.0/8 ::1/128 192.0.2.7/32]" {
		t.Errorf("listen trusts %s", got)
	}
	if got := fmt.Sprint(c.Request.Identify.TrustedProxies); got != "[loopback 192.0.2.7]" {
		t.Errorf("identify trusts %s", got)
	}
}

// Every setting can be set: a value of each kind that differs from the default
// is written under each key, read back, and found where it belongs.
func TestEverySettingCanBeSet(t *testing.T) {
	want := Default()
	change(reflect.ValueOf(want).Elem())
	text, err := yaml.Marshal(tree(reflect.ValueOf(*want)))
	if err != nil {
		t.Fatal(err)
	}
	got := Default()
	if _, found, read := decode(text, got); len(found) > 0 || !read {
		t.Fatalf("%v\n%s", found.Err(), text)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\ngot  %+v\nwant %+v", text, got, want)
	}
}

// change gives every setting below v another value.
func change(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		v.SetInt(v.Int() + int64(time.Second))
		return
	}
	switch v.Kind() {
	case reflect.Uint8, reflect.Uint16: // modes and ports
		v.SetUint(max(1, v.Uint()-1))
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("yaml") != "" && f.Tag.Get("yaml") != "-" {
				change(v.Field(i))
			}
		}
		if u, ok := v.Addr().Interface().(interface{ UnmarshalText([]byte) error }); ok {
			u.UnmarshalText([]byte("192.0.2.0/24"))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		change(v.Index(0))
		change(v.Index(1))
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Float64:
		v.SetFloat(v.Float() + 0.5)
	default:
		v.SetInt(v.Int() + 7)
	}
}

// tree is what stands in a file for v.
func tree(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case fmt.Stringer:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			name, opt, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			switch {
			case !v.Type().Field(i).IsExported() || name == "" && opt == "" || name == "-":
			case opt == "inline":
				for k, below := range tree(v.Field(i)).(map[string]any) {
					m[k] = below
				}
			default:
				m[name] = tree(v.Field(i))
			}
		}
		return m
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, tree(v.Index(i)))
		}
		return list
	}
	return v.Interface()
}

// FuzzDecode: no file makes the reader panic, and what it takes without a word
// is a Config whose check does not panic either.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"", "{}", origin, "listen: {max_conns: 1}", "memory: 1GiB", "admit: {rate: .inf}", "data: &a [*a]", "- - -",
		"proxy: {origins: [{url: x, weight: -1}, null]}", "listen:\n\t- a", "? a\n: b", "a: |\n  b\n", "listen: !!map {}",
		"identify: {clearance_for: 9999999999h}", "'listen': {\"grace\": 1s}", "log: {level: *x}", "listen: {trusted_proxies: [::/0, 1]}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := Default()
		lines, found, read := decode(text, c)
		if !read && len(found) == 0 {
			t.Error("nothing was read, and nobody is told why")
		}
		for _, p := range found {
			if p.What == "" {
				t.Errorf("a problem without words: %+v", p)
			}
		}
		for key, n := range lines {
			if n < 1 {
				t.Errorf("%s stands in line %d", key, n)
			}
		}
		c.Request.Resolve()
		c.Validate()
	})
}
