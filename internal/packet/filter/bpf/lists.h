// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// The allow list, a small trie of the operator's, read only before a packet
// would be stopped; and the rung of the block list: a preallocated hash with
// one look-up for each prefix length in use, at most four a family.
#pragma once
#include "common.h"

struct allow_key {
	__u32 bits; // of the address as 16 bytes, IPv4 in ::ffff:0:0/96
	__u64 address[2];
} __attribute__((packed));

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct allow_key);
	__type(value, __u64); // until when, as in struct blocked
} allow SEC(".maps");

struct blocked {
	__u64 until; // nanoseconds of the monotonic clock; 0 for ever
	__u32 flags;
	__u32 unused;
};

#define BY_PERSON 1 // stays when the lease is over

struct block4_key {
	__be32 address;
	__u32 bits;
};

struct block6_key {
	__u64 address[2];
	__u64 bits;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct block4_key);
	__type(value, struct blocked);
} block4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct block6_key);
	__type(value, struct blocked);
} block6 SEC(".maps");

RUNG int stands(struct packet *p, __u64 until) { return !until || until > now(p); }

RUNG int allowed(struct packet *p)
{
	if (!allow_some || (p->family == 6 && is_mapped(p->source)))
		return 0;
	struct allow_key k = {128, {p->source[0], p->source[1]}};
	__u64 *until = bpf_map_lookup_elem(&allow, &k);
	return until && stands(p, *until);
}

// blocked says whether the source is on the block list, and in by_person who
// put it there.
RUNG __u32 blocked(struct packet *p, int *by_person)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		struct blocked *b;
		if (p->family == 4) {
			__u32 n = lengths4[i] & 63;
			if (!n)
				break;
			struct block4_key k = {p->source4 & bpf_htonl((__u32)(0xffffffffULL << (32 - (n & 31 ? n : 32)))), n};
			b = bpf_map_lookup_elem(&block4, &k);
		} else {
			__u32 n = lengths6[i] & 255;
			if (!n)
				break;
			struct block6_key k = {{p->source[0], n > 64 ? p->source[1] : 0}, n};
			if (n < 64)
				k.address[0] &= bpf_cpu_to_be64(~0ULL << (64 - (n & 63)));
			else if (n > 64 && n < 128)
				k.address[1] &= bpf_cpu_to_be64(~0ULL << (128 - n & 63));
			b = bpf_map_lookup_elem(&block6, &k);
		}
		if (b && stands(p, b->until)) {
			*by_person = b->flags & BY_PERSON;
			return STOP_BLOCKED;
		}
	}
	return 0;
}
