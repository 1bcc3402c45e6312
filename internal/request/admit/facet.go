package admit

import (
	"strconv"

	"seawall/internal/match"
	"seawall/internal/traffic"
)

// facet sorts orders by one field of many values: bit i of a bucket is set when
// a visit whose value falls into that bucket may be hit by order i. Orders that
// do not compare the field for equality are in all buckets.
type facet [64]uint64

// The facets.
const (
	byHeaderOrder = iota
	byNetwork
	byCountry
	byQueryShape
	byPath
	byAgent
	byJA4
	byOpening
	facets
)

// facetSet is one facet for each of facetFields.
type facetSet [facets]facet

var facetFields = [facets]traffic.Field{
	traffic.FieldHeaderOrder, traffic.FieldNetwork, traffic.FieldCountry,
	traffic.FieldQueryShape, traffic.FieldPath, traffic.FieldUserAgent,
	traffic.FieldJA4, traffic.FieldOpeningHTTP2,
}

func bucket(n uint64) uint64 { return n * 0x9E3779B97F4A7C15 >> 58 } // Fibonacci hashing

// textBucket looks at the length and the last byte only: texts are long, and
// what a visit sends has to be looked at each time.
func textBucket(s string) uint64 {
	if s == "" {
		return 0
	}
	return bucket(uint64(len(s))<<8 | uint64(s[len(s)-1]))
}

// printBucket looks at the last digits of both hashes of a fingerprint JA4: all of
// them are of the same length.
func printBucket(s string) uint64 {
	const first, second = 22, 35
	if len(s) <= second {
		return textBucket(s)
	}
	return bucket(uint64(s[first-1])<<24 | uint64(s[first])<<16 | uint64(s[second-1])<<8 | uint64(s[second]))
}

func countryBucket(c traffic.Country) uint64 { return bucket(uint64(c[0])<<8 | uint64(c[1])) }

// candidates are the orders that may hit v, by these fields.
func (f *facetSet) candidates(v *traffic.Visit) uint64 {
	return f[byHeaderOrder][bucket(v.HeaderOrder)] &
		f[byNetwork][bucket(uint64(v.Network))] &
		f[byCountry][countryBucket(v.Country)] &
		f[byQueryShape][bucket(v.QueryShape)] &
		f[byPath][textBucket(v.Path)] &
		f[byAgent][textBucket(v.UserAgent)] &
		f[byJA4][printBucket(v.JA4)] &
		f[byOpening][bucket(v.OpeningHTTP2)]
}

// ofConnection are the orders that may hit what comes by a connection that shows
// what v does.
func (f *facetSet) ofConnection(v *traffic.Visit) uint64 {
	return f[byNetwork][bucket(uint64(v.Network))] & f[byCountry][countryBucket(v.Country)] & f[byJA4][printBucket(v.JA4)]
}

// add enters the order that bit stands for.
func (f *facetSet) add(mt *match.Match, bit uint64) {
	for i, field := range facetFields {
		in := ^uint64(0) // bit b: the order belongs into bucket b
		for _, t := range mt.Tests() {
			if keys, ok := t.Keys(); ok && t.Field() == field {
				in &= bucketsOf(i, keys)
			}
		}
		for b := range f[i] {
			if in>>b&1 == 1 {
				f[i][b] |= bit
			}
		}
	}
}

// bucketsOf is the set of buckets that the keys of a field fall into; all of
// them where a key cannot be read.
func bucketsOf(facet int, keys []string) (set uint64) {
	for _, key := range keys {
		var b uint64
		ok := true
		switch facet {
		case byHeaderOrder, byQueryShape, byOpening:
			b, ok = traffic.ParseFingerprint(key)
			b = bucket(b)
		case byNetwork:
			n, err := strconv.ParseUint(key, 10, 32)
			b, ok = bucket(n), err == nil
		case byCountry:
			c, known := traffic.ParseCountry(key)
			b, ok = countryBucket(c), known || key == "??"
		case byJA4:
			b = printBucket(key)
		default:
			b = textBucket(key)
		}
		if !ok {
			return ^uint64(0)
		}
		set |= 1 << b
	}
	return set
}
