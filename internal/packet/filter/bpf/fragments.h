// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung: fragments. Only the first has ports, so the others cannot be told from
// those of a DNS answer that this host asked for: they get a budget. TCP finds
// the size that fits and is not fragmented: its first fragments are stopped,
// and so are those that do not show their ports (RFC 1858).
#pragma once
#include "common.h"

// spent takes one from a budget of one packet every gap nanoseconds, a
// processor each, that lets an eighth of a second's worth through at once: the
// generic cell rate algorithm in its plainest form.
struct budget {
	__u64 full; // when the budget is full again
};

#define BUDGET_FRAGMENTS 0
#define BUDGET_ICMP 1
#define BUDGET_ERRORS 2
#define BUDGET_INITIALS 3
#define BUDGET_SYNS 4
#define BUDGET_GROUPS 5
#define BUDGET_DATAGRAMS 6
#define BUDGETS 7

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, BUDGETS);
	__type(key, __u32);
	__type(value, struct budget);
} budgets SEC(".maps");

RUNG int spent(struct packet *p, __u32 which, __u64 gap)
{
	struct budget *b = bpf_map_lookup_elem(&budgets, &which);
	if (!b)
		return 0;
	__u64 t = now(p), full = b->full > t ? b->full : t;
	if (full - t > 125000000)
		return 1;
	b->full = full + gap;
	return 0;
}

// hides_ports says whether a packet should have ports and shows none.
RUNG int hides_ports(struct packet *p)
{
	return !p->later && !p->ports && (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP);
}

RUNG __u32 fragments(struct packet *p)
{
	if (hides_ports(p) || (!p->later && p->proto == IPPROTO_TCP && has_port(tcp_ports, p->dport)))
		return STOP_TCP_FRAGMENT;
	if (!p->later && p->ports && !has_port(udp_ports, p->dport))
		return 0; // the beginning of somebody else's
	return spent(p, BUDGET_FRAGMENTS, fragment_gap) ? STOP_FRAGMENTS : 0;
}
