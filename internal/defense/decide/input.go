package decide

import (
	"seawall/internal/attack"
	"seawall/internal/traffic"
)

// Input is what is known at the end of a window.
type Input struct {
	Now        Moment
	Window     *traffic.Window
	Findings   []attack.Finding
	Signatures []attack.Signature // of the flood that no refusing mitigation hits yet
	Others     []RequestFlood     // floods of requests besides that one, each of a part of them
	Packets    []PacketFlood      // floods of packets, apart from the rest
	Usual      float64            // requests a second usual at the whole site
	Judge      Judge              // for what is remembered; nil: none of it refuses
}

// Judge measures a signature of an earlier flood anew, on what is ordinary by now.
type Judge func(attack.Signature) attack.Signature

// RequestFlood is a flood of a part of the requests, with what it has in common.
type RequestFlood struct {
	Finding    attack.Finding
	Signatures []attack.Signature
}

// All lists the signatures of all floods of requests.
func (in *Input) All() []attack.Signature {
	out := in.Signatures
	for i := range in.Others {
		out = append(out[:len(out):len(out)], in.Others[i].Signatures...)
	}
	return out
}
