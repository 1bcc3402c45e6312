// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Part of the rung of malformed packets, where it is asked for: sources that are
// not reachable from the internet, though machines on a private network have such
// addresses. No map is read.
//
// They are what IANA's registries of special-purpose addresses (RFC 6890, RFC
// 8190; https://www.iana.org/assignments/iana-ipv4-special-registry and
// iana-ipv6-special-registry, as of October 2025) say is not globally reachable.
// The narrowest entry counts. Entries that have ended, or where it depends on
// what the address holds, say neither, and are left alone: 192.88.99.0/24,
// 2001:10::/28; Teredo, 6to4. So are IPv6's link-local addresses, though the
// registry says no: a neighbour on the same wire may use no other.
#pragma once
#include "common.h"

#define IPV4(a, b, c, d) ((__u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define IPV6(a, b, c, d) ((__u64)(a) << 48 | (__u64)(b) << 32 | (__u32)(c) << 16 | (d)) // the upper half

// LIES_IN compares the first bits of addresses in the machine's order.
#define LIES_IN(address, network, bits) (((address) ^ (network)) >> (8 * sizeof(address) - (bits)) == 0)

RUNG int bogon4(__u32 a)
{
	return LIES_IN(a, IPV4(10, 0, 0, 0), 8) ||     // private, RFC 1918
	       LIES_IN(a, IPV4(172, 16, 0, 0), 12) ||
	       LIES_IN(a, IPV4(192, 168, 0, 0), 16) ||
	       LIES_IN(a, IPV4(100, 64, 0, 0), 10) ||  // between providers and their customers, RFC 6598
	       LIES_IN(a, IPV4(169, 254, 0, 0), 16) || // link-local, RFC 3927
	       LIES_IN(a, IPV4(198, 18, 0, 0), 15) ||  // benchmarks, RFC 2544
	       LIES_IN(a, IPV4(192, 0, 2, 0), 24) ||   // documentation, RFC 5737
	       LIES_IN(a, IPV4(198, 51, 100, 0), 24) ||
	       LIES_IN(a, IPV4(203, 0, 113, 0), 24) ||
	       a == IPV4(192, 88, 99, 2) ||            // relays of 6a44, RFC 6751
	       (LIES_IN(a, IPV4(192, 0, 0, 0), 24) &&  // protocols, RFC 6890, but for
	        a != IPV4(192, 0, 0, 9) &&             // the anycast address of PCP, RFC 7723,
	        a != IPV4(192, 0, 0, 10));             // and of TURN, RFC 8155
}

// has_own_entry says whether an address of 2001::/23, which is set aside for
// protocols (RFC 2928), lies in an entry that does not say that it is not
// reachable.
RUNG int has_own_entry(__u64 high, __u64 low)
{
	return LIES_IN(high, IPV6(0x2001, 0, 0, 0), 32) ||                // Teredo, RFC 4380
	       (high == IPV6(0x2001, 1, 0, 0) && low >= 1 && low <= 3) || // anycast: PCP, TURN, SRP (RFC 9665)
	       LIES_IN(high, IPV6(0x2001, 3, 0, 0), 32) ||                // AMT, RFC 7450
	       LIES_IN(high, IPV6(0x2001, 4, 0x112, 0), 48) ||            // AS112, RFC 7535
	       LIES_IN(high, IPV6(0x2001, 0x10, 0, 0), 28) ||             // ORCHID, ended
	       LIES_IN(high, IPV6(0x2001, 0x20, 0, 0), 28) ||             // ORCHIDv2, RFC 7343
	       LIES_IN(high, IPV6(0x2001, 0x30, 0, 0), 28);               // drones, RFC 9374
}

RUNG int bogon6(__u64 high, __u64 low)
{
	return LIES_IN(high, IPV6(0xfc00, 0, 0, 0), 7) ||        // unique local, RFC 4193
	       LIES_IN(high, IPV6(0x2001, 0xdb8, 0, 0), 32) ||   // documentation, RFC 3849
	       LIES_IN(high, IPV6(0x3fff, 0, 0, 0), 20) ||       // and RFC 9637
	       LIES_IN(high, IPV6(0x5f00, 0, 0, 0), 16) ||       // segments of SRv6, RFC 9602
	       LIES_IN(high, IPV6(0x64, 0xff9b, 1, 0), 48) ||    // translation within a site, RFC 8215
	       high == IPV6(0x100, 0, 0, 0) ||                   // to be discarded, RFC 6666
	       high == IPV6(0x100, 0, 0, 1) ||                   // dummy, RFC 9780
	       (LIES_IN(high, IPV6(0x2001, 0, 0, 0), 23) && !has_own_entry(high, low));
}

// bogon says whether the source address is not reachable from the internet.
RUNG int bogon(struct packet *p)
{
	if (!bogons || any_source)
		return 0;
	if (p->family == 4)
		return bogon4(bpf_ntohl(p->source4));
	return bogon6(bpf_be64_to_cpu(p->source[0]), bpf_be64_to_cpu(p->source[1]));
}
