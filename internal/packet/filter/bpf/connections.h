// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: new connections. What belongs to no connection is stopped, with no table
// of our own: the kernel's is asked. When more connections are asked for than a
// listener takes, SYNs are answered here, with a cookie that the kernel makes
// and, when it comes back, knows: nothing is kept of those who only ask.
#pragma once
#include "fragments.h"
#include "reflected.h"

// alarms tells the daemon that SYNs are many. It arms the cookies.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} alarms SEC(".maps");

// watch_syns rings the bell once a window and processor, also while the cookies
// are armed: as long as it rings they stay so.
RUNG void watch_syns(struct packet *p)
{
	__u64 window = now(p) >> WINDOW_BITS;
	if (seen(p, WATCH_SYNS) == syns_a_window)
		bpf_ringbuf_output(&alarms, &window, sizeof window, BPF_RB_FORCE_WAKEUP);
}

// fresh remembers whose cookie was found good a moment ago: the kernel may not
// have made the connection yet when the next segment is here. Only who has
// shown a good cookie gets in.
struct proven {
	__u64 source[2];
	__u32 ports, unused;
	__u64 until;
};

#define FRESH 512

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FRESH);
	__type(key, __u32);
	__type(value, struct proven);
} fresh SEC(".maps");

#define FRESH_TIME 1000000000ULL

// known remembers, for a second or two, of which flows the kernel said that they
// are connections: asking costs a hundred nanoseconds. An entry is 24 bits of a
// secret hash of the flow, and the second; a flow has a line of four entries. Who
// guesses gets one packet of four million through to the kernel.
struct flows {
	__u32 tag[4];
};

#define FLOWS 8192 // lines of one processor

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FLOWS); // times the number of lanes, set by Go
	__type(key, __u32);
	__type(value, struct flows);
} known SEC(".maps");

#define SECOND_BITS 30 // of nanoseconds

RUNG __u64 flow_hash(struct packet *p)
{
	__u64 ports = (__u64)p->sport << 16 | p->dport;
	if (p->family == 4)
		return mix((__u64)p->source4 << 32 | ports);
	return mix(mix(mix(p->source[0]) ^ p->source[1]) ^ ports);
}

RUNG __u32 flow_at(__u64 h) { return lane() * FLOWS + (h >> 51); }

// tag_of is the entry of a flow that is seen now; never 0.
RUNG __u32 tag_of(struct packet *p, __u64 h) { return (h >> 16 | 0x100) << 8 | (now(p) >> SECOND_BITS & 0xff); }

// young says whether an entry is of the last seconds, of at most 256.
RUNG int young(struct packet *p, __u32 tag, __u32 seconds)
{
	return tag && (((now(p) >> SECOND_BITS) - tag) & 0xff) < seconds;
}

// find_flow returns the place of a flow in its line that was seen in the last
// seconds; 4 if there is none.
RUNG __u32 find_flow(struct packet *p, struct flows *f, __u32 tag, __u32 seconds)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		if (f->tag[i] >> 8 == tag >> 8 && young(p, f->tag[i], seconds))
			return i;
	return 4;
}

// free_flow returns a place that no flow of the last seconds has; 4 if there is
// none.
RUNG __u32 free_flow(struct packet *p, struct flows *f, __u32 seconds)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		if (!young(p, f->tag[i], seconds))
			return i;
	return 4;
}

// quic remembers flows that began with an Initial which was let in, as long as
// they go on. What is UDP and of none of these has a budget of all: it may be a
// connection that has moved, or another protocol. No newcomer takes the place of
// a flow that goes on.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FLOWS); // times the number of lanes, set by Go
	__type(key, __u32);
	__type(value, struct flows);
} quic SEC(".maps");

#define QUIC_SECONDS 60

RUNG __u32 datagram(struct xdp_md *ctx, struct packet *p)
{
	if (unheard(ctx, p))
		return STOP_UNHEARD;
	__u64 h = flow_hash(p);
	__u32 at = flow_at(h), tag = tag_of(p, h);
	struct flows *f = bpf_map_lookup_elem(&quic, &at);
	if (!f)
		return 0;
	__u32 i = find_flow(p, f, tag, QUIC_SECONDS);
	if (i == 4 && p->kind == KIND_INITIAL)
		i = free_flow(p, f, QUIC_SECONDS);
	if (i < 4)
		f->tag[i & 3] = tag;
	if (i < 4 || p->kind == KIND_INITIAL)
		return 0;
	return spent(p, BUDGET_DATAGRAMS, datagram_gap) ? STOP_UDP : 0;
}

// asker is what is asked of a segment: whether it belongs to a connection or, of a
// SYN, for a cookie. It is handed to functions that the verifier looks at once.
struct asker {
	struct bpf_sock_tuple tuple;
	__u32 tuple_size, ip, ip_size, tcp;
	__u64 source[2];
	__u32 ports, flags;
	__u64 now;
};

RUNG struct proven *proven(struct asker *a)
{
	__u32 at = mix(a->source[0] ^ a->source[1] ^ a->ports) >> 40 & (FRESH - 1);
	return bpf_map_lookup_elem(&fresh, &at);
}

RUNG int is_fresh(struct asker *a)
{
	struct proven *f = proven(a);
	return f && f->source[0] == a->source[0] && f->source[1] == a->source[1] && f->ports == a->ports && a->now < f->until;
}

// cookie_good says whether a segment brings a cookie of the kernel's back.
RUNG int cookie_good(struct xdp_md *ctx, struct bpf_sock *listener, struct asker *a)
{
	__u8 ip[40] = {}, tcp[20];
	__u32 zero = 0;
	struct vouch *v = bpf_map_lookup_elem(&lease, &zero);
	if (!v || v->check_until < a->now)
		return 0;
	__u32 size = 40;
	if (a->ip_size == 20)
		size = 20;
	barrier_var(size);
	if (size < 20 || size > 40)
		return 0; // for the verifier, which does not follow it
	if (!(a->flags & TCP_ACK) || a->flags & TCP_RST)
		return 0;
	if (bpf_xdp_load_bytes(ctx, a->ip, ip, 40) || bpf_xdp_load_bytes(ctx, a->tcp, tcp, sizeof tcp))
		return 0;
	if (bpf_tcp_check_syncookie(listener, ip, size, (void *)tcp, sizeof tcp))
		return 0;
	struct proven *f = proven(a);
	if (f) {
		f->source[0] = a->source[0];
		f->source[1] = a->source[1];
		f->ports = a->ports;
		f->until = a->now + FRESH_TIME;
	}
	return 1;
}

#define IN_STATE 2

// out_of_state says whether a segment that is no SYN belongs to no connection,
// neither to one that there is nor to one that is about to be; IN_STATE if the
// kernel has it.
PART int out_of_state(struct xdp_md *ctx, struct asker *a)
{
	if (!a)
		return 0;
	struct bpf_sock *s = bpf_skc_lookup_tcp(ctx, &a->tuple, a->tuple_size == sizeof a->tuple.ipv4 ? sizeof a->tuple.ipv4 : sizeof a->tuple.ipv6, BPF_F_CURRENT_NETNS, 0);
	if (!s)
		return 0; // nobody listens; the kernel says so
	int out = IN_STATE;
	if (s->state == BPF_TCP_LISTEN)
		out = !is_fresh(a) && !cookie_good(ctx, s, a);
	bpf_sk_release(s);
	return out;
}

RUNG void ask_for(struct packet *p, struct asker *a)
{
	a->tuple_size = tuple(p, &a->tuple);
	a->ip = p->ip;
	a->ip_size = p->family == 4 ? 20 : 40;
	a->tcp = p->offset;
	a->source[0] = p->source[0];
	a->source[1] = p->source[1];
	a->ports = (__u32)p->sport << 16 | p->dport;
	a->flags = p->flags;
	a->now = now(p);
}

RUNG __u32 connections(struct xdp_md *ctx, struct packet *p)
{
	__u32 zero = 0;
	if (p->proto == IPPROTO_UDP)
		return datagram(ctx, p);
	if ((p->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		watch_syns(p);
		struct vouch *v = bpf_map_lookup_elem(&lease, &zero);
		return v && v->armed ? STOP_COOKIE : 0;
	}
	__u64 h = flow_hash(p);
	__u32 at = flow_at(h), tag = tag_of(p, h);
	struct flows *f = bpf_map_lookup_elem(&known, &at);
	if (!f || find_flow(p, f, tag, 2) < 4)
		return 0;
	struct asker a = {};
	ask_for(p, &a);
	int out = out_of_state(ctx, &a);
	if (out == IN_STATE) {
		__u32 i = free_flow(p, f, 2);
		f->tag[(i < 4 ? i : tag >> 8) & 3] = tag;
		return 0;
	}
	return out ? STOP_STATE : 0;
}
