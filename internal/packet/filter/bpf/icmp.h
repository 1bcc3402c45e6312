// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: a budget for ICMP. Neighbour discovery is what IPv6 stands on and is
// never counted; errors, by which connections learn the size of packets that
// gets through, have a budget of their own, so that no flood of pings starves
// them (RFC 4890).
#pragma once
#include "fragments.h"

RUNG __u32 icmp(struct xdp_md *ctx, struct packet *p)
{
	__u8 *type = next(ctx, p, 1);
	int error = 0;
	if (type && p->family == 6) {
		if (*type >= 130 && *type <= 137) // with the groups that it is sent to
			return 0;
		error = *type >= 1 && *type <= 4;
	} else if (type) {
		error = *type == 3 || *type == 11 || *type == 12;
	}
	return spent(p, error ? BUDGET_ERRORS : BUDGET_ICMP, icmp_gap) ? STOP_ICMP : 0;
}
