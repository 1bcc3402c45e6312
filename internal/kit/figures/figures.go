// Package figures writes numbers for people.
//
// In: numbers. Out: text, in English. It keeps nothing.
package figures

import "strconv"

// Thousands writes 12345 as 12,345.
func Thousands[T int | int64 | uint64](n T) string {
	var s string
	if n < 0 {
		s = strconv.FormatInt(int64(n), 10)
	} else {
		s = strconv.FormatUint(uint64(n), 10)
	}
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
