// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// The ladder that every packet climbs, cheapest rung first. A rung gives a
// reason to stop the packet, or none; stop decides whether that is done.
#include "fragments.h"
#include "icmp.h"
#include "lists.h"
#include "malformed.h"
#include "parse.h"
#include "reflected.h"
#include "signatures.h"

enum { GO_ON, DROP, PASS };

// stop says what becomes of a packet for which a rung has found a reason. Who is
// on the allow list passes whatever is found; when the daemon has not renewed
// its lease, only what people ordered is done; a rung on a dry run counts.
RUNG int stop(struct packet *p, enum rung r, __u32 reason, int by_person)
{
	__u32 zero = 0;
	if (allowed(p)) {
		count(p, PASS_ALLOWED, 0);
		return PASS;
	}
	if (dry_runs >> r & 1) {
		count(p, reason, 1);
		return GO_ON;
	}
	if (!by_person) {
		struct vouch *v = bpf_map_lookup_elem(&lease, &zero);
		if (!v || v->until < now(p)) {
			count(p, PASS_LEASE, 1);
			return GO_ON;
		}
	}
	count(p, reason, 0);
	return DROP;
}

#define CLIMB(rung, reason)                                     \
	if (is_on(rung)) {                                      \
		__u32 why = (reason);                           \
		if (why) {                                      \
			int what = stop(&p, rung, why, person); \
			if (what == DROP)                       \
				return XDP_DROP;                \
			if (what == PASS)                       \
				return XDP_PASS;                \
		}                                               \
	}

SEC("xdp.frags")
int seawall(struct xdp_md *ctx)
{
	struct packet p = {
		.ctx = ctx,
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	int person = 0;

	__u32 wrong = parse(&p);
	CLIMB(RUNG_MALFORMED, wrong);
	if (p.fragment)
		CLIMB(RUNG_FRAGMENTS, fragments(&p));
	if (!p.later && (p.proto == IPPROTO_ICMP || p.proto == IPPROTO_ICMPV6))
		CLIMB(RUNG_ICMP, icmp(&p));

	int ours = p.ports && has_port(p.proto == IPPROTO_TCP ? tcp_ports : udp_ports, p.dport);
	if (!ours) {
		count(&p, PASS_OTHER, 0);
		return XDP_PASS;
	}
	CLIMB(RUNG_MALFORMED, malformed(&p));
	CLIMB(RUNG_REFLECTED, reflected(&p));
	CLIMB(RUNG_BLOCK, blocked(&p, &person));
	CLIMB(RUNG_SIGNATURES, signed_by(&p, &person));
	count(&p, PASS_OURS, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
