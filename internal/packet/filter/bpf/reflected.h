// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: answers that nobody here asked for. No map is read.
#pragma once
#include "malformed.h"

RUNG __u32 reflected(struct packet *p)
{
	if (p->proto == IPPROTO_UDP)
		return has_port(amplifiers, p->sport) ? STOP_REFLECTED : 0;
	// A server's port opens no connections, so nobody answers it with SYN-ACK.
	struct tcp *t = next(p, sizeof *t);
	if (t && (t->flags & (SYN | ACK)) == (SYN | ACK))
		return STOP_SYNACK;
	return 0;
}
