// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: signatures, what a flood's packets have in common. Go compiles them and
// puts the result in the place of the body of signatures (filter/sign.go); what
// stands here is what they may look at, and what becomes of their hits.
#pragma once
#include "malformed.h"

#define PAYLOAD 32     // traffic.PayloadKept
#define SIGNATURES 32  // a bit each

#define KNOWN_PORTS 1
#define KNOWN_TCP 2 // flags and window

// facts is what signatures look at, and where, as offsets in filter/sign.go.
// Numbers are in the machine's order; IPv4 addresses stand in ::ffff:0:0/96.
struct facts {
	__u64 source[2];
	__u64 payload[PAYLOAD / 8];
	__u16 length; // of the IP packet, bytes
	__u16 sport, dport, window;
	__u8 proto, ttl, flags;
	__u8 kept; // bytes of the payload that are known
	__u8 known;
	__u8 fragment;
	__u16 unused;
};

const volatile __u32 signatures_enforced; // bit i: what signature i hits is stopped
const volatile __u8 signatures_payload;   // 1: one of them looks at payloads

struct hits {
	struct tally of[SIGNATURES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hits);
} signature_hits SEC(".maps");

// signatures says which signatures hit, a bit each. It is weak so that no
// compiler draws conclusions from this body, which is never run.
__attribute__((weak, noinline)) __u32 signatures(struct facts *f)
{
	return f ? f->known : 0;
}

// keep copies the beginning of the payload, which begins head bytes behind the
// header of TCP or UDP.
RUNG void keep(struct xdp_md *ctx, struct packet *p, struct facts *f, __u32 head)
{
	if (head > p->left || p->offset > FURTHEST)
		return;
	__u32 n = p->left - head, at = p->offset + head;
	__u64 *from = (void *)(long)ctx->data + (p->offset & FURTHEST) + (head & 63);
	if (n >= PAYLOAD && (void *)from + PAYLOAD <= (void *)(long)ctx->data_end) {
#pragma unroll
		for (int i = 0; i < PAYLOAD / 8; i++)
			f->payload[i] = from[i];
		f->kept = PAYLOAD;
		return;
	}
	// Short, or in several buffers.
	if (n > PAYLOAD)
		n = PAYLOAD;
	if (n == 0)
		return;
	// Kernels before 6.8 do not learn from this that n is at least 1. The barrier
	// keeps the compiler, which does, from leaving out what shows it to them.
	asm volatile("" : "+r"(n));
	n = ((n - 1) & (PAYLOAD - 1)) + 1;
	if (bpf_xdp_load_bytes(ctx, at, f->payload, n) == 0)
		f->kept = n;
}

// look finds out what signatures look at. The rung of malformed packets may be
// off: what is too short for its header has no flags, and no payload.
RUNG void look(struct xdp_md *ctx, struct packet *p, struct facts *f)
{
	f->source[0] = p->source[0];
	f->source[1] = p->source[1];
	f->length = p->length;
	f->ttl = p->ttl;
	f->proto = p->proto;
	f->fragment = p->fragment;
	if (!p->ports)
		return;
	f->known = KNOWN_PORTS;
	f->sport = p->sport;
	f->dport = p->dport;
	__u32 head = sizeof(struct udp);
	if (p->proto == IPPROTO_TCP) {
		f->known |= KNOWN_TCP;
		struct tcp *t = next(ctx, p, sizeof *t);
		if (p->left < sizeof *t || !t)
			return;
		f->flags = t->flags & 63;
		f->window = bpf_ntohs(t->window);
		head = (t->words >> 4) * 4;
		if (head < sizeof *t)
			return;
	}
	if (signatures_payload)
		keep(ctx, p, f, head);
}

// signed_by is no order of a person's, whoever gave it: it ends with the lease.
PART __u32 signed_by(struct xdp_md *ctx, struct packet *p)
{
	struct facts f = {};
	__u32 zero = 0;
	if (!p)
		return 0;
	look(ctx, p, &f);
	__u32 hit = signatures(&f);
	if (!hit)
		return 0;
	struct hits *h = bpf_map_lookup_elem(&signature_hits, &zero);
	if (!h)
		return 0;
	__u64 bytes = p->size;
	__u32 left = hit;
	for (int i = 0; i < SIGNATURES && left; i++, left >>= 1) {
		if (left & 1) {
			h->of[i].packets++;
			h->of[i].bytes += bytes;
		}
	}
	return hit & signatures_enforced ? STOP_SIGNATURE : 0;
}
