package baseline

import (
	"strings"

	"seawall/internal/traffic"
)

// shareKeys bounds the keys of a field whose shares are told.
const shareKeys = 256

// tally counts the keys of each field of some samples. It is kept up to date sample by
// sample: of a full set, a few in a hundred change between two times that the shares are
// worked out. It holds no more keys than there are samples, and no sample's memory. Clients
// are left out: nothing hangs on how much of ordinary traffic is one client's, and their
// addresses had better be kept in one place only.
type tally struct {
	counts [traffic.Fields]map[string]int
	n      int // samples
}

// add counts a visit.
func (t *tally) add(v *traffic.Visit) {
	t.n++
	for f := range traffic.Fields {
		if f != traffic.FieldClient {
			t.more(f, v.Key(f))
		}
	}
}

// swap counts a visit in the place of another one that was counted.
func (t *tally) swap(was, is *traffic.Visit) {
	for f := range traffic.Fields {
		if f == traffic.FieldClient {
			continue
		}
		if old, key := was.Key(f), is.Key(f); old != key { // most fields have few values
			t.less(f, old)
			t.more(f, key)
		}
	}
}

// more counts a key.
func (t *tally) more(f traffic.Field, key string) {
	if t.counts[f] == nil {
		t.counts[f] = map[string]int{}
	}
	n := t.counts[f][key]
	if n == 0 {
		key = strings.Clone(key)
	}
	t.counts[f][key] = n + 1
}

// less takes back a key that was counted.
func (t *tally) less(f traffic.Field, key string) {
	if n := t.counts[f][key]; n > 1 {
		t.counts[f][key] = n - 1
	} else {
		delete(t.counts[f], key)
	}
}

// shares works out the share of the most frequent keys of every field.
func (t *tally) shares() (out [traffic.Fields]map[string]float64) {
	for f := range out {
		out[f] = largest(t.counts[f], t.n)
	}
	return out
}

// largest returns the shares of the shareKeys most frequent keys; of those that are as
// frequent as the last of them, the first by name.
func largest(counts map[string]int, n int) map[string]float64 {
	out := make(map[string]float64, min(len(counts), shareKeys))
	put := func(key string, c int) { out[key] = float64(c) / float64(n) }
	if len(counts) <= shareKeys {
		for key, c := range counts {
			put(key, c)
		}
		return out
	}
	keys := make([]counted, 0, len(counts))
	for key, c := range counts {
		keys = append(keys, counted{key, c})
	}
	least := leastOf(keys, n)
	var last []string // as frequent as that, and not all of them have room
	for _, k := range keys {
		switch {
		case k.n > least:
			put(k.key, k.n)
		case k.n == least:
			last = append(last, k.key)
		}
	}
	for _, key := range firstOf(last, shareKeys-len(out)) {
		put(key, least)
	}
	return out
}

// counted is a key, and how often it is there.
type counted struct {
	key string
	n   int
}

// leastOf is how often the last of the shareKeys most frequent keys is there, of more than
// so many, that are there n times in all.
func leastOf(keys []counted, n int) int {
	often := make([]int, n/shareKeys+2) // keys that are there so often; the last: or oftener
	for _, k := range keys {
		often[min(k.n, len(often)-1)]++
	}
	left := shareKeys
	for c := len(often) - 1; ; c-- {
		// Fewer than shareKeys are there oftener than n/shareKeys times each.
		if left -= often[c]; left <= 0 {
			return c
		}
	}
}

// firstOf puts the n first texts by name at the front, in no order (Hoare's selection,
// CACM 4(7), 1961), and returns them.
func firstOf(texts []string, n int) []string {
	from, to := 0, len(texts)
	for to-from > 1 && n > from && n < to {
		// The pivot is in the middle of three.
		a, b, c := texts[from], texts[(from+to)/2], texts[to-1]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := from, to-1
		for i <= j {
			for texts[i] < pivot {
				i++
			}
			for texts[j] > pivot {
				j--
			}
			if i <= j {
				texts[i], texts[j] = texts[j], texts[i]
				i++
				j--
			}
		}
		switch {
		case n <= j+1:
			to = j + 1
		case n >= i:
			from = i
		default:
			return texts[:n]
		}
	}
	return texts[:n]
}
