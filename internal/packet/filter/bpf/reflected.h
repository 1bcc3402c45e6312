// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: answers that nobody here asked for. Whether this host asked is looked up
// in the kernel's own table of sockets, only for what would be stopped.
#pragma once
#include "malformed.h"

// watch counts packets of a kind in the present window of time.
struct watch {
	__u64 window;
	__u64 n;
};

#define WATCH_SYNS 0
#define WATCH_STRAYS 1

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct watch);
} watches SEC(".maps");

// seen counts one more, and returns how many there were in this window, on this
// processor.
RUNG __u64 seen(struct packet *p, __u32 which)
{
	struct watch *w = bpf_map_lookup_elem(&watches, &which);
	if (!w)
		return 0;
	__u64 window = now(p) >> WINDOW_BITS;
	if (w->window != window) {
		w->window = window;
		w->n = 0;
	}
	return ++w->n;
}

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

// unheard says whether no socket of this host has anything to do with a packet.
RUNG int unheard(struct xdp_md *ctx, struct packet *p)
{
	struct bpf_sock_tuple t = {};
	__u32 size = tuple(p, &t);
	struct bpf_sock *s;
	if (p->proto == IPPROTO_UDP)
		s = bpf_sk_lookup_udp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	else
		s = bpf_skc_lookup_tcp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	if (!s)
		return 1;
	bpf_sk_release(s);
	return 0;
}

// stray judges a packet for a port that is not protected. Reflected floods come
// to any port. When there are very many, those are stopped that no socket waits
// for: the kernel would only answer that nobody is there. A machine that forwards
// packets to others cannot know who waits for them.
PART __u32 stray(struct xdp_md *ctx, struct packet *p)
{
	if (!p || !only_host)
		return 0;
	__u32 reason = STOP_REFLECTED;
	if (p->proto == IPPROTO_TCP) {
		struct tcp *t = next(ctx, p, 14);
		if (!t || (t->flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK))
			return 0;
		reason = STOP_SYNACK;
	} else if (!has_port(amplifiers, p->sport)) {
		return 0;
	}
	return seen(p, WATCH_STRAYS) > strays_a_window && unheard(ctx, p) ? reason : 0;
}
