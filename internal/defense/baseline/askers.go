package baseline

import (
	"net/netip"
	"slices"

	"seawall/internal/traffic"
)

// leastNetworks is how many networks must have asked for a path before it is written to
// the disk or shown to anybody: one person asks for a link at least twice (the page and
// its form), and from two networks when on the road.
const leastNetworks = 3

// Askers tells which paths of a sample may be written down or shown. A path that hardly
// anybody asks for may be a secret: a link by which somebody sets a new password, or the
// address of a private calendar. Networks are wide prefixes (/24, /48), which is what is
// known of a request after an hour. It is as large as the sample that it was made of.
type Askers map[string][]netip.Prefix

// Add counts who asked. An unknown client is nobody.
func (a Askers) Add(v *traffic.Visit) {
	p := traffic.PrefixOf(v.Client, traffic.LevelWide)
	from := a[v.Path]
	if p.IsValid() && len(from) < leastNetworks && !slices.Contains(from, p) {
		a[v.Path] = append(from, p)
	}
}

// Path is p, or "" where too few asked for it.
func (a Askers) Path(p string) string {
	if len(a[p]) < leastNetworks {
		return ""
	}
	return p
}
