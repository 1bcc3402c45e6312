// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: a budget for each source (an IPv4 address, an IPv6 /64), in packets and
// in bytes. And the budget for the beginnings of QUIC connections, each of which
// costs a server a key exchange; browsers come by TCP when they get no answer.
//
// Sources are not remembered one by one: an attacker can send from as many as he
// likes. Each processor has a fixed number of cells, and a source has two of
// them, by a secret hash (a count-min sketch in which a cell is a token bucket;
// Cormode and Muthukrishnan, 2005), in one line of eight, which costs one cache
// miss (as Putze, Sanders and Singler block Bloom filters, 2009). It is over its
// budget when both its cells are. A million spoofed sources a second share the
// cells so thinly that none fills up, and an honest source suffers only if it
// shares both its cells with the largest of the flood.
#pragma once
#include "fragments.h"

#define LINES 2048  // of cells of one processor, for sources; a power of two
#define I_LINES 512 // the same for Initials

struct cells {
	__u64 full[8]; // when the budgets are full again, nanoseconds
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LINES); // times the number of lanes, set by Go
	__type(key, __u32);
	__type(value, struct cells);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, I_LINES);
	__type(key, __u32);
	__type(value, struct cells);
} initials SEC(".maps");

// How long a source may have been over its rate before it is stopped.
#define PATIENCE 250000000

RUNG __u64 source_hash(struct packet *p)
{
	return mix(p->family == 4 ? p->source4 : p->source[0]);
}

// take takes a cost, in nanoseconds, from two cells of a line; it says whether
// both had nothing left.
RUNG int take(__u64 t, struct cells *c, __u64 h, __u64 cost)
{
	__u32 first = h >> 20 & 7, second = (first + 1 + (h >> 24 & 3)) & 7;
	__u64 a = c->full[first], b = c->full[second];
	a = a > t ? a : t;
	b = b > t ? b : t;
	if (a - t > PATIENCE && b - t > PATIENCE)
		return 1;
	c->full[first] = a + cost;
	c->full[second] = b + cost;
	return 0;
}

RUNG __u32 over_budget(struct packet *p)
{
	__u64 h = source_hash(p);
	__u32 at = lane() * LINES + (h >> 40 & (LINES - 1));
	struct cells *c = bpf_map_lookup_elem(&sources, &at);
	if (!c)
		return 0;
	__u64 cost = p->size * source_byte_gap >> 10;
	return take(now(p), c, h, cost > source_gap ? cost : source_gap) ? STOP_BUDGET : 0;
}

// is_initial says whether a UDP datagram begins a QUIC connection: a long header
// whose type is Initial, in versions 1 and 2 (RFC 9000, section 17.2.2; RFC 9369,
// section 3.2), or of an unknown version, which a server answers as well.
RUNG int is_initial(struct xdp_md *ctx, struct packet *p)
{
	struct {
		__u8 udp[8], first;
		__be32 version;
	} __attribute__((packed)) *q = next(ctx, p, sizeof *q);
	if (!q || p->left < sizeof *q || !(q->first & 0x80))
		return 0;
	__u8 type = q->first >> 4 & 3;
	if (q->version == bpf_htonl(1))
		return type == 0;
	if (q->version == bpf_htonl(0x6b3343cf))
		return type == 1;
	return 1;
}

// too_many_initials is asked of Initials only.
RUNG __u32 too_many_initials(struct xdp_md *ctx, struct packet *p)
{
	// A client fills the datagram, so that nobody is flooded with longer answers
	// in its name; shorter ones no server takes (RFC 9000, section 14.1).
	if (p->left < 8 + 1200)
		return STOP_INITIALS;
	__u64 h = source_hash(p);
	__u32 at = lane() * I_LINES + (h >> 40 & (I_LINES - 1));
	struct cells *c = bpf_map_lookup_elem(&initials, &at);
	if (!c)
		return 0;
	if (take(now(p), c, h, initial_gap) || spent(p, BUDGET_INITIALS, initials_gap))
		return STOP_INITIALS;
	return 0;
}
