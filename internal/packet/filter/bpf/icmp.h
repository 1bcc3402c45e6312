// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: a budget for ICMP. Neighbour discovery is what IPv6 stands on and is
// never counted, if it comes from a neighbour (RFC 4861: with a hop limit of
// 255). Errors, by which connections learn the size of packets that gets
// through, and what says to which groups a network listens have budgets of their
// own, so that no flood of pings starves them (RFC 4890).
#pragma once
#include "fragments.h"

// is_neighbours says whether it is neighbour discovery.
RUNG int is_neighbours(struct xdp_md *ctx, struct packet *p)
{
	__u8 *type = next(ctx, p, 1);
	return p->proto == IPPROTO_ICMPV6 && p->family == 6 && p->ttl == 255 && type && *type >= 133 && *type <= 137;
}

RUNG __u32 icmp(struct xdp_md *ctx, struct packet *p)
{
	__u8 *at = next(ctx, p, 1), type = at ? *at : 0;
	__u32 budget = BUDGET_ICMP;
	if (p->family == 6) {
		if (type >= 1 && type <= 4)
			budget = BUDGET_ERRORS;
		else if ((type >= 130 && type <= 132) || type == 143)
			budget = BUDGET_GROUPS;
	} else if (type == 3 || type == 11 || type == 12) {
		budget = BUDGET_ERRORS;
	}
	return spent(p, budget, icmp_gap) ? STOP_ICMP : 0;
}
