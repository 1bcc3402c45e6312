package match

import "errors"

// Parse reads an expression.
func Parse(string) (*Match, error) { return nil, errors.New("match: not built yet") }
