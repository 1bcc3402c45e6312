// Command geodata builds the table of countries and networks that is part of
// Seawall (internal/request/identify/geo/geodata.bin) from two public npm
// packages, checks it address by address against what it was built from, and
// writes a sample of expected answers for the tests.
//
//	go run ./tools/geodata -out internal/request/identify/geo
//
// The same version of the packages always gives the same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"seawall/internal/request/identify/geo"
)

const (
	countryPackage = "@ip-location-db/geo-whois-asn-country-mmdb"
	networkPackage = "@ip-location-db/asn"
	countryFile    = "geo-whois-asn-country.mmdb"
)

func main() {
	out := flag.String("out", "internal/request/identify/geo", "`folder` to write to")
	version := flag.String("version", "2.3.2026061719", "of both packages; `latest` takes what there is")
	from := flag.String("from", "", "`folder` with the unpacked packages (country/, network/) instead of npm")
	flag.Parse()
	if err := run(*out, *version, *from); err != nil {
		fmt.Fprintln(os.Stderr, "geodata:", err)
		os.Exit(1)
	}
}

func run(out, version, from string) error {
	if from == "" {
		dir, err := os.MkdirTemp("", "geodata")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := fetch(dir, "country", countryPackage, version); err != nil {
			return err
		}
		if err := fetch(dir, "network", networkPackage, version); err != nil {
			return err
		}
		from = dir
	}
	src, err := read(filepath.Join(from, "country"), filepath.Join(from, "network"))
	if err != nil {
		return err
	}
	data, err := src.build()
	if err != nil {
		return err
	}
	table, err := geo.Load(string(data))
	if err != nil {
		return err
	}
	checked, err := src.check(table)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "geodata.bin"), data, 0o644); err != nil {
		return err
	}
	sample := filepath.Join(out, "testdata", "sample.tsv")
	if err := os.MkdirAll(filepath.Dir(sample), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(sample, src.sample(), 0o644); err != nil {
		return err
	}
	v4, v6 := table.Ranges()
	fmt.Printf("data of %s: %d IPv4 and %d IPv6 ranges, %d networks, %d bytes\n",
		table.About().Day.Format(time.DateOnly), v4, v6, len(src.names), len(data))
	fmt.Printf("checked %d addresses against the sources: no difference\n", checked)
	return nil
}

// fetch downloads a package with npm and unpacks it.
func fetch(dir, as, name, version string) error {
	into := filepath.Join(dir, as)
	if err := os.Mkdir(into, 0o755); err != nil {
		return err
	}
	pack := exec.Command("npm", "pack", "--silent", name+"@"+version)
	pack.Dir, pack.Stderr = into, os.Stderr
	if _, err := pack.Output(); err != nil {
		return fmt.Errorf("npm pack %s: %w", name, err)
	}
	archives, err := filepath.Glob(filepath.Join(into, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return fmt.Errorf("npm pack %s gave %d archives: %v", name, len(archives), err)
	}
	unpack := exec.Command("tar", "-xzf", archives[0], "--strip-components", "1")
	unpack.Dir, unpack.Stderr = into, os.Stderr
	if err := unpack.Run(); err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	return nil
}
