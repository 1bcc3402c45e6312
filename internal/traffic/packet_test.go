package traffic

import "testing"

func TestPacketsAnd(t *testing.T) {
	a := Packets{Filtered: true, Passed: Counted{1, 10}, Stopped: Counted{2, 20}, Reasons: map[string]Counted{"x": {1, 10}, "y": {2, 20}},
		Cookies: 1, Hits: map[uint32]uint64{7: 1}, Samples: make([]Packet, 2), Every: 8, Lost: 1}
	a.Kinds[PacketSyn] = 3
	b := Packets{Filtered: true, Passed: Counted{10, 100}, Stopped: Counted{20, 200}, Reasons: map[string]Counted{"y": {30, 300}},
		Cookies: 10, Hits: map[uint32]uint64{7: 10, 8: 1}, Samples: make([]Packet, 3), Every: 8, Lost: 10}
	b.Kinds[PacketSyn] = 30
	got := a.And(b)
	if got.Kinds[PacketSyn] != 33 || got.Passed != (Counted{11, 110}) || got.Stopped != (Counted{22, 220}) || got.Reasons["x"] != (Counted{1, 10}) ||
		got.Reasons["y"] != (Counted{32, 320}) || got.Cookies != 11 || got.Hits[7] != 11 || got.Hits[8] != 1 || len(got.Samples) != 5 || got.Every != 8 || got.Lost != 11 {
		t.Errorf("%+v", got)
	}
	if a.Hits[7] != 1 || len(b.Reasons) != 1 || a.Reasons["y"].Packets != 2 {
		t.Error("a part was changed")
	}
	if none := (Packets{}); none.And(a).Kinds != a.Kinds || a.And(none).Kinds != a.Kinds {
		t.Error("nothing adds something")
	}
	b.Every = 64
	if got := a.And(b); len(got.Samples) != 3 || got.Every != 64 {
		t.Errorf("%d samples of every %d", len(got.Samples), got.Every)
	}
}
