package doctor

import (
	"fmt"
	"slices"
)

// wireLeast is what the smallest packet takes of a line: 64 bytes of Ethernet
// frame, 8 of preamble, 12 of gap (IEEE 802.3).
const wireLeast = 64 + 8 + 12

// packetsOf is how many of the smallest packets a line of so many Mbit/s brings
// in a second.
func packetsOf(speed int64) float64 { return float64(speed) * 1e6 / 8 / wireLeast }

// Whom to call, and what to say. Kept in one place: people read it in a hurry.
const callHost = "write down now, where it can be read without this machine: the telephone number and mail address of your host's network or abuse desk (not the shop), your customer number, this machine's addresses. " +
	"Ask what they do against a flood, from which size on, and what it costs. In the attack ask, in this order: " +
	"to filter it upstream (tell protocol, ports, sources and size); to move you behind their scrubbing service, or that of Project Galileo, Project Shield or Deflect (README), with a new address that stays secret; " +
	"and last, to null-route the one address that is attacked, so that the others live. " +
	"Report it to your national CERT as well (https://www.first.org/members/teams/ lists them): they know whom else it hits, and whom to wake"

// uplink says which flood nothing on this machine survives.
func uplink(e Env, links []Link, m *Measured) []Finding {
	n := notes{subject: "uplink"}
	out := slices.DeleteFunc(slices.Clone(links), func(l Link) bool { return !l.Default })
	if len(out) == 0 {
		n.missing(unknown, "ask your host how fast this machine's line is", "which interface leads outside is not known")
	}
	for _, l := range out {
		if l.Speed == 0 {
			n.missing(unknown, "look into your contract, or ask the host: \"how many Mbit/s, and how many packets/s, reach this machine before you drop any?\"",
				"%s does not say how fast its line is (virtual ones do not): the size of the flood that fills it is not known", l.Name)
			continue
		}
		n.good("%s: a line of %s: a flood of that size, or of %s packets/s, fills it", l.Name, speed(l.Speed), about(packetsOf(l.Speed)))
		if m != nil && m.Drop > 0 {
			cores := packetsOf(l.Speed) / m.Drop
			if cores > float64(e.CPUs) {
				n.poor(weak, "more processors and as many queues, or a card that filters by itself; ask the host to drop packets from sources that cannot be (BCP 38) before you", "%s: the line can bring more small packets than %s can drop (%.1f processors' work)", l.Name, count(e.CPUs, "processor"), cores)
			} else {
				n.good("%s: dropping all the small packets that the line can bring takes %.2f of a processor, besides the driver's work", l.Name, cores)
			}
		}
	}
	n.list = append(n.list, Finding{n.subject, Good, "a flood larger than the line fills it before any program here sees a packet: Seawall or anything else on this machine cannot help then, only those upstream can", callHost, 0})
	return n.list
}

// speed writes Mbit/s as people do.
func speed(mbit int64) string {
	if mbit >= 1000 && mbit%500 == 0 {
		return fmt.Sprintf("%g Gbit/s", float64(mbit)/1000)
	}
	return fmt.Sprintf("%d Mbit/s", mbit)
}
