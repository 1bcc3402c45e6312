package baseline

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"seawall/internal/traffic"
)

// grown makes a baseline with all that can be saved.
func grown(t testing.TB, minutes int) (*Baseline, *site) {
	t.Helper()
	b, s := New(DefaultConfig()), newSite()
	for range minutes {
		for range 10 {
			b.Learn(s.second(30, 0), false)
		}
		s.at, s.wall = s.at.Add(50*time.Second), s.wall.Add(50*time.Second)
	}
	return b, s
}

func TestSaveAndLoad(t *testing.T) {
	b, s := grown(t, 130)
	data, err := b.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"192.0.2", "q=1"} {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("%q is in what is saved", secret)
		}
	}
	c := New(DefaultConfig())
	if err := c.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	got, want := *c.Normal(), *b.Normal()
	near(t, "share of a path", got.Share[traffic.FieldPath]["/style.css"], want.Share[traffic.FieldPath]["/style.css"], 0)
	near(t, "AssetShare", got.AssetShare, want.AssetShare, 1e-6)
	near(t, "ClearanceShare", got.ClearanceShare, want.ClearanceShare, 1e-6)
	if len(got.Ordinary) != 0 {
		t.Error("samples were saved")
	}
	got.Share, got.Ordinary, want.Share, want.Ordinary = [traffic.Fields]map[string]float64{}, nil, [traffic.Fields]map[string]float64{}, nil
	if len(want.OrdinaryDay) < 1000 || len(got.OrdinaryDay)+len(got.OrdinaryWeek) != 0 {
		t.Errorf("%d samples of the day were saved with the rest", len(got.OrdinaryDay))
	}
	want.OrdinaryDay, want.OrdinaryWeek = nil, nil // these have a file of their own
	got.AssetShare, got.ClearanceShare = want.AssetShare, want.ClearanceShare
	if !reflect.DeepEqual(got, want) {
		t.Errorf("loaded %+v,\nsaved %+v", got, want)
	}
	again, err := c.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, data) {
		t.Errorf("saved again: %d bytes, were %d", len(again), len(data))
	}
	// It learns on, and after a day off only the long memory counts.
	c.Learn(s.second(80, 0), false)
	near(t, "Requests", c.Normal().Requests, 30, 1)
	d := New(DefaultConfig())
	if err := d.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	s.wall = s.wall.AddDate(0, 0, 3)
	d.Learn(s.second(80, 0), false)
	if d.requests.n != 0 || d.calendar.week == [weekHours]weekHour{} {
		t.Errorf("%d old windows remain", d.requests.n)
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	b, _ := grown(t, 3)
	good, err := b.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	sign := func(body string) []byte {
		return append(fmt.Appendf(nil, head, checksum([]byte(body))), body...)
	}
	body := string(good[bytes.IndexByte(good, '\n')+1:])
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, data := range map[string][]byte{
		"empty":            nil,
		"cut":              good[:len(good)-1],
		"a bit flipped":    flipped,
		"another version":  bytes.Replace(good, []byte("baseline 1"), []byte("baseline 2"), 1),
		"huge":             append(bytes.Clone(good), make([]byte, mostSaved)...),
		"no JSON":          sign("hello"),
		"unknown key":      sign(`{"surprise":1}`),
		"negative":         sign(`{"learned_s":-1}`),
		"assets above all": sign(`{"seen":1,"assets":2}`),
		"odd ring":         sign(`{"requests":"AAAA"}`),
		"no such step":     sign(`{"requests":"//8="}`),
		"minute":           sign(`{"day":[[1.5,1,1,1]]}`),
		"hour":             sign(`{"week":[[168,1,1,1]]}`),
		"share":            sign(`{"shares":{"path":{"/":1.1}}}`),
		"address":          sign(`{"shares":{"client":{"192.0.2.1/32":0.5}}}`),
		"field":            sign(`{"shares":{"shoe":{}}}`),
		"packets' time":    sign(`{"packets":{"learned_s":-1}}`),
		"packets' number":  sign(`{"packets":{"rings":{"shoes":""}}}`),
		"packets' ring":    sign(`{"packets":{"rings":{"passed":"AAAA"}}}`),
		"long key":         sign(`{"shares":{"path":{"` + strings.Repeat("x", 201) + `":0.5}}}`),
	} {
		c := New(DefaultConfig())
		if err := c.UnmarshalBinary(data); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: error %v", name, err)
		}
		if n := c.Normal(); n.Learned != 0 || n.Requests != 20 {
			t.Errorf("%s: left its mark: %+v", name, n)
		}
	}
	if err := New(DefaultConfig()).UnmarshalBinary(sign(body)); err != nil {
		t.Error(err)
	}
}

// TestSavedSizeIsBounded fills everything to the brim.
func TestSavedSizeIsBounded(t *testing.T) {
	b, s := New(DefaultConfig()), newSite()
	for range 40 {
		w := s.second(2000, 0)
		for j := range w.Samples {
			v := &w.Samples[j].Visit
			// Characters that JSON writes with six bytes.
			v.Path = fmt.Sprint(j%64, strings.Repeat("<", 155))
			v.UserAgent, v.Host = v.Path, v.Path[:80]
			v.HeaderOrder, v.QueryShape, v.Network = uint64(j%64+1), uint64(j%64+1), uint32(j%64)
		}
		b.Learn(w, false)
	}
	for i := range hour {
		for _, r := range []*rolling{&b.requests, &b.clients, &b.busiest, &b.p50, &b.p95} {
			r.add(uint64(i) << 12)
		}
		for _, r := range b.packet.rings() {
			r.add(uint64(i) << 12)
		}
		for _, r := range b.link.rings() {
			r.add(uint64(i) << 12)
		}
	}
	for i := range b.calendar.day {
		b.calendar.day[i] = minute{int64(26_000_000 + i), 59.123, 123456.789, 12345.678}
		b.calendar.dayDetail[i] = detail{59.123, 123456.789, 12345.678, 1234567, 1234567, 1234567, 59.123, 12345.678, 12345.678}
	}
	for i := range b.calendar.week {
		b.calendar.week[i] = weekHour{1000, 12345.678, 12345.678}
		b.calendar.weekDetail[i] = weekDetail{456789, 456789, 12345.678, 12345.678, 12345.678, 12345.678, 12345.678, 0.123, 0.123, 3600.123}
	}
	data, err := b.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes at most", len(data))
	if err := New(DefaultConfig()).UnmarshalBinary(data); err != nil {
		t.Errorf("cannot be read back: %v", err)
	}
}

// TestNothingIsSavedThatCannotBeRead: rather an error now than a surprise at the start.
func TestNothingIsSavedThatCannotBeRead(t *testing.T) {
	most := mostSaved - len(fmt.Sprintf(head, 0))
	if data, err := seal(make([]byte, most)); err != nil || len(data) != mostSaved {
		t.Errorf("%d bytes, error %v", len(data), err)
	}
	data, err := seal(make([]byte, most+1))
	if err == nil || data != nil || !strings.Contains(err.Error(), "1048577 bytes") {
		t.Errorf("%d bytes, error %v", len(data), err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	b, s := grown(f, 2)
	good, err := b.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	_, body, _ := bytes.Cut(good, []byte("\n"))
	f.Add(body)
	f.Add([]byte(`{"at":"2019-11-11T09:00:00Z","learned_s":7,"requests":"AAEBAQ==","day":[[26226540,10,800,80]],"week":[[3,1,80,90]],"shares":{"path":{"/":0.5}}}`))
	f.Add([]byte(`{"packets":{"learned_s":9,"rings":{"kind_syn":"AAEBAQ==","bytes":"AAE="}}}`))
	f.Add([]byte(`{"day":[[1e9,1e9,1e9,1e9]],"week":[[167,1e9,1e9,1e9]]}`))
	w := s.second(80, 0)
	f.Fuzz(func(t *testing.T, body []byte) {
		b := New(DefaultConfig())
		if b.UnmarshalBinary(body) == nil {
			t.Fatal("no checksum needed")
		}
		if b.UnmarshalBinary(append(fmt.Appendf(nil, head, checksum(body)), body...)) != nil {
			return
		}
		b.Learn(w, false)
		n := b.Normal()
		if !(n.Requests >= 20 && n.Peak >= n.Requests && n.Peak <= 1e9 && n.AssetShare >= 0 && n.AssetShare <= 1 && n.Learned >= 0) {
			t.Fatalf("loaded %+v", n)
		}
		out, err := b.MarshalBinary()
		if err != nil || New(DefaultConfig()).UnmarshalBinary(out) != nil {
			t.Fatalf("cannot be saved again: %v", err)
		}
	})
}
