package ja4

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"testing"
)

// offer is a hello to be put together.
type offer struct {
	legacy     uint16
	versions   []uint16 // nil: no such extension
	ciphers    []uint16
	extensions []uint16 // in this order; server name, ALPN and others are filled in
	schemes    []uint16
	protocols  []string
}

func codesOf(t testing.TB, text string) (list []uint16) {
	t.Helper()
	if text == "" {
		return nil
	}
	for _, s := range strings.Split(text, ",") {
		n, err := strconv.ParseUint(s, 16, 16)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, uint16(n))
	}
	return list
}

func vector8(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }
func vector16(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func words(list []uint16) (b []byte) {
	for _, w := range list {
		b = binary.BigEndian.AppendUint16(b, w)
	}
	return b
}

// message writes the offer as a handshake message.
func (o offer) message() []byte {
	var ext []byte
	for _, e := range o.extensions {
		var data []byte
		switch e {
		case extServerName:
			data = vector16(append([]byte{0}, vector16([]byte("example.org"))...))
		case extALPN:
			var list []byte
			for _, p := range o.protocols {
				list = append(list, vector8([]byte(p))...)
			}
			data = vector16(list)
		case extSignatures:
			data = vector16(words(o.schemes))
		case extSupportedVersions:
			data = vector8(words(o.versions))
		}
		ext = append(binary.BigEndian.AppendUint16(ext, e), vector16(data)...)
	}
	body := binary.BigEndian.AppendUint16(nil, o.legacy)
	body = append(body, make([]byte, 32)...)
	body = append(body, vector8(make([]byte, 32))...)
	body = append(body, vector16(words(o.ciphers))...)
	body = append(body, 1, 0)
	if o.extensions != nil {
		body = append(body, vector16(ext)...)
	}
	return append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// info writes it as crypto/tls would tell it.
func (o offer) info() *tls.ClientHelloInfo {
	i := &tls.ClientHelloInfo{
		CipherSuites: o.ciphers, Extensions: o.extensions, SupportedProtos: o.protocols, SupportedVersions: o.versions,
	}
	if o.versions == nil {
		i.SupportedVersions = []uint16{o.legacy, 0x0301}
	}
	for _, s := range o.schemes {
		i.SignatureSchemes = append(i.SignatureSchemes, tls.SignatureScheme(s))
	}
	return i
}

func both(t *testing.T, o offer, over Transport) string {
	t.Helper()
	a, err := OfMessage(o.message(), over)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OfInfo(o.info(), over)
	if err != nil {
		t.Fatal(err)
	}
	if a != b {
		t.Errorf("by the message %s, by crypto/tls %s", a, b)
	}
	return a.String()
}

// Published fingerprints with what they were made of (JA4_r, or JA4_ro, which
// keeps the order).
var published = map[string]struct {
	over                         Transport
	ciphers, extensions, schemes string
	protocol, want               string
}{
	"the specification's example": {
		TCP, "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035",
		"001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015",
		"0403,0804,0401,0503,0805,0501,0806,0601", "h2", "t13d1516h2_8daaf6152771_e5627efa2ab1",
	},
	"Chrome 143 on Android": {
		TCP, "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035",
		"002d,0033,0010,fe0d,0017,44cd,0000,000b,000a,002b,ff01,0023,0012,0005,000d,001b",
		"0403,0804,0401,0503,0805,0501,0806,0601", "h2", "t13d1516h2_8daaf6152771_d8a2da3f94cd",
	},
	"Firefox 144, private window": {
		TCP, "1301,1303,1302,c02b,c02f,cca9,cca8,c02c,c030,c00a,c009,c013,c014,009c,009d,002f,0035",
		"0000,0017,ff01,000a,000b,0010,0005,0022,0012,0033,002b,000d,001c,001b,fe0d",
		"0403,0503,0603,0804,0805,0806,0401,0501,0601,0203,0201", "h2", "t13d1715h2_5b57614c22b0_a54fffd0eb61",
	},
	"Chrome in QUIC": {
		QUIC, "1301,1302,1303", "0000,0010,000a,000d,001b,002b,002d,0033,0039,4469",
		"0403,0804,0401,0503,0805,0501,0806,0601,0201", "h3", "q13d0310h3_55b375c5d22e_cd85d2d88918",
	},
	"resumed in QUIC": {
		QUIC, "1302,1301,1303", "0033,002b,000d,000a,002d,0000,0010,0039,002a,0029",
		"0403,0804,0401,0503,0805,0501,0201,0807,0808", "h3", "q13d0310h3_55b375c5d22e_43a52939c45c",
	},
}

func (o offer) greased() offer {
	first := func(list []uint16, g uint16) []uint16 { return append([]uint16{g}, list...) }
	o.ciphers, o.versions, o.schemes = first(o.ciphers, 0x3a3a), first(o.versions, 0xfafa), first(o.schemes, 0x0a0a)
	o.extensions = append(first(o.extensions, 0x8a8a), 0x1a1a)
	o.protocols = append([]string{"\x5a\x5a"}, o.protocols...)
	return o
}

func TestPublished(t *testing.T) {
	for name, c := range published {
		o := offer{
			legacy: 0x0303, versions: []uint16{0x0304, 0x0303}, protocols: []string{c.protocol, "http/1.1"},
			ciphers: codesOf(t, c.ciphers), extensions: codesOf(t, c.extensions), schemes: codesOf(t, c.schemes),
		}
		if got := both(t, o, c.over); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if got := both(t, o.greased(), c.over); got != c.want {
			t.Errorf("%s with GREASE: %s, want %s", name, got, c.want)
		}
	}
}

func TestFirstSection(t *testing.T) {
	ten := []uint16{0x1301}
	for name, c := range map[string]struct {
		offer
		want string
	}{
		"nothing": {offer{legacy: 0x0303}, "t12i000000_000000000000_000000000000"},
		"no signature algorithms": {offer{legacy: 0x0303, extensions: codesOf(t,
			"0005,000a,000b,0012,0015,0017,001b,0023,002d,0033,4469,ff01")}, "t12i001200_000000000000"},
		"server name alone":         {offer{legacy: 0x0302, ciphers: ten, extensions: []uint16{0}}, "t11d010100_"},
		"TLS 1.0":                   {offer{legacy: 0x0301}, "t10"},
		"a list of old versions":    {offer{legacy: 0x0303, extensions: []uint16{0x2b}, versions: []uint16{0x0301, 0x0302}}, "t11i0001"},
		"a version not known":       {offer{legacy: 0x0303, extensions: []uint16{0x2b}, versions: []uint16{0x0304, 0x7f1c}}, "t00i0001"},
		"a protocol of one letter":  {offer{legacy: 0x0303, extensions: []uint16{0x10}, protocols: []string{"x"}}, "t12i0001xx"},
		"http/1.1":                  {offer{legacy: 0x0303, extensions: []uint16{0x10}, protocols: []string{"http/1.1", "h2"}}, "t12i0001h1"},
		"AB":                        {offer{legacy: 0x0303, extensions: []uint16{0x10}, protocols: []string{"\xab"}}, "t12i0001ab"},
		"ABCD":                      {offer{legacy: 0x0303, extensions: []uint16{0x10}, protocols: []string{"\xab\xcd"}}, "t12i0001ad"},
		"30AB":                      {offer{legacy: 0x0303, extensions: []uint16{0x10}, protocols: []string{"0\xab"}}, "t12i00013b"},
		"3031ABCD":                  {offer{legacy: 0x0303, extensions: []uint16{0x10}, protocols: []string{"01\xab\xcd"}}, "t12i00013d"},
		"30ABCD31":                  {offer{legacy: 0x0303, extensions: []uint16{0x10}, protocols: []string{"0\xab\xcd1"}}, "t12i000101"},
		"more than ninety-nine":     {offer{legacy: 0x0303, ciphers: many(120), extensions: many(101)}, "t12i9999"},
		"protocols all of GREASE":   {offer{legacy: 0x0303, extensions: []uint16{0x10}, protocols: []string{"\x0a\x0a"}}, "t12i000100"},
		"one suite twice":           {offer{legacy: 0x0303, ciphers: []uint16{1, 1}}, "t12i020000"},
		"extensions of GREASE only": {offer{legacy: 0x0303, extensions: []uint16{0x0a0a, 0x1a1a}}, "t12i000000_000000000000_000000000000"},
	} {
		if got := both(t, c.offer, TCP); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	// The specification's own value for a list without signature algorithms.
	o := offer{legacy: 0x0303, versions: []uint16{0x0304}, schemes: []uint16{0x0a0a},
		extensions: codesOf(t, "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01")}
	if got := both(t, o, TCP); !strings.HasSuffix(got, "_6d807ffa2a79") {
		t.Errorf("without signature algorithms: %s", got)
	}
}

// many lists codes that mean nothing.
func many(n int) (list []uint16) {
	for i := range n {
		list = append(list, 0xe000+uint16(i)*2+uint16(i%2))
	}
	return list
}

func TestRefused(t *testing.T) {
	whole := offer{legacy: 0x0303, versions: []uint16{0x0304}, ciphers: []uint16{0x1301}, schemes: []uint16{0x0403},
		protocols: []string{"h2"}, extensions: codesOf(t, "0000,000d,0010,002b")}
	msg := whole.message()
	const end = 4 + 2 + 32 + 33 + 4 + 2 // there a hello without extensions is whole
	for n := range msg {
		cut := append([]byte(nil), msg[:n]...)
		if n >= 4 {
			cut[1], cut[2], cut[3] = 0, byte((n-4)>>8), byte(n-4)
		}
		if _, err := OfMessage(cut, TCP); !errors.Is(err, ErrMalformed) && n != end {
			t.Errorf("the first %d of %d bytes: %v", n, len(msg), err)
		}
	}
	change := func(do func(o *offer)) []byte { o := whole; do(&o); return o.message() }
	with := func(at int, b byte) []byte { m := append([]byte(nil), msg...); m[at] = b; return m }
	for name, c := range map[string]struct {
		msg  []byte
		want error
	}{
		"another message":      {with(0, 2), ErrMalformed},
		"another length":       {with(3, msg[3]+1), ErrMalformed},
		"a long session":       {with(4+2+32, 33), ErrMalformed},
		"half a suite":         {with(4+2+32+33+1, 1), ErrMalformed},
		"something behind":     {append(with(3, msg[3]+1), 0), ErrMalformed},
		"an extension twice":   {change(func(o *offer) { o.extensions = []uint16{5, 5} }), ErrMalformed},
		"GREASE twice":         {change(func(o *offer) { o.extensions = []uint16{0x2a2a, 0x2a2a} }), ErrMalformed},
		"no versions":          {change(func(o *offer) { o.versions = nil }), ErrMalformed},
		"no algorithms":        {change(func(o *offer) { o.schemes = nil }), ErrMalformed},
		"no protocols":         {change(func(o *offer) { o.protocols = nil }), ErrMalformed},
		"an empty protocol":    {change(func(o *offer) { o.protocols = []string{"h2", ""} }), ErrMalformed},
		"many suites":          {change(func(o *offer) { o.ciphers = many(MostCiphers + 1) }), ErrTooMany},
		"many extensions":      {change(func(o *offer) { o.extensions = many(MostExtensions + 1) }), ErrTooMany},
		"many algorithms":      {change(func(o *offer) { o.schemes = many(MostExtensions + 1) }), ErrTooMany},
		"as many as there may": {change(func(o *offer) { o.ciphers = many(MostCiphers) }), nil},
	} {
		if _, err := OfMessage(c.msg, TCP); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, o := range map[string]offer{
		"suites": {ciphers: many(MostCiphers + 1)}, "extensions": {extensions: many(MostExtensions + 1)}, "schemes": {schemes: many(MostExtensions + 1)},
	} {
		if _, err := OfInfo(o.info(), TCP); !errors.Is(err, ErrTooMany) {
			t.Errorf("many %s by crypto/tls: %v", name, err)
		}
	}
}

func chrome(t testing.TB) offer {
	c := published["Chrome 143 on Android"]
	o := offer{legacy: 0x0303, versions: []uint16{0x0304, 0x0303}, protocols: []string{"h2", "http/1.1"},
		ciphers: codesOf(t, c.ciphers), extensions: codesOf(t, c.extensions), schemes: codesOf(t, c.schemes)}
	return o.greased()
}

func TestAllocatesNothing(t *testing.T) {
	o := chrome(t)
	msg, info := o.message(), o.info()
	if n := testing.AllocsPerRun(100, func() {
		_, _ = OfMessage(msg, TCP)
		_, _ = OfInfo(info, TCP)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOfMessage(b *testing.B) {
	msg := chrome(b).message()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := OfMessage(msg, TCP); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOfInfo(b *testing.B) {
	info := chrome(b).info()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := OfInfo(info, TCP); err != nil {
			b.Fatal(err)
		}
	}
}

// The most that a stranger can make it do.
func BenchmarkOfInfoLargest(b *testing.B) {
	o := chrome(b)
	o.ciphers, o.extensions = many(MostCiphers), many(MostExtensions)
	info := o.info()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := OfInfo(info, TCP); err != nil {
			b.Fatal(err)
		}
	}
}
