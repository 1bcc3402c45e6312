// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: answers that nobody here asked for. Whether this host asked is looked up
// in the kernel's own table of sockets, only for what would be stopped.
#pragma once
#include "malformed.h"

// tuple makes the key of the kernel's tables of sockets, and returns its size.
RUNG __u32 tuple(struct packet *p, struct bpf_sock_tuple *t)
{
	if (p->family == 4) {
		t->ipv4.saddr = p->source4;
		t->ipv4.daddr = p->dest[1] >> 32;
		t->ipv4.sport = bpf_htons(p->sport);
		t->ipv4.dport = bpf_htons(p->dport);
		return sizeof t->ipv4;
	}
	__builtin_memcpy(t->ipv6.saddr, p->source, 16);
	__builtin_memcpy(t->ipv6.daddr, p->dest, 16);
	t->ipv6.sport = bpf_htons(p->sport);
	t->ipv6.dport = bpf_htons(p->dport);
	return sizeof t->ipv6;
}

// asked says whether a socket of this host is connected to the source, or is
// about to be.
RUNG int asked(struct xdp_md *ctx, struct packet *p)
{
	struct bpf_sock_tuple t = {};
	__u32 size = tuple(p, &t);
	struct bpf_sock *s;
	if (p->proto == IPPROTO_UDP) {
		s = bpf_sk_lookup_udp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
		if (!s)
			return 0;
		int connected = s->state == BPF_TCP_ESTABLISHED;
		bpf_sk_release(s);
		return connected;
	}
	s = bpf_skc_lookup_tcp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	if (!s)
		return 0;
	int asked = s->state != BPF_TCP_LISTEN;
	bpf_sk_release(s);
	return asked;
}

RUNG __u32 reflected(struct xdp_md *ctx, struct packet *p)
{
	if (p->proto == IPPROTO_UDP)
		return has_port(amplifiers, p->sport) && !asked(ctx, p) ? STOP_REFLECTED : 0;
	return (p->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) && !asked(ctx, p) ? STOP_SYNACK : 0;
}
