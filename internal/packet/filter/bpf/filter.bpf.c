// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// The ladder that every packet climbs, cheapest rung first. A rung gives a
// reason to stop the packet, or none; halt decides whether that is done.
#include "cookies.h"
#include "fragments.h"
#include "icmp.h"
#include "lists.h"
#include "malformed.h"
#include "parse.h"
#include "reflected.h"
#include "sample.h"
#include "signatures.h"
#include "sources.h"

enum { GO_ON, DROP, PASS };

// stop says what becomes of a packet for which a rung has found a reason. Who is
// on the allow list passes whatever is found; when the daemon has not renewed
// its lease, only what people ordered is done; a rung on a dry run counts.
PART int stop(struct xdp_md *ctx, struct packet *p, __u32 rung, __u32 reason, __u32 by_person)
{
	__u32 zero = 0;
	if (!p)
		return GO_ON;
	if (allowed(p)) {
		p->reason = PASS_ALLOWED;
		return PASS;
	}
	if (dry_runs >> (rung & 31) & 1) {
		count_dry(ctx, reason);
		return GO_ON;
	}
	if (!by_person) {
		struct vouch *v = bpf_map_lookup_elem(&lease, &zero);
		if (!v || v->until < now(p)) {
			count_dry(ctx, PASS_LEASE);
			return GO_ON;
		}
	}
	p->reason = reason;
	return DROP;
}

// halt does the same, and the usual at once: nobody is on the allow list, the
// rung enforces, and the lease runs.
RUNG int halt(struct xdp_md *ctx, struct packet *p, __u32 rung, __u32 reason, __u32 by_person)
{
	__u32 zero = 0;
	if (allow_some || dry_runs >> rung & 1)
		return stop(ctx, p, rung, reason, by_person);
	struct vouch *v = bpf_map_lookup_elem(&lease, &zero);
	if (!by_person && (!v || v->until < now(p)))
		return stop(ctx, p, rung, reason, by_person);
	p->reason = reason;
	return DROP;
}

#define CLIMB(rung, why_not)                                        \
	if (is_on(rung)) {                                          \
		__u32 why = (why_not);                              \
		if (why) {                                          \
			int what = halt(ctx, p, rung, why, person); \
			if (what == DROP)                           \
				return XDP_DROP;                    \
			if (what == PASS)                           \
				return XDP_PASS;                    \
		}                                                   \
	}

// classify says what kind of packet for a protected port it is.
RUNG __u8 classify(struct xdp_md *ctx, struct packet *p)
{
	if (p->proto == IPPROTO_UDP)
		return is_initial(ctx, p) ? KIND_INITIAL : KIND_UDP;
	struct tcp *t = next(ctx, p, 14);
	if (!t)
		return KIND_OTHER;
	p->flags = t->flags & 63;
	if (p->flags & TCP_RST)
		return KIND_RESET;
	if (p->flags & TCP_SYN)
		return p->flags & TCP_ACK ? KIND_SYNACK : KIND_SYN;
	return KIND_OTHER;
}

// reply answers a SYN with a cookie; where that cannot be done, few pass.
RUNG int reply(struct xdp_md *ctx, struct packet *p)
{
	struct asker a = {};
	ask_for(p, &a);
	sample(ctx, p, own_tallies()); // as it came: it will be turned round
	int done = NO_COOKIE;
	if (p->offset == a.ip + a.ip_size) // no options, no extension headers
		done = answer(ctx, &a);
	if (done == ANSWERED)
		return XDP_TX;
	p->reason = STOP_SYN;
	if (done == LOST || spent(p, BUDGET_SYNS, SYN_GAP))
		return XDP_DROP;
	p->reason = PASS_OURS;
	return XDP_PASS;
}

// ours judges a packet for a protected port.
RUNG int ours(struct xdp_md *ctx, struct packet *p)
{
	int person = 0;
	p->reason = PASS_OURS;
	p->kind = classify(ctx, p);
	CLIMB(RUNG_MALFORMED, malformed(ctx, p));
	CLIMB(RUNG_REFLECTED, reflected(ctx, p));
	CLIMB(RUNG_BLOCK, blocked(p, &person));
	person = 0;
	CLIMB(RUNG_BUDGET, over_budget(p));
	if (p->kind == KIND_INITIAL)
		CLIMB(RUNG_INITIALS, too_many_initials(ctx, p));
	CLIMB(RUNG_SIGNATURES, signed_by(ctx, p));
	if (is_on(RUNG_CONNECTIONS)) {
		__u32 why = connections(ctx, p);
		int what = why ? halt(ctx, p, RUNG_CONNECTIONS, why, 0) : GO_ON;
		if (what == DROP)
			return why == STOP_COOKIE ? reply(ctx, p) : XDP_DROP;
	}
	return XDP_PASS;
}

RUNG int ladder(struct xdp_md *ctx, struct packet *p)
{
	int person = 0;
	__u32 wrong = parse(ctx, p);
	int protected = p->ports && has_port(p->proto == IPPROTO_TCP ? tcp_ports : udp_ports, p->dport);
	if (protected || !p->ports)
		CLIMB(RUNG_MALFORMED, wrong);
	if (p->fragment) {
		p->kind = p->later ? KIND_FRAGMENT : KIND_NONE;
		CLIMB(RUNG_FRAGMENTS, fragments(p));
	}
	if (p->family && (wrong || hides_ports(p))) {
		// The kernel may find its port all the same.
		CLIMB(RUNG_BLOCK, blocked(p, &person));
		person = 0;
	}
	int icmps = !p->later && (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6) && !is_neighbours(ctx, p);
	if (icmps) {
		p->kind = KIND_ICMP;
		CLIMB(RUNG_ICMP, icmp(ctx, p));
	}
	if ((icmps || p->later) && wrong != STOP_LENGTH)
		CLIMB(RUNG_SIGNATURES, signed_by(ctx, p));
	if (protected)
		return ours(ctx, p);
	if (p->ports)
		CLIMB(RUNG_REFLECTED, stray(ctx, p));
	p->reason = PASS_OTHER;
	return XDP_PASS;
}

SEC("xdp.frags")
int seawall(struct xdp_md *ctx)
{
	struct packet p = {.kind = KIND_NONE, .size = ctx->data_end - ctx->data};
	int action = ladder(ctx, &p);
	finish(ctx, &p);
	return action;
}

char _license[] SEC("license") = "Dual BSD/GPL";
