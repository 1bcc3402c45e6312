package attack

import (
	"encoding/json"
	"fmt"

	"seawall/internal/traffic"
)

// Contributor is a key that carries much of an attack.
type Contributor struct {
	Field  traffic.Field       // of requests
	Packet traffic.PacketField // of packets; valid iff OfPackets
	// OfPackets says that it is about packets.
	OfPackets bool
	Key       string
	Share     float64 // of the requests offered, or of the packets
}

// Name is the field's name in match expressions.
func (c *Contributor) Name() string {
	if c.OfPackets {
		return c.Packet.String()
	}
	return c.Field.String()
}

// contributor is the form in JSON.
type contributor struct {
	Field string  `json:"field"`
	Key   string  `json:"key"`
	Share float64 `json:"share"`
}

// MarshalJSON writes the field by its name.
func (c Contributor) MarshalJSON() ([]byte, error) {
	return json.Marshal(contributor{c.Name(), c.Key, c.Share})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Contributor) UnmarshalJSON(b []byte) error {
	var in contributor
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*c = Contributor{Key: in.Key, Share: in.Share}
	if f, ok := traffic.ParseField(in.Field); ok {
		c.Field = f
		return nil
	}
	f, err := traffic.ParsePacketField(in.Field)
	if err != nil {
		return fmt.Errorf("unknown field %q", in.Field)
	}
	c.Packet, c.OfPackets = f, true
	return nil
}
