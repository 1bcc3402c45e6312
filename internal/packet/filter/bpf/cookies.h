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

// wishes is what a client's options ask for.
struct wishes {
	__be32 time; // its timestamp
	__u8 has_time, has_scale, scale, sack;
};

// segment is the beginning of a TCP segment, to its last option.
struct segment {
	__u8 bytes[64];
	__u32 size; // of the header, at most 60
};

// read_option reads the option at an offset and returns that of the next; 64
// when there is none.
PART __u32 read_option(struct segment *t, struct wishes *w, __u32 at)
{
	if (!t || !w || at >= t->size || at > 59)
		return 64;
	__u8 *o = &t->bytes[at], kind = o[0], length = o[1];
	if (kind == OPT_NOP)
		return at + 1;
	if (kind == OPT_END || length < 2 || at + length > t->size)
		return 64;
	if (kind == OPT_TIME && length == 10 && at <= 50) {
		w->has_time = 1;
		w->time = o[2] | o[3] << 8 | o[4] << 16 | (__u32)o[5] << 24;
	} else if (kind == OPT_SCALE && length == 3) {
		w->has_scale = 1;
		w->scale = o[2];
	} else if (kind == OPT_SACK && length == 2) {
		w->sack = 1;
	}
	return at + length;
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

// our_time is the timestamp that carries what the client asked for.
RUNG __u32 our_time(const struct wishes *w)
{
	__u32 clock = bpf_ktime_get_ns() / 1000000; // the kernel's runs in milliseconds
	__u32 bits = (w->has_scale ? (w->scale > 14 ? 14 : w->scale) : TS_SCALE) | (w->sack ? TS_SACK : 0);
	__u32 t = (clock & ~TS_BITS) | bits;
	return t > clock ? t - (TS_BITS + 1) : t;
}

RUNG __u32 write_answer(struct answer *t, const __u8 *tcp, const struct wishes *w, __u32 cookie, __u16 mss)
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
	t->our_time = bpf_htonl(our_time(w));
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

// head is the IP header of an answer: that of the SYN, turned round.
struct head {
	union {
		struct ipv4 v4;
		struct ipv6 v6;
	};
};

RUNG __s64 turn4(struct ipv4 *ip, __u32 size)
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
	ip->sum = fold(bpf_csum_diff(0, 0, (void *)ip, 20, 0));
	struct {
		__be32 source, dest;
		__be16 proto, length;
	} pseudo = {ip->source, ip->dest, bpf_htons(IPPROTO_TCP), bpf_htons(size)};
	return bpf_csum_diff(0, 0, (void *)&pseudo, sizeof pseudo, 0);
}

RUNG __s64 turn6(struct ipv6 *ip, __u32 size)
{
	struct {
		__u64 source[2], dest[2];
		__be32 length, proto;
	} pseudo = {{ip->dest[0], ip->dest[1]}, {ip->source[0], ip->source[1]}, bpf_htonl(size), bpf_htonl(IPPROTO_TCP)};
	ip->flow = bpf_htonl(6 << 28);
	ip->payload = bpf_htons(size);
	ip->hops = 64;
	__builtin_memcpy(ip->source, pseudo.source, 32);
	return bpf_csum_diff(0, 0, (void *)&pseudo, sizeof pseudo, 0);
}

// How far apart are SYNs that no cookie can answer and that pass all the same
// while cookies are armed, nanoseconds, on each processor.
#define SYN_GAP 10000000

#define ANSWERED 1
#define NO_COOKIE 0 // the kernel makes none now; nothing was changed
#define LOST 2      // it was changed, and cannot be sent

// answer turns a SYN into the SYN-ACK with a cookie.
PART int answer(struct xdp_md *ctx, struct asker *a)
{
	if (!a)
		return NO_COOKIE;
	struct head head = {};
	__u16 addresses[6]; // of Ethernet
	struct segment segment = {};
	__u8 *tcp = segment.bytes;
	struct wishes w = {};
	struct answer t;
	int is4 = a->ip_size == 20;
	__u32 ip_size = is4 ? 20 : 40;
	if (bpf_xdp_load_bytes(ctx, 0, addresses, 12) || bpf_xdp_load_bytes(ctx, a->ip, &head, 40) ||
	    bpf_xdp_load_bytes(ctx, a->tcp, tcp, 20))
		return NO_COOKIE;
	__u32 size = (tcp[12] >> 4) * 4;
	if (size < 20 || size > 60 || (size > 20 && bpf_xdp_load_bytes(ctx, a->tcp, tcp, size)))
		return NO_COOKIE;
	struct bpf_sock *s = bpf_skc_lookup_tcp(ctx, &a->tuple, is4 ? sizeof a->tuple.ipv4 : sizeof a->tuple.ipv6, BPF_F_CURRENT_NETNS, 0);
	if (!s)
		return NO_COOKIE;
	__s64 cookie = -1;
	if (s->state == BPF_TCP_LISTEN)
		cookie = bpf_tcp_gen_syncookie(s, &head, ip_size, (void *)tcp, size);
	bpf_sk_release(s);
	if (cookie < 0)
		return NO_COOKIE;
	segment.size = size;
	__u32 at = 20;
	for (int i = 0; i < MOST_OPTIONS && at < 60; i++)
		at = read_option(&segment, &w, at);
	__u32 length = write_answer(&t, tcp, &w, cookie, is4 ? mss4 : mss6);
	__s64 sum = is4 ? turn4(&head.v4, length) : turn6(&head.v6, length);
	if (length == sizeof t)
		sum = bpf_csum_diff(0, 0, (void *)&t, sizeof t, sum);
	else
		sum = bpf_csum_diff(0, 0, (void *)&t, SHORT_ANSWER, sum);
	t.sum = fold(sum);

	__u32 ends = a->ip + ip_size;
	if (bpf_xdp_adjust_tail(ctx, (int)(ends + length) - (int)bpf_xdp_get_buff_len(ctx)))
		return NO_COOKIE;
	for (int i = 0; i < 3; i++) {
		__u16 one = addresses[i];
		addresses[i] = addresses[i + 3];
		addresses[i + 3] = one;
	}
	int failed = bpf_xdp_store_bytes(ctx, 0, addresses, 12);
	failed |= is4 ? bpf_xdp_store_bytes(ctx, a->ip, &head, 20) : bpf_xdp_store_bytes(ctx, a->ip, &head, 40);
	failed |= length == sizeof t ? bpf_xdp_store_bytes(ctx, ends, &t, sizeof t) : bpf_xdp_store_bytes(ctx, ends, &t, SHORT_ANSWER);
	return failed ? LOST : ANSWERED;
}
