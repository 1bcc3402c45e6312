package match

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"

	"seawall/internal/traffic"
)

// Limits on an expression. Matches are checked for every visit, so a long one
// is a mistake rather than a wish.
const (
	MaxText  = 8192 // bytes
	MaxTests = 32
	MaxList  = 256 // values of one in [...]
	maxDepth = 40  // parentheses and negations within each other
)

// Error says which term of an expression is wrong.
type Error struct {
	Column int    // in characters from the beginning of the expression, the first is 1
	Term   string // the term, as the parser understood it
	What   string // what is wrong with it
	Hint   string // what would be right
}

func (e *Error) Error() string {
	s := fmt.Sprintf("column %d: ", e.Column)
	if e.Term != "" {
		s += "`" + e.Term + "`: "
	}
	s += e.What
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Parse reads an expression. What it cannot do is an *Error.
func Parse(text string) (*Match, error) {
	if len(text) > MaxText {
		return nil, &Error{Column: MaxText, What: fmt.Sprintf("the expression has %d bytes, more than %d", len(text), MaxText),
			Hint: "split it into several matches"}
	}
	if !utf8.ValidString(text) {
		n := utf8.RuneCountInString(validPart(text))
		return nil, &Error{Column: n + 1, What: "the expression is not UTF-8", Hint: "save it as UTF-8"}
	}
	if strings.TrimSpace(text) == "" {
		return nil, &Error{Column: 1, What: "the expression is empty", Hint: "write true to match everything"}
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("start the expression parser: %w", err)
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, syntaxError(text, issues)
	}
	c := compiler{text: []rune(text), tree: parsed.NativeRep()}
	if err := c.conjunction(c.tree.Expr()); err != nil {
		return nil, err
	}
	// What the compiler took is well typed, or the two do not agree about the
	// language: then it is better to refuse than to guess.
	if _, issues := env.Check(parsed); issues.Err() != nil {
		return nil, syntaxError(text, issues)
	}
	m := All(c.tests...)
	if len(m.text) > MaxText {
		return nil, &Error{Column: 1, What: fmt.Sprintf("written out, the expression has %d bytes, more than %d", len(m.text), MaxText),
			Hint: "split it into several matches"}
	}
	return m, nil
}

// environment holds what cel-go has to know to parse and check. It is made at
// the first use, since most processes that link this package never parse, and
// never changes.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.StdLib(),
		cel.ClearMacros(),
		cel.ParserRecursionLimit(maxDepth),
		cel.ParserExpressionSizeLimit(MaxText),
		cel.Function("within", cel.MemberOverload("client_within_prefix",
			[]*cel.Type{cel.StringType, cel.StringType}, cel.BoolType)),
		cel.Function("packet.payload_at", cel.Overload("packet_payload_at",
			[]*cel.Type{cel.IntType, cel.StringType}, cel.BoolType)),
	}
	for f := range traffic.Fields {
		t := cel.StringType
		if f == traffic.FieldNetwork {
			t = cel.IntType
		}
		options = append(options, cel.Variable(f.String(), t))
	}
	for f := range traffic.PacketFields {
		t := cel.StringType
		if _, number := largest(f); number {
			t = cel.IntType
		} else if f == traffic.PacketFragmented {
			t = cel.BoolType
		}
		options = append(options, cel.Variable(f.String(), t))
	}
	return cel.NewCustomEnv(options...)
})

// syntaxError turns the first of cel-go's complaints into one of ours.
func syntaxError(text string, issues *cel.Issues) error {
	all := issues.Errors()
	if len(all) == 0 {
		return &Error{Column: 1, What: issues.Err().Error()}
	}
	first := all[0]
	what, _, _ := strings.Cut(first.Message, " expecting ") // a list of grammar symbols
	what = strings.TrimPrefix(what, "Syntax error: ")
	what = strings.ReplaceAll(what, "'<EOF>'", "the end")
	hint := ""
	if strings.Contains(what, "mismatched") || strings.Contains(what, "extraneous") || strings.Contains(what, "token recognition") {
		hint = `write tests such as path == "/" joined by &&`
	}
	column := first.Location.Column() + 1
	for line := first.Location.Line(); line > 1; line-- {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			break
		}
		column += utf8.RuneCountInString(text[:i+1])
		text = text[i+1:]
	}
	return &Error{Column: max(column, 1), What: what, Hint: hint}
}

// validPart returns text up to the first byte that is not UTF-8.
func validPart(text string) string {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				return text[:i]
			}
		}
	}
	return text
}
