package config

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"seawall/internal/kit/problem"
)

// decode reads text into the struct that into points to. goccy/go-yaml stops
// at the first wrong value; people who write a configuration under stress want
// all of them, so the syntax tree is walked here. It returns the line of each
// key that was set, for problems found later; read is false where the text is no
// YAML, and nothing of it could be read.
func decode(text []byte, into any) (lines map[string]int, found problem.List, read bool) {
	d := &decoder{lines: map[string]int{}}
	// Keys that are set twice are reported below, with all other problems.
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return d.lines, d.found, false
	}
	docs := 0
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if docs++; docs > 1 {
			d.add("", doc.Body, "keep one document: remove the second `---`", "holds more than one document")
			break
		}
		d.value("", doc.Body, reflect.ValueOf(into).Elem())
	}
	return d.lines, d.found, true
}

type decoder struct {
	lines map[string]int
	found problem.List
}

func (d *decoder) add(key string, at ast.Node, hint, what string, args ...any) {
	if key == "" {
		key = fmt.Sprintf("line %d", at.GetToken().Position.Line)
	}
	d.mark(key, at)
	d.found.Add(key, hint, what, args...)
}

func (d *decoder) mark(key string, at ast.Node) {
	if t := at.GetToken(); t != nil && t.Position != nil {
		if _, known := d.lines[key]; !known {
			d.lines[key] = t.Position.Line
		}
	}
}

// syntax reports that the text is no YAML at all.
func (d *decoder) syntax(err error) {
	var se *yaml.SyntaxError
	what := firstLine(err.Error())
	key := ""
	if errors.As(err, &se) {
		what = se.Message
		if t := se.Token; t != nil && t.Position != nil {
			key = fmt.Sprintf("line %d", t.Position.Line)
			d.lines[key] = t.Position.Line
		}
	}
	d.found.Add(key, "check the indentation (two spaces a level, no tabs) and the quotes around this line", "is no YAML: %s", what)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

func (d *decoder) value(key string, n ast.Node, v reflect.Value) {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.add(key, n, "write the value out", "anchors, aliases and tags are not read here")
		return
	case *ast.NullNode: // "key:" with nothing behind it keeps the default
		return
	}
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		d.value(key, n, p.Elem())
		v.Set(p)
		return
	}
	if reflect.PointerTo(v.Type()).Implements(textUnmarshaler) {
		d.text(key, n, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(key, n, v)
	case reflect.Map:
		d.table(key, n, v)
	case reflect.Slice:
		d.list(key, n, v)
	default:
		d.scalar(key, n, v)
	}
}

func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

func (d *decoder) mapping(key string, n ast.Node, v reflect.Value) {
	values, ok := pairs(n)
	if !ok {
		d.add(key, n, "write `key: value` lines below it", "is %s, not a group of settings", describe(n))
		return
	}
	fields := map[string]reflect.Value{}
	collect(v, fields)
	seen := map[string]bool{}
	for _, kv := range values {
		name := keyName(kv)
		at := join(key, name)
		d.mark(at, kv.Key)
		f, known := fields[name]
		switch {
		case !known:
			d.add(at, kv.Key, suggest(name, fields), "is no setting")
		case seen[name]:
			delete(d.lines, at) // the second one is too many
			d.add(at, kv.Key, "keep one of them", "is set twice")
		default:
			d.value(at, kv.Value, f)
		}
		seen[name] = true
	}
}

// keyName is a key without its quotes, if any.
func keyName(kv *ast.MappingValueNode) string {
	if s, ok := kv.Key.(*ast.StringNode); ok {
		return s.Value
	}
	return kv.Key.String()
}

// collect gathers a struct's settings by name; inlined structs count as part.
func collect(v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, opt, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case opt == "inline":
			collect(v.Field(i), into)
		case name != "":
			into[name] = v.Field(i)
		}
	}
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func (d *decoder) table(key string, n ast.Node, v reflect.Value) {
	values, ok := pairs(n)
	if !ok || v.Type().Key().Kind() != reflect.String {
		d.add(key, n, "write `name: value` lines below it", "is %s, not a table", describe(n))
		return
	}
	m := reflect.MakeMap(v.Type())
	for _, kv := range values {
		name := keyName(kv)
		item := reflect.New(v.Type().Elem()).Elem()
		d.mark(join(key, name), kv.Key)
		d.value(join(key, name), kv.Value, item)
		m.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), item)
	}
	v.Set(m)
}

func (d *decoder) list(key string, n ast.Node, v reflect.Value) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.add(key, n, "write a list: [a, b] or lines that begin with `- `", "is %s, not a list", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values))
	for i, item := range s.Values {
		at := fmt.Sprintf("%s[%d]", key, i)
		d.mark(at, item)
		d.value(at, item, out.Index(i))
	}
	v.Set(out)
}

// text returns what a scalar says, unquoted.
func scalarText(n ast.Node) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		return s.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func (d *decoder) text(key string, n ast.Node, v reflect.Value) {
	s, ok := scalarText(n)
	if !ok {
		d.add(key, n, "write one value", "is %s", describe(n))
		return
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
		what, hint := textFault(v.Interface(), err)
		d.add(key, n, hint, "%q %s", s, what)
	}
}

// textFault says what is wrong with the text of a value, and what would be right.
func textFault(value any, err error) (what, hint string) {
	switch value.(type) {
	case netip.Prefix:
		return "is no network", "write one such as 198.51.100.0/24 or 2001:db8::/48"
	case netip.Addr:
		return "is no address", "write one such as 198.51.100.7"
	case netip.AddrPort:
		return "is no address with a port", "write one such as 127.0.0.1:8080"
	case Size:
		return "is no size", "write 256MiB or 1GiB"
	}
	return "is wrong: " + firstLine(err.Error()), ""
}

func (d *decoder) scalar(key string, n ast.Node, v reflect.Value) {
	s, ok := scalarText(n)
	if !ok {
		d.add(key, n, "write one value", "is %s", describe(n))
		return
	}
	wrong := func(hint string) { d.add(key, n, hint, "is %q", s) }
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		t, err := time.ParseDuration(s)
		if err != nil {
			wrong("write a time such as 500ms, 10s, 5m or 24h")
			return
		}
		v.SetInt(int64(t))
	case v.Kind() == reflect.String:
		v.SetString(s)
	case v.Kind() == reflect.Bool:
		if _, ok := n.(*ast.BoolNode); !ok {
			wrong("write true or false")
			return
		}
		v.SetBool(n.(*ast.BoolNode).Value)
	default:
		// Numbers: goccy's own decoder knows their notations and ranges.
		// A broken one it would cut for a whole one.
		p := reflect.New(v.Type())
		hint, fits := "write a whole number", n.Type() == ast.IntegerType
		if v.CanFloat() {
			hint, fits = "write a number", n.Type() != ast.StringType && n.Type() != ast.BoolType
		}
		if !fits || yaml.NodeToValue(n, p.Interface()) != nil {
			wrong(hint)
			return
		}
		v.Set(p.Elem())
	}
}

func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a group of settings"
	case *ast.SequenceNode:
		return "a list"
	}
	if s, ok := scalarText(n); ok {
		return fmt.Sprintf("%q", s)
	}
	return "something else"
}

// suggest names the setting that was probably meant, or all there are.
func suggest(name string, fields map[string]reflect.Value) string {
	names := make([]string, 0, len(fields))
	for n := range fields {
		names = append(names, n)
	}
	slices.Sort(names)
	best, least := "", 3
	for _, n := range names {
		if dist := distance(name, n); dist < least {
			best, least = n, dist
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %s?", best)
	}
	return "settings here are " + strings.Join(names, ", ")
}

// distance is Levenshtein's, over bytes; keys are short.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
