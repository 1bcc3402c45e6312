package match

import (
	"slices"
	"strconv"
)

// Keys returns the keys that a visit's field must have one of, as OneOf takes
// them; false where the test is not such a plain comparison. Whoever holds many
// matches can sort them by it.
func (t *Test) Keys() ([]string, bool) {
	switch {
	case t.not:
		return nil, false
	case t.op == opEqual:
		return slices.Clone(t.texts), true
	case t.op != opNumber:
		return nil, false
	}
	keys := make([]string, len(t.numbers))
	for i, n := range t.numbers {
		keys[i] = t.key(n)
		if bare, err := strconv.Unquote(keys[i]); err == nil {
			keys[i] = bare // all but network numbers stand in quotes
		}
	}
	return keys, true
}
