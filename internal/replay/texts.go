package replay

import (
	"hash/maphash"
	"strings"
)

const (
	// textSets is how many pairs of texts are kept to be found again: room for more than
	// most sites have pages and visitors have browsers, and no more of it is touched
	// than there are.
	textSets = 1 << 12
	// longText is one that is too long to be kept, bytes: few lines repeat one.
	longText = 256
)

// texts copies what is known of a line out of it, into memory that stays. Lines say the same
// again and again: what was copied a moment ago is not copied anew, so that a minute of
// lines takes the memory of what is different in them, and the processor's cache has most of
// it. It holds at most 2 MiB.
type texts struct {
	seed maphash.Seed
	kept [][2]string // by hash: the last two of each, the later first
}

func newTexts() texts { return texts{seed: maphash.MakeSeed(), kept: make([][2]string, textSets)} }

// keep returns a text that stays: one that was copied already, or a copy.
func (t *texts) keep(s string) string {
	switch {
	case s == "":
		return ""
	case s == "GET": // most
		return "GET"
	case len(s) > longText:
		return strings.Clone(s)
	}
	k := &t.kept[maphash.String(t.seed, s)%textSets]
	switch s {
	case k[0]:
	case k[1]:
		k[0], k[1] = k[1], k[0]
	default:
		k[0], k[1] = strings.Clone(s), k[0]
	}
	return k[0]
}
