package pcap

import "fmt"

// Link is what a packet begins with, by tcpdump.org's numbers
// (https://www.tcpdump.org/linktypes.html).
type Link uint32

// The links whose packets can be IP as a rule.
const (
	Null     Link = 0 // BSD's loopback: four bytes in the byte order of who captured
	Ethernet Link = 1
	RawBSD   Link = 12 // IP without anything before it, as some systems number it
	RawOther Link = 14
	Raw      Link = 101
	Loop     Link = 108 // OpenBSD's loopback: four bytes in network order
	Cooked   Link = 113 // Linux, of several interfaces: -i any
	IPv4     Link = 228
	IPv6     Link = 229
	Cooked2  Link = 276 // the same with the interface's number
)

// String names a link with its number.
func (l Link) String() string {
	name := ""
	switch l {
	case Null:
		name = "loopback of BSD"
	case Ethernet:
		name = "Ethernet"
	case RawBSD, RawOther, Raw:
		name = "IP alone"
	case Loop:
		name = "loopback of OpenBSD"
	case Cooked:
		name = "Linux cooked"
	case IPv4:
		name = "IPv4 alone"
	case IPv6:
		name = "IPv6 alone"
	case Cooked2:
		name = "Linux cooked, version 2"
	case 9, 50, 51:
		name = "PPP"
	case 105, 119, 127, 163:
		name = "802.11, Wi-Fi"
	case 117:
		name = "log of pf"
	case 147, 148, 149, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 160, 161, 162:
		name = "private use"
	case 187, 201, 251, 255, 256, 272:
		name = "Bluetooth"
	case 189, 220, 249, 266:
		name = "USB"
	case 195, 215, 230, 283:
		name = "802.15.4"
	case 239:
		name = "log of netfilter"
	case 253:
		name = "netlink"
	default:
		return fmt.Sprintf("%d", uint32(l))
	}
	return fmt.Sprintf("%d (%s)", uint32(l), name)
}
