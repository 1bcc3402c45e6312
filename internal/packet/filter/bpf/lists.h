// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// The allow list, a small trie of the operator's, read only before a packet
// would be stopped; and the rung of the block list.
//
// Nearly all that is blocked are single clients: an IPv4 address, an IPv6 /64.
// They stand in a table of buckets, a cache line each, where an entry may be in
// either of two buckets (Azar et al., "Balanced allocations", 1994), so that
// looking for one costs two cache misses at once however many there are. Other
// prefix lengths are in a hash, a look-up for each length in use.
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
	__type(value, __u32); // until
} allow SEC(".maps");

// Until when an entry stands: TICK_BITS bits of the monotonic clock's nanoseconds
// are dropped, so that a tick is 134 ms and 31 bits last for nine years. Above
// them a bit says that a person ordered it.
#define TICK_BITS 27
#define BY_PERSON 0x80000000u
#define FOR_EVER 0x7fffffffu

#define BUCKET_BYTES 64

// Written by Go a word at a time, and read while it is: an entry is written
// before, and taken away after, the word that makes it stand.
struct bucket4 {
	struct {
		__be32 address;
		__u32 until; // 0: empty
	} of[8];
};

struct bucket6 {
	struct {
		__u64 network; // the upper half of an address
		__u32 until;
		__u32 unused;
	} of[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct bucket4);
} clients4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct bucket6);
} clients6 SEC(".maps");

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
	__uint(max_entries, 4096);
	__type(key, struct block4_key);
	__type(value, __u32); // until
} block4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct block6_key);
	__type(value, __u32);
} block6 SEC(".maps");

RUNG int stands(struct packet *p, __u32 until)
{
	until &= ~BY_PERSON;
	return until == FOR_EVER || until > now(p) >> TICK_BITS;
}

RUNG int allowed(struct packet *p)
{
	if (!allow_some || (p->family == 6 && is_mapped(p->source)))
		return 0;
	struct allow_key k = {128, {p->source[0], p->source[1]}};
	__u32 *until = bpf_map_lookup_elem(&allow, &k);
	return until && stands(p, *until);
}

// An entry that is being moved, or whose mover was killed, may stand in one place
// without its time and in the other with it.
//
// entry4 and entry6 return until when a client is blocked, 0 if it is not.
RUNG __u32 entry4(struct packet *p)
{
	__u64 h = mix(p->source4);
	__u32 first = (h >> 40) & buckets4, second = h & 0xffffff & buckets4;
	struct bucket4 *a = bpf_map_lookup_elem(&clients4, &first);
	struct bucket4 *b = bpf_map_lookup_elem(&clients4, &second);
	if (!a || !b)
		return 0;
#pragma unroll
	for (int i = 0; i < 8; i++) {
		if (a->of[i].address == p->source4 && a->of[i].until)
			return a->of[i].until;
		if (b->of[i].address == p->source4 && b->of[i].until)
			return b->of[i].until;
	}
	return 0;
}

RUNG __u32 entry6(struct packet *p)
{
	__u64 h = mix(p->source[0]);
	__u32 first = (h >> 40) & buckets6, second = h & 0xffffff & buckets6;
	struct bucket6 *a = bpf_map_lookup_elem(&clients6, &first);
	struct bucket6 *b = bpf_map_lookup_elem(&clients6, &second);
	if (!a || !b)
		return 0;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		if (a->of[i].network == p->source[0] && a->of[i].until)
			return a->of[i].until;
		if (b->of[i].network == p->source[0] && b->of[i].until)
			return b->of[i].until;
	}
	return 0;
}

// wider4 and wider6 do the same for the i-th of the other lengths in use.
RUNG __u32 wider4(struct packet *p, __u32 bits)
{
	struct block4_key k = {p->source4 & bpf_htonl(0xffffffffu << ((32 - bits) & 31)), bits};
	__u32 *until = bpf_map_lookup_elem(&block4, &k);
	return until ? *until : 0;
}

RUNG __u32 wider6(struct packet *p, __u32 bits)
{
	struct block6_key k = {{p->source[0], 0}, bits};
	if (bits < 64)
		k.address[0] &= bpf_cpu_to_be64(~0ULL << ((64 - bits) & 63));
	else
		k.address[1] = p->source[1] & bpf_cpu_to_be64(~0ULL << ((128 - bits) & 63));
	__u32 *until = bpf_map_lookup_elem(&block6, &k);
	return until ? *until : 0;
}

// blocked says whether the source is on the block list, and in by_person who
// put it there.
RUNG __u32 blocked(struct packet *p, int *by_person)
{
	__u32 until = p->family == 4 ? entry4(p) : entry6(p);
	if (until && stands(p, until)) {
		*by_person = until >> 31;
		return STOP_BLOCKED;
	}
#pragma unroll
	for (int i = 0; i < 4; i++) {
		__u32 bits = p->family == 4 ? lengths4[i] : lengths6[i];
		if (!bits)
			break;
		until = p->family == 4 ? wider4(p, bits) : wider6(p, bits);
		if (until && stands(p, until)) {
			*by_person = until >> 31;
			return STOP_BLOCKED;
		}
	}
	return 0;
}
