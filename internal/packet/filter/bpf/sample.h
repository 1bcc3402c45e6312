// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// The ladder's end: what became of the packet is counted, and one packet in so
// many is shown to the daemon.
#pragma once
#include "common.h"

#define SAMPLE_BYTES 160 // of a frame, from its beginning

// sample is read by Go (filter.Sample).
struct sample {
	__u64 at; // nanoseconds of the monotonic clock
	__u32 every;
	__u16 length;         // of the frame
	__u16 ip, transport;  // offsets in it; transport: valid unless it is a later fragment
	__u8 kind, reason, family, proto;
	__u8 later, fragment, ports, kept; // kept: bytes of the frame that follow
	__u8 frame[SAMPLE_BYTES];
} __attribute__((packed));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} samples SEC(".maps");

// what_of is what show is told of a packet.
struct what_of {
	__u64 at;
	__u32 every;
	__u16 ip, transport;
	__u8 kind, reason, family, proto;
	__u8 later, fragment, ports, unused;
};

// show gives the daemon the beginning of a packet. It returns 0 if there was no
// room.
PART int show(struct xdp_md *ctx, struct what_of *w)
{
	if (!w)
		return 1;
	struct sample *s = bpf_ringbuf_reserve(&samples, sizeof *s, 0);
	if (!s)
		return 0;
	__u32 length = bpf_xdp_get_buff_len(ctx), kept = length;
	s->at = w->at;
	s->every = w->every;
	s->length = length;
	s->ip = w->ip;
	s->transport = w->transport;
	s->kind = w->kind;
	s->reason = w->reason;
	s->family = w->family;
	s->proto = w->proto;
	s->later = w->later;
	s->fragment = w->fragment;
	s->ports = w->ports;
	if (kept > SAMPLE_BYTES)
		kept = SAMPLE_BYTES;
	if (kept < ETH_HLEN) // never; the verifier wants to see it
		kept = ETH_HLEN;
	barrier_var(kept);
	if (kept < ETH_HLEN || kept > SAMPLE_BYTES || bpf_xdp_load_bytes(ctx, 0, s->frame, kept)) {
		bpf_ringbuf_discard(s, BPF_RB_NO_WAKEUP);
		return 0;
	}
	s->kept = kept;
	bpf_ringbuf_submit(s, BPF_RB_NO_WAKEUP);
	return 1;
}

// sample shows a packet now and then, with p->reason. How far apart those shown
// are varies, so that nobody can stay between them.
RUNG void sample(struct xdp_md *ctx, struct packet *p, struct tallies *t)
{
	__u32 zero = 0;
	if (!t || p->kind >= KINDS)
		return;
	p->sampled = 1;
	if (t->until_sample-- > 1)
		return;
	struct vouch *v = bpf_map_lookup_elem(&lease, &zero);
	__u32 every = v ? v->every : 0;
	if (!every) {
		t->until_sample = 1024; // look again then
		return;
	}
	t->until_sample = 1 + ((__u64)bpf_get_prandom_u32() * (2 * every - 1) >> 32);
	struct what_of w = {now(p), every, p->ip, p->offset, p->kind, p->reason, p->family, p->proto, p->later, p->fragment, p->ports};
	if (!show(ctx, &w))
		t->samples_lost++;
}

// finish counts a packet for p->reason, and samples it where that was not done
// before.
RUNG void finish(struct xdp_md *ctx, struct packet *p)
{
	struct tallies *t = own_tallies();
	__u32 reason = p->reason, kind = p->kind;
	// The compiler must not read them anew once they are known to be in bounds.
	barrier_var(reason);
	barrier_var(kind);
	if (!t || reason >= REASONS)
		return;
	t->of[0][reason].packets++;
	t->of[0][reason].bytes += p->size;
	if (kind >= KINDS)
		return;
	t->kinds[kind]++;
	if (!p->sampled)
		sample(ctx, p, t);
}
