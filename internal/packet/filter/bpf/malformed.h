// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: what no honest stack sends. No map is read.
#pragma once
#include "bogons.h"
#include "parse.h"

struct tcp {
	__be16 sport, dport;
	__be32 sequence, acknowledged;
	__u8 words, flags;
	__be16 window, sum, urgent;
};

struct udp {
	__be16 sport, dport, length, sum;
};

// impossible says whether nobody can have the source address: this network,
// loopback, multicast, reserved (RFC 6890).
RUNG int impossible(struct packet *p)
{
	if (any_source)
		return 0;
	if (p->family == 4) {
		__u8 first = bpf_ntohl(p->source4) >> 24;
		return first == 0 || first == 127 || first >= 224;
	}
	__u64 high = bpf_be64_to_cpu(p->source[0]), low = bpf_be64_to_cpu(p->source[1]);
	return high >> 56 == 0xff || (high == 0 && low <= 1) || // ff00::/8, :: and ::1
	       is_mapped(p->source);
}

// malformed judges packets for protected ports only.
RUNG __u32 malformed(struct xdp_md *ctx, struct packet *p)
{
	if (impossible(p))
		return STOP_SOURCE;
	if (p->source[0] == p->dest[0] && p->source[1] == p->dest[1] && !any_source)
		return STOP_LAND;
	if (bogon(p))
		return STOP_BOGON;
	if (p->proto == IPPROTO_UDP) {
		struct udp *u = next(ctx, p, sizeof *u);
		if (p->left < sizeof *u || !u)
			return STOP_LENGTH;
		__u16 length = bpf_ntohs(u->length);
		if (length < sizeof *u || (!p->fragment && length > p->left))
			return STOP_LENGTH;
		return p->sport ? 0 : STOP_FLAGS;
	}
	struct tcp *t = next(ctx, p, sizeof *t);
	if (p->left < sizeof *t || !t)
		return STOP_LENGTH;
	__u32 head = (t->words >> 4) * 4;
	if (head < sizeof *t || head > p->left)
		return STOP_LENGTH;
	if (!p->sport)
		return STOP_FLAGS;
	// Every segment has ACK, but for a SYN alone and a RST.
	switch (p->flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) {
	case TCP_SYN:
	case TCP_SYN | TCP_ACK:
	case TCP_RST:
	case TCP_RST | TCP_ACK:
	case TCP_ACK:
	case TCP_FIN | TCP_ACK:
		return 0;
	}
	return STOP_FLAGS;
}
