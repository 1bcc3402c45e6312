package match

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"seawall/internal/traffic"
)

// packetRoot is what the names of packets' fields begin with.
const packetRoot = "packet"

// isPacket says whether e is written as a field of packets, known or not.
func isPacket(e ast.Expr) bool {
	return e.Kind() == ast.SelectKind && !e.AsSelect().IsTestOnly() && isRoot(e.AsSelect().Operand())
}

func isRoot(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == packetRoot }

// packetField reads a field of packets.
func (c *compiler) packetField(e ast.Expr) (traffic.PacketField, error) {
	f, err := traffic.ParsePacketField(packetRoot + "." + e.AsSelect().FieldName())
	if err != nil {
		return 0, c.wrong(e, "packets have no such field", "their fields are "+packetFieldList())
	}
	return f, nil
}

// packetAlone rejects a field that stands where a test should.
func (c *compiler) packetAlone(e ast.Expr) error {
	f, err := c.packetField(e)
	if err != nil {
		return err
	}
	return c.wrong(e, "is a field and tests nothing", "compare it: "+packetExample(f))
}

// packetEqual compiles packet.field == value.
func (c *compiler) packetEqual(e, left, right ast.Expr) (Test, error) {
	f, err := c.packetField(left)
	if err != nil {
		return Test{}, err
	}
	if f == traffic.PacketPayload {
		return Test{}, c.wrong(e, "payloads are compared by their beginnings", "write "+packetExample(f))
	}
	if isPacket(right) || right.Kind() == ast.IdentKind && !isRoot(right) {
		return Test{}, c.wrong(e, "compares no field with a value", "write "+packetExample(f))
	}
	key, err := c.packetKey(f, right)
	if err != nil {
		return Test{}, err
	}
	return c.made(e)(PacketIs(f, key))
}

// packetIn compiles packet.field in [values].
func (c *compiler) packetIn(e, left, right ast.Expr) (Test, error) {
	f, err := c.packetField(left)
	if err != nil {
		return Test{}, err
	}
	if f == traffic.PacketPayload {
		return Test{}, c.wrong(e, "payloads are compared by their beginnings", "write "+packetExample(f)+", one match for each")
	}
	values, err := c.list(e, left, right)
	if err != nil {
		return Test{}, err
	}
	keys := make([]string, len(values))
	for i, v := range values {
		if keys[i], err = c.packetKey(f, v); err != nil {
			return Test{}, err
		}
	}
	return c.made(e)(PacketIs(f, keys...))
}

// packetOrder compiles packet.field >= value and the like, in either order.
func (c *compiler) packetOrder(e ast.Expr, operator string, left, right ast.Expr) (Test, error) {
	if !isPacket(left) {
		left, right = right, left
		operator = map[string]string{
			operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals,
			operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
		}[operator]
	}
	f, err := c.packetField(left)
	if err != nil {
		return Test{}, err
	}
	most, ok := largest(f)
	if !ok {
		return Test{}, c.wrong(e, f.String()+" has no order", "write "+packetExample(f))
	}
	var n int64
	literal := false
	if right.Kind() == ast.LiteralKind {
		n, literal = right.AsLiteral().Value().(int64)
	}
	if !literal || n < 0 || uint64(n) > most {
		return Test{}, c.wrong(right, fmt.Sprintf("%s is compared with a number from 0 to %d", f, most), "write "+packetExample(f))
	}
	at := uint64(n)
	switch operator {
	case operators.GreaterEquals:
		return c.made(e)(PacketRange(f, at, math.MaxUint64))
	case operators.LessEquals:
		return c.made(e)(PacketRange(f, 0, at))
	case operators.Greater:
		return c.made(e)(PacketRange(f, at+1, math.MaxUint64))
	}
	if at == 0 {
		return Test{}, c.wrong(e, "matches nothing", "nothing is less than 0")
	}
	return c.made(e)(PacketRange(f, 0, at-1))
}

// payloadAt compiles packet.payload_at(offset, digits).
func (c *compiler) payloadAt(e ast.Expr) (Test, error) {
	args := e.AsCall().Args()
	if len(args) == 2 && args[0].Kind() == ast.LiteralKind && args[1].Kind() == ast.LiteralKind {
		offset, ok1 := args[0].AsLiteral().Value().(int64)
		digits, ok2 := args[1].AsLiteral().Value().(string)
		if ok1 && ok2 {
			if offset > traffic.PayloadKept {
				offset = traffic.PayloadKept // no sum of it may overflow
			}
			return c.made(e)(payload(offset, digits))
		}
	}
	return Test{}, c.wrong(e, "payload_at takes an offset and hexadecimal digits", `write packet.payload_at(4, "3082")`)
}

// packetMember compiles packet.field.function(value).
func (c *compiler) packetMember(e ast.Expr) (Test, error) {
	call := e.AsCall()
	f, err := c.packetField(call.Target())
	if err != nil {
		return Test{}, err
	}
	want := map[traffic.PacketField]string{traffic.PacketSource: "within", traffic.PacketPayload: "startsWith"}[f]
	if call.FunctionName() != want {
		return Test{}, c.wrong(e, fmt.Sprintf("%s has no function %s", f, call.FunctionName()), "write "+packetExample(f))
	}
	if len(call.Args()) != 1 {
		return Test{}, c.wrong(e, want+" takes one value", "write "+packetExample(f))
	}
	key, err := c.packetKey(f, call.Args()[0])
	if err != nil {
		return Test{}, err
	}
	return c.made(e)(PacketIs(f, key))
}

// packetKey reads the side of a test that is a value.
func (c *compiler) packetKey(f traffic.PacketField, e ast.Expr) (string, error) {
	kind := "text"
	if _, ok := largest(f); ok {
		kind = "a number"
	} else if f == traffic.PacketFragmented {
		kind = "true or false"
	}
	if e.Kind() == ast.LiteralKind {
		switch v := e.AsLiteral().Value().(type) {
		case string:
			if kind == "text" {
				return v, nil
			}
		case int64:
			if kind == "a number" {
				return strconv.FormatInt(v, 10), nil
			}
		case bool:
			if kind == "true or false" {
				return strconv.FormatBool(v), nil
			}
		}
	}
	return "", c.wrong(e, f.String()+" is compared with "+kind, "write "+packetExample(f))
}

// packetExample shows a test of a field as it should be.
func packetExample(f traffic.PacketField) string {
	switch f {
	case traffic.PacketSource:
		return `packet.source.within("198.51.100.0/24")`
	case traffic.PacketProtocol:
		return `packet.protocol == "udp"`
	case traffic.PacketFlags:
		return `packet.flags == "S"`
	case traffic.PacketFragmented:
		return "packet.fragment == false"
	case traffic.PacketPayload:
		return `packet.payload.startsWith("3082")`
	case traffic.PacketLength:
		return "packet.length >= 1000"
	}
	return f.String() + " in [52, 54]"
}

func packetFieldList() string {
	var names []string
	for f := range traffic.PacketFields {
		names = append(names, f.String())
	}
	return strings.Join(names, ", ")
}
