package packet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall/internal/match"
	"seawall/internal/packet/craft"
	"seawall/internal/packet/filter"
)

func expression(t testing.TB, text string) *match.Match {
	t.Helper()
	m, err := match.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sign(t testing.TB, f *filter.Filter, list ...filter.Signature) {
	t.Helper()
	if err := f.SetSignatures(list); err != nil {
		t.Fatal(err)
	}
}

func hits(t testing.TB, f *filter.Filter) map[uint32]filter.Tally {
	t.Helper()
	h, err := f.Hits()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Each field: a signature passes and only counts on a dry run, of its own or of
// the rung, stops when it is enforced, and is nothing when the rung is off.
func TestEachFieldOfSignatures(t *testing.T) {
	payload := []byte{0x30, 0x82, 0x01, 0x02, 0x60, 5}
	syn := v4(craft.Frame{Flags: craft.SYN, Window: 1024, TTL: 52, TCPOptions: make([]byte, 12), Payload: payload}).Bytes()
	quic := v6(craft.Frame{Proto: craft.UDP, SPort: 1900, Payload: slices.Repeat(payload, 200), Tags: []uint16{7}}).Bytes()
	first := v4(craft.Frame{Proto: craft.UDP, More: true, Payload: payload}).Bytes()
	enforced, off := load(t, alone), load(t, func(c *filter.Config) { alone(c); c.Signatures = filter.Off })
	dryRung := load(t, func(c *filter.Config) { alone(c); c.Signatures = filter.DryRun })
	for _, c := range []struct {
		text  string
		frame []byte
		hits  bool
	}{
		{`packet.protocol == "tcp"`, syn, true},
		{`packet.protocol == "udp"`, syn, false},
		{`packet.source_port == 1900`, quic, true},
		{`packet.source_port in [53, 123]`, quic, false},
		{`packet.port == 443`, syn, true},
		{`packet.port <= 442`, quic, false},
		{`packet.flags == "S"`, syn, true},
		{`packet.flags != "S"`, syn, false},
		{`packet.flags != "S"`, quic, false}, // it has none
		{`packet.length >= 1000`, quic, true},
		{`packet.length == 58`, syn, true},
		{`packet.length >= 59`, syn, false},
		{`packet.ttl in [50, 52, 54]`, syn, true},
		{`packet.ttl in [50, 51, 54]`, syn, false},
		{`packet.window == 1024`, syn, true},
		{`packet.window <= 65535`, quic, false}, // it has none
		{`packet.fragment == true`, first, true},
		{`packet.fragment == true`, syn, false},
		{`packet.source.within("198.18.0.0/15")`, syn, true},
		{`packet.source.within("198.18.0.0/15")`, quic, false},
		{`packet.source.within("2001:db8:1::/48")`, quic, true},
		{`!packet.source.within("2001:db8:2::/48")`, quic, true},
		{`packet.payload.startsWith("3082")`, syn, true},
		{`packet.payload.startsWith("3082010260053082010260053082010260053082010260053082010260053082")`, quic, true},
		{`packet.payload_at(4, "6005")`, first, true},
		{`packet.payload_at(5, "0530")`, syn, false}, // it is not so long
		{`!packet.payload_at(5, "0530")`, syn, false},
		{`packet.protocol == "tcp" && packet.flags == "S" && packet.ttl == 52 && packet.payload_at(4, "60")`, syn, true},
	} {
		sig := filter.Signature{ID: 7, Match: expression(t, c.text), Enforce: true}
		for name, f := range map[string]*filter.Filter{"enforced": enforced, "off": off, "dry run of the rung": dryRung} {
			sign(t, f, sig)
			before := hits(t, f)[7].Packets
			done, dry, passes := result(t, f, c.frame)
			counted := hits(t, f)[7].Packets - before
			if passes != (name != "enforced" || !c.hits) || counted == 1 != (c.hits && name != "off") {
				t.Errorf("%s, %s: passes %v, %d hits", c.text, name, passes, counted)
			}
			if slices.Contains(done, filter.StopSignature) == passes || slices.Contains(dry, filter.StopSignature) != (c.hits && name == "dry run of the rung") {
				t.Errorf("%s, %s: passes %v, counted %v, %v", c.text, name, passes, done, dry)
			}
		}
		sig.Enforce = false
		sign(t, enforced, sig)
		before := hits(t, enforced)[7]
		_, dry, passes := result(t, enforced, c.frame)
		after := hits(t, enforced)[7]
		if want := map[bool]uint64{true: uint64(len(c.frame))}[c.hits]; !passes || len(dry) > 0 || after.Bytes-before.Bytes != want {
			t.Errorf("%s, dry run: passes %v, counted %v, %d bytes of hits", c.text, passes, dry, after.Bytes-before.Bytes)
		}
	}
}

// A payload may begin in one buffer of a packet and go on in the next.
func TestSignaturesLookIntoAllBuffers(t *testing.T) {
	f := load(t, alone)
	whole := make([]byte, 600)
	for i := range whole {
		whole[i] = byte(i)
	}
	for behind := 3400; behind <= 3440; behind += 8 {
		// Two extension headers push the payload, but not the header before it, over
		// the end of the first buffer.
		frame := v6(craft.Frame{Payload: whole}).Bytes()
		headers := make([]byte, behind)
		headers[0], headers[1] = craft.Destinations, 255 // 2,048 bytes
		headers[2048], headers[2049] = craft.TCP, byte((behind-2048)/8-1)
		long := slices.Concat(frame[:tcp6], headers, frame[tcp6:])
		long[ip4+6] = craft.Destinations
		length := len(long) - tcp6
		long[ip4+4], long[ip4+5] = byte(length>>8), byte(length)
		sign(t, f, filter.Signature{ID: 1, Match: expression(t, `packet.payload_at(16, "101112131415161718191a1b1c1d1e1f")`), Enforce: true},
			filter.Signature{ID: 2, Match: expression(t, `packet.payload.startsWith("0001020304050607") && packet.length >= 4000`)})
		before := hits(t, f)
		done, _, passes := result(t, f, long)
		after := hits(t, f)
		if passes || after[2].Packets != before[2].Packets+1 || after[2].Bytes != before[2].Bytes+uint64(len(long)) {
			t.Errorf("%d bytes of headers: passes %v (%v), hits %v, then %v", behind, passes, done, before, after)
		}
	}
}

// Hits belong to IDs, whatever else comes and goes and wherever they stand.
func TestHitsBelongToIDs(t *testing.T) {
	f := load(t, nil)
	any, none := expression(t, `packet.ttl >= 0`), expression(t, `packet.ttl == 77`)
	frame := v4(craft.Frame{}).Bytes()
	show := func(n int, want map[uint32]uint64) {
		t.Helper()
		if passed := many(t, f, frame, n); passed != n {
			t.Errorf("%d of %d pass", passed, n)
		}
		got := hits(t, f)
		if len(got) != len(want) {
			t.Errorf("hits of %v, want %v", got, want)
		}
		for id, n := range want {
			if got[id].Packets != n || got[id].Bytes != n*uint64(len(frame)) {
				t.Errorf("signature %d: %+v, want %d", id, got[id], n)
			}
		}
	}
	show(5, nil)
	sign(t, f, filter.Signature{ID: 9, Match: any}, filter.Signature{ID: 3, Match: none})
	show(5, map[uint32]uint64{9: 5, 3: 0})
	sign(t, f, filter.Signature{ID: 1, Match: any}, filter.Signature{ID: 9, Match: any})
	show(2, map[uint32]uint64{9: 7, 1: 2})
	sign(t, f, filter.Signature{ID: 9, Match: none}, filter.Signature{ID: 3, Match: any}) // back again: counted from nothing
	show(4, map[uint32]uint64{9: 7, 3: 4})
	sign(t, f)
	show(4, nil)
	var all []filter.Signature
	for i := range uint32(filter.SignaturesMost) {
		all = append(all, filter.Signature{ID: 100 + i, Match: any})
	}
	want := map[uint32]uint64{}
	sign(t, f, all...)
	for _, s := range all {
		want[s.ID] = 3
	}
	show(3, want)
	// All slots are taken, and one changes hands.
	delete(want, 100)
	all[0].ID = 99
	sign(t, f, all...)
	for id := range want {
		want[id] += 6
	}
	want[99] = 6
	show(6, want)
}

// What cannot be had is refused by name, and leaves all as it was.
func TestSignaturesRefused(t *testing.T) {
	f := load(t, nil)
	frame := v4(craft.Frame{}).Bytes()
	fine := filter.Signature{ID: 1, Match: expression(t, `packet.port == 443`), Enforce: true}
	sign(t, f, fine)
	var numbers []string
	for n := range match.MaxList {
		numbers = append(numbers, fmt.Sprint(2*n))
	}
	long := strings.Repeat("packet.length in ["+strings.Join(numbers, ", ")+"] && ", 4) + "packet.ttl == 1"
	many := []filter.Signature{fine}
	for i := range uint32(filter.SignaturesMost) {
		many = append(many, filter.Signature{ID: i + 2, Match: expression(t, fmt.Sprintf("packet.ttl == %d", i))})
	}
	var longer []filter.Signature
	for i := range uint32(6) {
		longer = append(longer, filter.Signature{ID: i + 1, Match: expression(t, long)})
	}
	visit := expression(t, `path == "/"`)
	for name, c := range map[string]struct {
		list []filter.Signature
		is   error
		says string
	}{
		"too many":         {many, filter.ErrFull, "33 signatures"},
		"too long":         {longer, filter.ErrSignature, "packet.length in [0, 2, 4"},
		"of visits":        {[]filter.Signature{{ID: 2, Match: visit}}, filter.ErrSignature, `path == "/"`},
		"of nothing":       {[]filter.Signature{{ID: 2}}, filter.ErrSignature, "signature 2"},
		"no ID":            {[]filter.Signature{{Match: fine.Match}}, filter.ErrSignature, "no ID"},
		"one ID twice":     {[]filter.Signature{{ID: 2, Match: fine.Match}, {ID: 2, Match: fine.Match}}, filter.ErrSignature, "no ID of its own"},
		"unknown bytes":    {[]filter.Signature{{ID: 2, Match: match.All(match.PacketPayload(31, []byte{1, 2}))}}, filter.ErrSignature, `packet.payload_at(31, "0102")`},
		"no bytes":         {[]filter.Signature{{ID: 2, Match: match.All(match.PacketPayload(0, nil))}}, filter.ErrSignature, "payload"},
		"no prefix at all": {[]filter.Signature{{ID: 2, Match: match.All(match.PacketWithin(netip.Prefix{}))}}, filter.ErrSignature, "no prefix"},
	} {
		if err := f.SetSignatures(c.list); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, passes := result(t, f, frame); passes {
			t.Errorf("%s: the signature that stood stands no more", name)
		}
	}
	if n := hits(t, f)[1].Packets; n != 9 {
		t.Errorf("%d hits", n)
	}
}

// As much as is taken at all, the verifier takes as well: lists, ranges, payloads
// and prefixes, negated or not, in all slots.
func TestLargestSignaturesAreVerified(t *testing.T) {
	f := load(t, alone)
	var list []filter.Signature
	for i := range filter.SignaturesMost {
		var numbers []string
		for n := range 40 {
			numbers = append(numbers, fmt.Sprint(3*n+i))
		}
		in := "[" + strings.Join(numbers, ", ") + "]"
		list = append(list, filter.Signature{ID: uint32(i + 1), Enforce: i%2 == 0, Match: expression(t,
			"!(packet.length in "+in+") && packet.source_port in "+in+
				` && !packet.payload_at(1, "`+strings.Repeat("a5", 31)+`") && !packet.source.within("2001:db8::/77")`+
				` && !(packet.window >= 5 && packet.window <= 90)`)})
	}
	start := time.Now()
	sign(t, f, list...)
	t.Logf("loaded in %v", time.Since(start))
	list[0].Match = expression(t, list[0].Match.String()+strings.Repeat(` && !packet.payload_at(1, "`+strings.Repeat("a5", 31)+`")`, 24))
	if err := f.SetSignatures(list); !errors.Is(err, filter.ErrSignature) || !strings.Contains(err.Error(), "4096 instructions") {
		t.Errorf("more than is taken: %v", err)
	}
}

// Signatures are the last rung: what an earlier one stops, or the allow list
// lets pass, is not theirs; and they end with the lease.
func TestSignaturesInTheLadder(t *testing.T) {
	f := load(t, nil)
	sign(t, f, filter.Signature{ID: 1, Match: expression(t, `packet.ttl >= 0`), Enforce: true})
	expect(t, f, picture{"ours", v4(craft.Frame{}).Bytes(), filter.StopSignature}, false)
	expect(t, f, picture{"another port", v4(craft.Frame{DPort: 22}).Bytes(), filter.PassOther}, true)
	expect(t, f, picture{"later fragment", v4(craft.Frame{Proto: craft.UDP, Offset: 64, Payload: make([]byte, 64)}).Bytes(), filter.StopSignature}, false)
	expect(t, f, picture{"ping", v4(craft.Frame{Proto: craft.ICMP, Kind: 8}).Bytes(), filter.StopSignature}, false)
	expect(t, f, picture{"neighbour solicitation", v6(craft.Frame{Proto: craft.ICMPv6, Kind: 135, TTL: 255}).Bytes(), filter.PassOther}, true)
	expect(t, f, picture{"malformed", v4(craft.Frame{Flags: craft.SYN | craft.FIN}).Bytes(), filter.StopFlags}, false)
	block(t, f, netip.PrefixFrom(client4, 32), true)
	expect(t, f, picture{"blocked", v4(craft.Frame{}).Bytes(), filter.StopBlocked}, false)
	if err := f.Allow(netip.PrefixFrom(client6, 64), time.Time{}); err != nil {
		t.Fatal(err)
	}
	expect(t, f, picture{"allowed", v6(craft.Frame{}).Bytes(), filter.PassAllowed}, true)
	if n := hits(t, f)[1].Packets; n != 4 { // all but what other rungs stopped, the allowed among them
		t.Errorf("%d hits", n)
	}
	if err := f.Renew(0); err != nil {
		t.Fatal(err)
	}
	other := v4(craft.Frame{})
	other.Source = netip.MustParseAddr("198.18.0.8")
	if _, dry, passes := result(t, f, other.Bytes()); !passes || !slices.Contains(dry, filter.PassLease) {
		t.Errorf("without a lease: passes %v, %v", passes, dry)
	}
}

// A person's ban on a dry run must not make a signature outlive the lease.
func TestSignatureIsNoPersonsBan(t *testing.T) {
	f := load(t, set(filter.Block, filter.DryRun))
	block(t, f, netip.PrefixFrom(client4, 32), true)
	sign(t, f, filter.Signature{ID: 1, Match: expression(t, `packet.ttl >= 0`), Enforce: true})
	if err := f.Renew(0); err != nil {
		t.Fatal(err)
	}
	if _, _, passes := result(t, f, v4(craft.Frame{}).Bytes()); !passes {
		t.Error("it stops packets without a lease")
	}
}

// Under a flood others come and go around a signature: it misses no packet, and
// none is counted to another.
func TestSignaturesSwitchUnderFlood(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		f := made(t, "")
		defer f.Close()
		attach(t, f)
		flood := filter.Signature{ID: 1, Match: expression(t, `packet.protocol == "udp" && packet.length == 128`), Enforce: true}
		miss := expression(t, `packet.protocol == "udp" && packet.length == 129`)
		sign(t, f, flood)
		var c net.Conn
		var err error
		asClient(t, func() { c, err = net.Dial("udp", ownAddr+":443") })
		if err != nil {
			t.Fatal(err)
		}
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for msg := make([]byte, 100); ; {
				select {
				case <-stop:
					return
				default:
					_, _ = c.Write(msg)
				}
			}
		}()
		for i := range uint32(20) {
			list := []filter.Signature{{ID: 2 + i, Match: miss, Enforce: true}, flood, {ID: 3 + i, Match: miss}}
			sign(t, f, list[i%2:]...)
			time.Sleep(5 * time.Millisecond)
			for id, n := range hits(t, f) {
				if id != flood.ID && n.Packets > 0 {
					t.Errorf("%d hits are counted to signature %d", n.Packets, id)
				}
			}
		}
		close(stop)
		<-ended
		_ = c.Close()
		time.Sleep(50 * time.Millisecond) // what is on its way
		counts, err := f.Counts()
		if err != nil {
			t.Fatal(err)
		}
		met := hits(t, f)[flood.ID].Packets
		if met < 1000 || counts.Done[filter.StopSignature].Packets != met || counts.Done[filter.PassOurs].Packets > 0 {
			t.Errorf("%d hits, %d stopped, %d passed", met, counts.Done[filter.StopSignature].Packets, counts.Done[filter.PassOurs].Packets)
		}
	})
}
