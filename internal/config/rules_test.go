package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"seawall/internal/mitigation"
)

func TestRules(t *testing.T) {
	c, errs := compose(t, origin+`rules:
  - name: no-xmlrpc
    match: 'path == "/xmlrpc.php" && method == "POST"'
    action: refuse
    note: nobody here uses it
  - {name: hooks, match: path.startsWith("/hooks/"), action: admit}
  - {name: big, match: packet.protocol == "udp" && packet.length >= 1400, action: drop, dry_run: true, sure: true}
`)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	rules := c.Rules.Parsed()
	if len(rules) != 3 || rules[0].Action != mitigation.Refuse || rules[0].Note != "nobody here uses it" ||
		rules[0].Match.String() != `path == "/xmlrpc.php" && method == "POST"` && rules[0].Match.String() != `method == "POST" && path == "/xmlrpc.php"` {
		t.Errorf("%+v", rules)
	}
	if !rules[2].DryRun || !c.Rules[2].Sure || rules[1].Action != mitigation.Admit {
		t.Errorf("%+v", c.Rules)
	}
	if c.Rules.Parsed()[1].DryRun {
		t.Error("a rule is on a dry run by itself")
	}
}

// All that is wrong with rules comes at once, each with its line, the term that
// is wrong, and what would be right.
func TestBrokenRules(t *testing.T) {
	_, got := compose(t, origin+`rules:
  - name: a
    match: 'path = "/x"'
    action: refuse
  - name: a
    match: path == "/x" && cuntry == "XX"
    action: block
  - name: two words
    match: 'true'
    action: refuse
    dryrun: true
  - name: c
    match: path == "/x"
    action: drop
  - name: d
    match: packet.length > 9
    action: slow
  - action: admit
    note: `+strings.Repeat("x", 301)+`
    match: path == "/x" || path == "/y"
  - name: e
    match: path in ["/x", "/%7euser//a/../b"]
    action: slow
`)
	want := []string{
		"f:4: rules[0].match: column 6: ",
		"f:6: rules[1].name: \"a\" is the name of rules[0], too; give each rule its own name",
		"f:7: rules[1].match: column 17: `cuntry` ",
		"f:8: rules[1].action: \"block\" is no action of a rule; write admit, slow, challenge or refuse; drop for packets",
		"f:9: rules[2].name: \"two words\" is no name; write letters, digits, dots, - and _, at most 64, such as no-xmlrpc",
		"f:10: rules[2].match: hits everybody; name at least one condition, such as path == \"/xmlrpc.php\"",
		"f:12: rules[2].dryrun: is no setting; did you mean dry_run?",
		"f:15: rules[3].action: requests cannot be dropped, only packets can (packet.length, packet.ttl and the like); write refuse",
		"f:18: rules[4].action: packets cannot be met with slow; write drop; dry_run: true only counts",
		"f:19: rules[5].name: \"\" is no name; ",
		"f:20: rules[5].note: has 301 bytes, more than 300",
		"f:21: rules[5].match: column 1: `path == \"/x\" || path == \"/y\"` a match has no alternatives; ",
		"f:23: rules[6].match: no path is ever \"/%7euser//a/../b\": paths are judged in their normal form; write \"/~user/b\"",
	}
	if len(got) != len(want) {
		t.Fatalf("%d problems instead of %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

// There are only so many places for rules.
func TestTooManyRules(t *testing.T) {
	rules := "rules:\n"
	for i := range 65 {
		rules += fmt.Sprintf("  - {name: r%d, match: path == \"/%d\", action: slow}\n", i, i)
	}
	_, got := compose(t, origin+rules)
	if want := []string{"f:2: rules: holds 65 rules, more than 64; join some with in [...], or take some out"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// Rules about packets leave half of the packet filter's signatures to the machine.
func TestTooManyRulesAboutPackets(t *testing.T) {
	for _, c := range []struct {
		rules int
		want  []string
	}{
		{16, nil},
		{17, []string{"f:2: rules: holds 17 rules about packets, more than 16: the packet filter has room for 32 signatures, and the machine needs some against floods; join some with in [...], or take some out"}},
	} {
		rules := "rules:\n"
		for i := range c.rules {
			rules += fmt.Sprintf("  - {name: p%d, match: packet.length == %d, action: drop, dry_run: %v}\n", i, 100+i, i%2 == 0)
			rules += fmt.Sprintf("  - {name: r%d, match: path == \"/%d\", action: slow}\n", i, i)
		}
		if _, got := compose(t, origin+rules); !slices.Equal(got, c.want) {
			t.Errorf("%d: %q", c.rules, got)
		}
	}
}
