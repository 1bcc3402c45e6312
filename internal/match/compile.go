package match

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/parser"

	"seawall/internal/traffic"
)

// compiler turns a parsed expression into tests, term by term.
type compiler struct {
	text  []rune // what was parsed: places are counted in characters
	tree  *ast.AST
	tests []Test
}

const (
	oneMatchEach = "write one match for each side, or field in [\"a\", \"b\"] for several values of one field"
	comparisons  = "use ==, !=, in [...], startsWith, endsWith, contains or client.within; numbers of packets have <= and >="
)

// conjunction compiles terms joined by &&.
func (c *compiler) conjunction(e ast.Expr) error {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
		for _, side := range e.AsCall().Args() {
			if err := c.conjunction(side); err != nil {
				return err
			}
		}
		return nil
	}
	if e.Kind() == ast.LiteralKind {
		switch e.AsLiteral().Value() {
		case true:
			return nil
		case false:
			return c.wrong(e, "matches nothing", "write true to match everything, or leave the match out")
		}
	}
	t, err := c.term(e)
	if err != nil {
		return err
	}
	if n := len(c.tests); n > 0 {
		if t.onPacket() != c.tests[0].onPacket() {
			return c.wrong(e, "a match is about visits or about packets, not both", "write one match for each")
		}
		if both, ok := t.follows(&c.tests[n-1]); ok {
			c.tests[n-1] = both
			return nil
		}
	}
	if len(c.tests) == MaxTests {
		return c.wrong(e, fmt.Sprintf("there are more than %d tests", MaxTests), "split the expression into several matches")
	}
	c.tests = append(c.tests, t)
	return nil
}

// term compiles one test or the negation of one.
func (c *compiler) term(e ast.Expr) (Test, error) {
	switch e.Kind() {
	case ast.CallKind:
	case ast.IdentKind:
		if f, ok := traffic.ParseField(e.AsIdent()); ok {
			return Test{}, c.wrong(e, "is a field and tests nothing", "compare it: "+example(f))
		}
		return Test{}, c.unknownField(e)
	case ast.SelectKind:
		if isPacket(e) {
			return Test{}, c.packetAlone(e)
		}
		return Test{}, c.wrong(e, "is no test", `write tests such as path == "/"`)
	default:
		return Test{}, c.wrong(e, "is no test", `write tests such as path == "/"`)
	}
	call := e.AsCall()
	args := call.Args()
	if call.IsMemberFunction() {
		return c.member(e)
	}
	switch call.FunctionName() {
	case operators.LogicalNot:
		t, err := c.negated(args[0])
		return Not(t), err
	case operators.Equals, operators.NotEquals:
		t, err := c.equal(e, args[0], args[1])
		if call.FunctionName() == operators.NotEquals {
			t = Not(t)
		}
		return t, err
	case operators.In:
		return c.in(e, args[0], args[1])
	case operators.LogicalOr, operators.Conditional:
		return Test{}, c.wrong(e, "a match has no alternatives", oneMatchEach)
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		if isPacket(args[0]) || isPacket(args[1]) {
			return c.packetOrder(e, call.FunctionName(), args[0], args[1])
		}
		return Test{}, c.wrong(e, "fields have no order", comparisons)
	case operators.LogicalAnd:
		return Test{}, c.wrong(e, "a conjunction cannot stand inside a test", "join tests by && at the top")
	}
	if name := call.FunctionName(); identifier(name) {
		return Test{}, c.wrong(e, "there is no function "+name, comparisons)
	}
	return Test{}, c.wrong(e, "matches do not compute", comparisons)
}

// negated compiles what stands behind a !.
func (c *compiler) negated(e ast.Expr) (Test, error) {
	if e.Kind() == ast.LiteralKind {
		return Test{}, c.wrong(e, "cannot be negated", "leave the term out")
	}
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
		// A range is written as two tests and is one.
		if args := e.AsCall().Args(); len(args) == 2 {
			least, err1 := c.term(args[0])
			most, err2 := c.term(args[1])
			if both, ok := most.follows(&least); ok && err1 == nil && err2 == nil {
				return both, nil
			}
		}
		return Test{}, c.wrong(e, "the negation of a conjunction is an alternative", "write !a && !b, or one match for each side")
	}
	return c.term(e)
}

// equal compiles field == value, in either order.
func (c *compiler) equal(e, left, right ast.Expr) (Test, error) {
	if left.Kind() == ast.LiteralKind {
		left, right = right, left
	}
	if isPacket(left) {
		return c.packetEqual(e, left, right)
	}
	f, err := c.field(left)
	if err != nil {
		return Test{}, err
	}
	if right.Kind() == ast.IdentKind {
		if _, ok := traffic.ParseField(right.AsIdent()); ok {
			return Test{}, c.wrong(e, "compares two fields", "compare a field with a value: "+example(f))
		}
	}
	key, err := c.key(f, right)
	if err != nil {
		return Test{}, err
	}
	return c.made(e)(OneOf(f, key))
}

// in compiles field in [values].
func (c *compiler) in(e, left, right ast.Expr) (Test, error) {
	if isPacket(left) {
		return c.packetIn(e, left, right)
	}
	f, err := c.field(left)
	if err != nil {
		return Test{}, err
	}
	values, err := c.list(e, left, right)
	if err != nil {
		return Test{}, err
	}
	keys := make([]string, len(values))
	for i, v := range values {
		if keys[i], err = c.key(f, v); err != nil {
			return Test{}, err
		}
	}
	return c.made(e)(OneOf(f, keys...))
}

// list reads the values of a field in [values].
func (c *compiler) list(e, field, right ast.Expr) ([]ast.Expr, error) {
	if right.Kind() != ast.ListKind {
		name, _ := parser.Unparse(field, c.tree.SourceInfo())
		return nil, c.wrong(e, "in needs a list of values", "write "+name+" in [...]")
	}
	values := right.AsList().Elements()
	if len(values) > MaxList {
		return nil, c.wrong(e, fmt.Sprintf("the list has %d values, more than %d", len(values), MaxList),
			"split it into several matches")
	}
	return values, nil
}

// member compiles field.function(value).
func (c *compiler) member(e ast.Expr) (Test, error) {
	call := e.AsCall()
	switch {
	case isPacket(call.Target()):
		return c.packetMember(e)
	case isRoot(call.Target()) && call.FunctionName() == "payload_at":
		return c.payloadAt(e)
	}
	var test func(traffic.Field, string) (Test, error)
	switch call.FunctionName() {
	case "startsWith":
		test = StartsWith
	case "endsWith":
		test = EndsWith
	case "contains":
		test = Contains
	case "within":
		test = func(f traffic.Field, s string) (Test, error) {
			if f != traffic.FieldClient {
				return Test{}, fmt.Errorf("%s is no address: only client has within", f)
			}
			return OneOf(f, s)
		}
	case "matches":
		return Test{}, c.wrong(e, "regular expressions are not to be had here", "use startsWith, endsWith, contains or ==")
	default:
		return Test{}, c.wrong(e, "there is no function "+call.FunctionName(), comparisons)
	}
	f, err := c.field(call.Target())
	if err != nil {
		return Test{}, err
	}
	if len(call.Args()) != 1 {
		return Test{}, c.wrong(e, call.FunctionName()+" takes one value", "write "+example(f))
	}
	if f == traffic.FieldNetwork {
		return Test{}, c.wrong(e, "network is a number", "write "+example(f))
	}
	value, err := c.key(f, call.Args()[0])
	if err != nil {
		return Test{}, err
	}
	return c.made(e)(test(f, value))
}

// field reads the side of a test that names a field.
func (c *compiler) field(e ast.Expr) (traffic.Field, error) {
	if e.Kind() != ast.IdentKind {
		return 0, c.wrong(e, "is no field", "the fields are "+fieldList())
	}
	f, ok := traffic.ParseField(e.AsIdent())
	if !ok {
		return 0, c.unknownField(e)
	}
	return f, nil
}

func (c *compiler) unknownField(e ast.Expr) error {
	return c.wrong(e, "there is no such field", "the fields are "+fieldList())
}

// key reads the side of a test that is a value.
func (c *compiler) key(f traffic.Field, e ast.Expr) (string, error) {
	if e.Kind() == ast.LiteralKind {
		switch v := e.AsLiteral().Value().(type) {
		case string:
			if f != traffic.FieldNetwork {
				return v, nil
			}
			return "", c.wrong(e, "network is compared with a number", "write "+example(f)+", without quotes")
		case int64:
			if f == traffic.FieldNetwork {
				return strconv.FormatInt(v, 10), nil
			}
		}
		return "", c.wrong(e, f.String()+" is compared with text", "write "+example(f))
	}
	if e.Kind() == ast.IdentKind {
		return "", c.wrong(e, "is no value", "put text in quotes: "+example(f))
	}
	return "", c.wrong(e, "is no value", "write "+example(f))
}

// made gives the errors of the constructors their place.
func (c *compiler) made(e ast.Expr) func(Test, error) (Test, error) {
	return func(t Test, err error) (Test, error) {
		if err != nil {
			return Test{}, c.wrong(e, err.Error(), "")
		}
		return t, nil
	}
}

// wrong makes the Error about the term e.
func (c *compiler) wrong(e ast.Expr, what, hint string) error {
	const longest = 120 // bytes of a term that are shown
	term, err := parser.Unparse(e, c.tree.SourceInfo())
	if err != nil {
		term = ""
	}
	if len(term) > longest {
		term = strings.ToValidUTF8(term[:longest], "") + "..."
	}
	first := int32(-1)
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(part ast.Expr) {
		if r, ok := c.tree.SourceInfo().GetOffsetRange(part.ID()); ok && (first < 0 || r.Start < first) {
			first = r.Start
		}
	}))
	first = max(first, 0)
	// The parser puts a call at its parenthesis; people look for its name.
	for first > 0 && namePart(c.text[first-1]) {
		first--
	}
	return &Error{Column: int(first) + 1, Term: term, What: what, Hint: hint}
}

// example shows a test of a field as it should be.
func example(f traffic.Field) string {
	switch f {
	case traffic.FieldClient:
		return `client.within("198.51.100.0/24")`
	case traffic.FieldNetwork:
		return "network == 64496"
	case traffic.FieldCountry:
		return `country == "GB"`
	case traffic.FieldMethod:
		return `method == "GET"`
	case traffic.FieldHost:
		return `host == "example.org"`
	case traffic.FieldQueryShape, traffic.FieldHeaderOrder, traffic.FieldOpeningHTTP2:
		return f.String() + ` == "0123456789abcdef"`
	case traffic.FieldUserAgent:
		return `user_agent.contains("bot")`
	case traffic.FieldKind:
		return `kind == "page"`
	case traffic.FieldClearance:
		return `clearance == "none"`
	case traffic.FieldStanding:
		return `standing == "shy"`
	case traffic.FieldJA4:
		return `ja4.startsWith("t13d1516h2_")`
	case traffic.FieldHTTP:
		return `http == "1.1"`
	}
	return f.String() + ` == "/"`
}

func fieldList() string {
	var names []string
	for f := range traffic.Fields {
		names = append(names, f.String())
	}
	return strings.Join(names, ", ") + "; those of packets " + packetFieldList()
}

func namePart(r rune) bool { return r == '_' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// identifier tells a function's name from an operator's, such as _+_ or -_.
func identifier(s string) bool { return s != "" && unicode.IsLetter(rune(s[0])) }
