package geo

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

func writeMMDB(t *testing.T, records map[string]mmdbtype.DataType) string {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test", BuildEpoch: 1_780_000_000, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, record := range records {
		_, network, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Insert(network, record); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "test.mmdb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadMMDBKnowsTheCommonLayouts(t *testing.T) {
	iso := func(c string) mmdbtype.Map { return mmdbtype.Map{"iso_code": mmdbtype.String(c)} }
	tab, err := ReadMMDB(writeMMDB(t, map[string]mmdbtype.DataType{
		"203.0.113.0/25":   mmdbtype.Map{"country_code": mmdbtype.String("NL")},
		"203.0.113.128/25": mmdbtype.Map{"country": iso("DE"), "registered_country": iso("FR")},
		"198.51.100.0/24":  mmdbtype.Map{"country": iso("se")},
		"192.0.2.0/24": mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64500),
			"autonomous_system_organization": mmdbtype.String("Exämple net")},
		"2001:db8::/32": mmdbtype.Map{"country_code": mmdbtype.String("BR"), "autonomous_system_number": mmdbtype.Uint32(64501)},
		"10.0.0.0/8":    mmdbtype.Map{"country_code": mmdbtype.String("None")},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]struct {
		country string
		network uint32
	}{
		"203.0.113.5": {"NL", 0}, "203.0.113.200": {"FR", 0}, "198.51.100.255": {"SE", 0},
		"192.0.2.1": {"??", 64500}, "192.0.3.0": {"??", 0}, "10.1.1.1": {"??", 0},
		"2001:db8:ffff::1": {"BR", 64501}, "2001:db9::": {"??", 0},
	} {
		c, n := tab.Lookup(netip.MustParseAddr(addr))
		if c.String() != want.country || n != want.network {
			t.Errorf("%s: %v %d, want %v", addr, c, n, want)
		}
	}
	if got := tab.NetworkName(64500); got != "Exämple net" {
		t.Errorf("NetworkName = %q", got)
	}
	if tab.About().Day.Format("2006-01-02") != "2026-05-28" {
		t.Errorf("day %v", tab.About().Day)
	}
}

func TestOpenPutsAFileInPlaceOfTheTable(t *testing.T) {
	path := writeMMDB(t, map[string]mmdbtype.DataType{
		"1.1.1.0/24": mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64500)},
	})
	p, err := Open("", path)
	if err != nil {
		t.Fatal(err)
	}
	if c, n := p.Lookup(netip.MustParseAddr("1.1.1.1")); c.String() != "AU" || n != 64500 {
		t.Errorf("Lookup = %v %d, want the table's country and the file's network", c, n)
	}
	if country, network := p.About(); len(country.Sources) != 2 || network.Sources[0] != "test.mmdb" {
		t.Errorf("About = %v, %v", country, network)
	}
}

func TestReadMMDBErrors(t *testing.T) {
	if _, err := ReadMMDB(filepath.Join(t.TempDir(), "none.mmdb")); err == nil {
		t.Error("a missing file was read")
	}
	junk := filepath.Join(t.TempDir(), "junk.mmdb")
	if err := os.WriteFile(junk, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMMDB(junk); err == nil {
		t.Error("junk was read")
	}
	useless := writeMMDB(t, map[string]mmdbtype.DataType{"1.1.1.0/24": mmdbtype.Map{"colour": mmdbtype.String("red")}})
	if _, err := ReadMMDB(useless); err == nil || !strings.Contains(err.Error(), "country_code") {
		t.Errorf("a file without countries and networks: %v", err)
	}
}
