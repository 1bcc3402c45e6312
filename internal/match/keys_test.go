package match

import (
	"net/netip"
	"slices"
	"testing"

	"seawall/internal/traffic"
)

func TestKeys(t *testing.T) {
	one := func(f traffic.Field, keys ...string) Test {
		x, err := OneOf(f, keys...)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for f, keys := range map[traffic.Field][]string{
		traffic.FieldNetwork:     {"64496", "1"},
		traffic.FieldCountry:     {"GB", "??"},
		traffic.FieldHeaderOrder: {"00000000000000ff"},
		traffic.FieldPath:        {"/", `/"quoted"`},
		traffic.FieldStanding:    {"shy"},
	} {
		x := one(f, keys...)
		if got, ok := x.Keys(); !ok || !slices.Equal(got, keys) {
			t.Errorf("%s: %q %v, want %q", &x, got, ok, keys)
		}
		x = Not(x)
		if _, ok := x.Keys(); ok {
			t.Errorf("%s has keys", &x)
		}
	}
	x := Within(netip.MustParsePrefix("192.0.2.0/24"))
	if _, ok := x.Keys(); ok {
		t.Errorf("%s has keys", &x)
	}
}
