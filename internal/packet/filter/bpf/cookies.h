// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// The answer to a SYN while cookies are armed: a SYN-ACK whose sequence number
// is a cookie of the kernel's (RFC 4987, section 3.6). What a cookie has no room
// for, window scaling and selective acknowledgements, goes into the lowest bits
// of the timestamp, if the client sends one, where the kernel looks for it
// (net/ipv4/syncookies.c). That works with tcp_timestamps at 2, which adds no
// secret of each connection to them; Go sees to it.
#pragma once
#include "connections.h"
#include "parse.h"

// From net/ipv4/syncookies.c: bits of a timestamp.
#define TS_SCALE 0xf // of the window; all set: none
#define TS_SACK 0x10
#define TS_BITS 0x3f

#define OPT_END 0
#define OPT_NOP 1
#define OPT_MSS 2
#define OPT_SCALE 3
#define OPT_SACK 4
#define OPT_TIME 8

#define MOST_OPTIONS 16 // that are looked at

// syn is a SYN, from its IP header to its last option: IPv4's header lies at
// HEAD4, IPv6's at 0, what follows always at TCP_AT.
struct syn {
	__u8 bytes[112] __attribute__((aligned(8))); // 100, and what the verifier thinks may be read behind them
	__u32 size; // of the TCP header, at most 60
};

#define HEAD4 20
#define TCP_AT 40

// wishes is what a client's options ask for.
struct wishes {
	__be32 time; // its timestamp
	__u8 has_time, has_scale, scale, sack;
	__u32 at; // of the next option in the TCP header; here the verifier does not follow it
};

// read_options is a call of its own for all of them, and not one for each: where
// processors are kept from guessing where a call returns to, one costs 20 ns.
PART int read_options(struct syn *s, struct wishes *w)
{
	if (!s || !w)
		return 0;
	w->at = 20;
	for (int i = 0; i < MOST_OPTIONS; i++) {
		__u32 at = w->at;
		if (at >= s->size)
			break;
		barrier_var(at);
		__u8 *o = &s->bytes[TCP_AT + (at & 63)];
		__u32 kind = o[0];
		if (kind == OPT_NOP) {
			w->at = at + 1;
			continue;
		}
		__u32 length = o[1];
		if (kind == OPT_END || length < 2 || at + length > s->size)
			break;
		if (kind == OPT_TIME && length == 10) {
			w->has_time = 1;
			w->time = o[2] | o[3] << 8 | o[4] << 16 | (__u32)o[5] << 24;
		} else if (kind == OPT_SCALE && length == 3) {
			w->has_scale = 1;
			w->scale = o[2];
		} else if (kind == OPT_SACK && length == 2) {
			w->sack = 1;
		}
		w->at = at + length;
	}
	return 0;
}

struct answer {
	__be16 sport, dport;
	__be32 sequence, acknowledged;
	__u8 words, flags;
	__be16 window, sum, urgent;
	__u8 mss[4];
	__u8 sack[2], time[2];
	__be32 our_time, their_time;
	__u8 scale[4];
};

#define SHORT_ANSWER 24

// our_time is the timestamp that carries what the client asked for. The kernel's
// runs in milliseconds; whose bits say more cannot be exact.
RUNG __u32 our_time(const struct wishes *w, __u64 now)
{
	__u32 clock = now / 1000000;
	__u32 bits = (w->has_scale ? (w->scale > 14 ? 14 : w->scale) : TS_SCALE) | (w->sack ? TS_SACK : 0);
	__u32 t = (clock & ~TS_BITS) | bits;
	return t > clock ? t - (TS_BITS + 1) : t;
}

RUNG __u32 write_answer(struct answer *t, const __u8 *tcp, const struct wishes *w, __u32 cookie, __u16 mss, __u64 now)
{
	__builtin_memset(t, 0, sizeof *t);
	__builtin_memcpy(&t->sport, tcp + 2, 2);
	__builtin_memcpy(&t->dport, tcp, 2);
	__u32 theirs = tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
	t->sequence = bpf_htonl(cookie);
	t->acknowledged = bpf_htonl(theirs + 1);
	t->flags = TCP_SYN | TCP_ACK;
	t->window = bpf_htons(64240);
	t->mss[0] = OPT_MSS;
	t->mss[1] = 4;
	t->mss[2] = mss >> 8;
	t->mss[3] = mss;
	if (!w->has_time) {
		t->words = SHORT_ANSWER / 4 << 4;
		return SHORT_ANSWER;
	}
	t->sack[0] = w->sack ? OPT_SACK : OPT_NOP;
	t->sack[1] = w->sack ? 2 : OPT_NOP;
	t->time[0] = OPT_TIME;
	t->time[1] = 10;
	t->our_time = bpf_htonl(our_time(w, now));
	t->their_time = w->time;
	t->scale[0] = t->scale[1] = t->scale[2] = t->scale[3] = OPT_NOP;
	if (w->has_scale) {
		t->scale[1] = OPT_SCALE;
		t->scale[2] = 3;
		t->scale[3] = window_scale;
	}
	t->words = sizeof *t / 4 << 4;
	return sizeof *t;
}

RUNG __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

// words adds up what lies at of. Sums do not mind the order of bytes, nor whether
// it is two of them at a time or four.
RUNG __u64 words(const void *of, __u32 bytes)
{
	const __u32 *word = of;
	__u64 sum = 0;
#pragma unroll
	for (int i = 0; i < bytes / 4; i++)
		sum += word[i];
	return sum;
}

// turn4 and turn6 make of a SYN's IP header that of an answer to it with so many
// bytes of TCP. They return the sum of what TCP's checksum covers of it.
RUNG __u64 turn4(struct ipv4 *ip, __u32 size)
{
	__be32 a = ip->source;
	ip->source = ip->dest;
	ip->dest = a;
	ip->tos = 0;
	ip->total = bpf_htons(20 + size);
	ip->id = 0;
	ip->fragment = bpf_htons(0x4000); // do not fragment
	ip->ttl = 64;
	ip->sum = 0;
	ip->sum = fold(words(ip, 20));
	return words(&ip->source, 8) + bpf_htons(IPPROTO_TCP) + bpf_htons(size);
}

RUNG __u64 turn6(struct ipv6 *ip, __u32 size)
{
	__u64 a = ip->source[0], b = ip->source[1];
	ip->source[0] = ip->dest[0];
	ip->source[1] = ip->dest[1];
	ip->dest[0] = a;
	ip->dest[1] = b;
	ip->flow = bpf_htonl(6 << 28);
	ip->payload = bpf_htons(size);
	ip->hops = 64;
	return words(ip->source, 32) + bpf_htons(IPPROTO_TCP) + bpf_htons(size);
}

// put writes words into the packet.
RUNG void put(void *to, const void *from, __u32 bytes)
{
	__u32 *there = to;
	const __u32 *word = from;
#pragma unroll
	for (int i = 0; i < bytes / 4; i++)
		there[i] = word[i];
}

// before is what lies before the IP header: a type, or PPP's protocol, and before
// that the length that PPPoE gives.
struct before {
	__be16 length, type;
};

// send_back turns the addresses of Ethernet round and writes the two headers,
// the IP header of head bytes from ip, over those that came. It returns 0 if
// they have no room.
RUNG int send_back(struct xdp_md *ctx, struct asker *a, const void *ip, __u32 head, const struct answer *t, int whole)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u16 *mac = data;
	void *at = data + (a->ip & FURTHEST);
	struct before *b = data + ((a->ip - sizeof *b) & FURTHEST);
	if (data + ETH_HLEN > end || (void *)(b + 1) > end || at + head + SHORT_ANSWER > end)
		return 0;
	if (b->type == bpf_htons(PPP_IPV4) || b->type == bpf_htons(PPP_IPV6))
		b->length = bpf_htons(2 + head + (whole ? sizeof *t : SHORT_ANSWER));
#pragma unroll
	for (int i = 0; i < 3; i++) {
		__u16 one = mac[i];
		mac[i] = mac[i + 3];
		mac[i + 3] = one;
	}
	put(at, ip, head);
	put(at + head, t, SHORT_ANSWER);
	if (!whole)
		return 1;
	if (at + head + sizeof *t > end)
		return 0;
	put(at + head + SHORT_ANSWER, (const void *)t + SHORT_ANSWER, sizeof *t - SHORT_ANSWER);
	return 1;
}

// How far apart are SYNs that no cookie can answer and that pass all the same
// while cookies are armed, nanoseconds, on each processor.
#define SYN_GAP 10000000

#define ANSWERED 1
#define NO_COOKIE 0 // the kernel makes none now; nothing was changed
#define LOST 2      // it was changed, and cannot be sent

// load_syn copies a SYN without IP options or extension headers. It returns the
// size of its TCP header, 0 if it has none.
RUNG __u32 load_syn(struct xdp_md *ctx, struct asker *a, struct syn *s, __u32 bytes)
{
	int is4 = a->ip_size == 20;
	if (bytes <= a->ip)
		return 0;
	__u32 there = bytes - a->ip, most = is4 ? 80 : 100, n = there < most ? there : most;
	barrier_var(n); // kernels before 6.8 forget what was found out of it otherwise
	if (n < 40 || n > 100)
		return 0;
	if (is4) {
		if (n > 80 || bpf_xdp_load_bytes(ctx, a->ip, s->bytes + HEAD4, n))
			return 0;
	} else if (bpf_xdp_load_bytes(ctx, a->ip, s->bytes, n)) {
		return 0;
	}
	__u32 size = (s->bytes[TCP_AT + 12] >> 4) * 4;
	s->size = size;
	return a->ip_size + size <= there ? size : 0;
}

// answer turns a SYN into the SYN-ACK with a cookie.
PART int answer(struct xdp_md *ctx, struct asker *a)
{
	if (!a)
		return NO_COOKIE;
	struct syn syn = {};
	__u8 *tcp = syn.bytes + TCP_AT;
	struct wishes w = {};
	struct answer t;
	int is4 = a->ip_size == 20;
	__u32 bytes = bpf_xdp_get_buff_len(ctx);
	if (ctx->data_end - ctx->data != bytes)
		return NO_COOKIE; // in several buffers, which nobody sends a SYN in
	__u32 size = load_syn(ctx, a, &syn, bytes);
	barrier_var(size); // the verifier does not follow it so far
	if (size < 20 || size > 60)
		return NO_COOKIE;
	struct bpf_sock *s = bpf_skc_lookup_tcp(ctx, &a->tuple, is4 ? sizeof a->tuple.ipv4 : sizeof a->tuple.ipv6, BPF_F_CURRENT_NETNS, 0);
	if (!s)
		return NO_COOKIE;
	__s64 cookie = -1;
	if (s->state == BPF_TCP_LISTEN)
		cookie = is4 ? bpf_tcp_gen_syncookie(s, syn.bytes + HEAD4, 20, (void *)tcp, size)
			     : bpf_tcp_gen_syncookie(s, syn.bytes, 40, (void *)tcp, size);
	bpf_sk_release(s);
	if (cookie < 0)
		return NO_COOKIE;
	read_options(&syn, &w);
	__u32 length = write_answer(&t, tcp, &w, cookie, is4 ? mss4 : mss6, a->now);
	int whole = length == sizeof t;
	__u64 sum = is4 ? turn4((void *)(syn.bytes + HEAD4), length) : turn6((void *)syn.bytes, length);
	t.sum = fold(sum + words(&t, sizeof t)); // what a short one has not is 0

	if (bpf_xdp_adjust_tail(ctx, (int)(a->ip + a->ip_size + length) - (int)bytes))
		return NO_COOKIE;
	int done = is4 ? send_back(ctx, a, syn.bytes + HEAD4, 20, &t, whole) : send_back(ctx, a, syn.bytes, 40, &t, whole);
	return done ? ANSWERED : LOST;
}
