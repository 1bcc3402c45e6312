// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: a budget for ICMP. Neighbour discovery is what IPv6 stands on and is
// never counted (RFC 4890).
#pragma once
#include "fragments.h"

RUNG __u32 icmp(struct packet *p)
{
	__u8 *type = next(p, 1);
	if (p->family == 6 && type && *type >= 133 && *type <= 137)
		return 0;
	return spent(p, BUDGET_ICMP, icmp_gap) ? STOP_ICMP : 0;
}
