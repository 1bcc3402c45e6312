package attack

import (
	"encoding/json"
	"testing"

	"seawall/internal/traffic"
)

func TestContributorInJSON(t *testing.T) {
	for text, c := range map[string]Contributor{
		`{"field":"client","key":"192.0.2.1/32","share":0.5}`:    {Key: "192.0.2.1/32", Share: 0.5},
		`{"field":"user_agent","key":"x","share":1}`:             {Field: traffic.FieldUserAgent, Key: "x", Share: 1},
		`{"field":"packet.source_port","key":"53","share":0.25}`: {Packet: traffic.PacketSourcePort, OfPackets: true, Key: "53", Share: 0.25},
	} {
		b, err := json.Marshal(c)
		if err != nil || string(b) != text {
			t.Errorf("%+v is written %s, %v", c, b, err)
		}
		var back Contributor
		if err := json.Unmarshal([]byte(text), &back); err != nil || back != c {
			t.Errorf("%s is read as %+v, %v", text, back, err)
		}
	}
	if json.Unmarshal([]byte(`{"field":"shoe"}`), new(Contributor)) == nil {
		t.Error("an unknown field is taken")
	}
}
