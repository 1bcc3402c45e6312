// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// What all rungs of the ladder share: the packet as it is known so far, the
// settings, the maps and the counters.
#pragma once

// IPv6's protocol numbers are guarded in the kernel's headers.
#define __UAPI_DEF_IPPROTO_V6 1
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// One file is built for all that is in it.
#define RUNG static __always_inline

// What the verifier looks at by itself.
#define PART __attribute__((noinline))

// The rungs, by which an operator switches them on, off, or to a dry run. The
// numbers are those of filter.Rung.
enum rung {
	RUNG_MALFORMED,
	RUNG_REFLECTED,
	RUNG_FRAGMENTS,
	RUNG_ICMP,
	RUNG_BLOCK,
	RUNG_BUDGET,
	RUNG_INITIALS,
	RUNG_CONNECTIONS,
	RUNG_SIGNATURES,
	RUNGS,
};

// Why a packet is stopped, one of filter.Reason, or why it passes. They index
// the counters.
enum reason {
	PASS_OTHER,   // not for a protected port
	PASS_OURS,    // for one, and nothing against it
	PASS_ALLOWED, // would have been stopped, but its source is on the allow list
	PASS_LEASE,   // would have been stopped, but nobody has renewed the lease
	STOP_LENGTH,  // headers promise more than is there, or too little
	STOP_WRAPPED, // more tags or extension headers than anybody needs
	STOP_SOURCE,  // a source address that nobody can have
	STOP_LAND,    // from itself to itself
	STOP_FLAGS,   // TCP flags or ports that no stack sends
	STOP_SYNACK,  // an answer to a connection that a server never opened
	STOP_REFLECTED, // from a UDP service that is used to amplify floods
	STOP_TCP_FRAGMENT, // TCP in fragments to a protected port, or hiding its ports
	STOP_FRAGMENTS,    // more fragments a second than are allowed
	STOP_ICMP,         // more ICMP a second than is allowed
	STOP_BLOCKED,      // its source is on the block list
	STOP_BUDGET,       // its source sends more than any visitor
	STOP_INITIALS,     // more beginnings of QUIC connections than are allowed
	STOP_UNHEARD,      // UDP to a port at which nobody listens
	STOP_UDP,          // more UDP of flows that are not known than is allowed
	STOP_STATE,        // TCP of no connection that there is
	STOP_SYN,          // asks for a connection in a way that no cookie can answer
	STOP_COOKIE,       // asks for a connection, and was answered here with a cookie
	STOP_SIGNATURE,    // it is what a signature describes
	STOP_BOGON,        // a source address that is not reachable from the internet
	REASONS,
};

// What a packet for a protected port is. The numbers are those of
// traffic.PacketKind; ours has one more.
enum kind {
	KIND_OTHER, // TCP of no other kind
	KIND_SYN,
	KIND_SYNACK,
	KIND_RESET,
	KIND_UDP, // but no Initial
	KIND_INITIAL,
	KIND_FRAGMENT, // a later one
	KIND_ICMP,
	KINDS,
	KIND_NONE = KINDS, // not for a protected port: not counted by kind
};

// They keep the enums in the type information, where a test compares them with
// Go's. Nothing reads them.
const volatile enum rung a_rung;
const volatile enum reason a_reason;
const volatile enum kind a_kind;

// Settings are constants of a loaded program: what is off costs nothing, since
// the verifier removes it. Go sets them before loading (filter.Settings).
const volatile __u32 rungs_on;  // bit i: rung i stops packets or, with dry_runs, counts them
const volatile __u32 dry_runs;  // bit i: rung i only counts
const volatile __u8 tcp_ports[8192]; // bit i%8 of byte i/8: port i is protected
const volatile __u8 udp_ports[8192];
const volatile __u8 amplifiers[8192]; // UDP source ports of services used to amplify
const volatile __u8 any_source;       // 1: addresses of loopback may come in (tests on lo)
const volatile __u8 bogons;           // 1: sources that are not reachable from the internet are stopped
const volatile __u8 allow_some;       // 1: the allow list has entries
const volatile __u64 seed;            // odd, and nobody's business
const volatile __u32 buckets4, buckets6; // how many, less one; powers of two
const volatile __u32 lengths4[4];     // other prefix lengths on the block list, 0 ends them
const volatile __u32 lengths6[4];
const volatile __u64 fragment_gap; // nanoseconds between two fragments, a processor
const volatile __u64 icmp_gap;     // the same for ICMP
const volatile __u64 source_gap;   // nanoseconds between two packets of one source
const volatile __u64 source_byte_gap; // the same for its bytes, in 1/1024 of a nanosecond
const volatile __u64 initial_gap, initials_gap; // between two Initials of one source; and of all
const volatile __u64 datagram_gap; // between two datagrams of flows that are not known
const volatile __u8 only_host;       // 1: this machine forwards nothing, all that comes in is its own
const volatile __u32 strays_a_window; // packets for other ports in a window of WINDOW_BITS that are not a flood
const volatile __u32 syns_a_window; // SYNs in one window of WINDOW_BITS that raise the alarm
const volatile __u32 lanes;         // parts of the tables that processors have of their own, less one; a power of two
const volatile __u16 mss4, mss6;    // largest segment that comes in whole
const volatile __u8 window_scale;   // that the kernel will choose for a connection

#define WINDOW_BITS 25 // of nanoseconds: 33.6 ms

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

static __always_inline int is_on(enum rung r) { return rungs_on >> r & 1; }

static __always_inline int has_port(const volatile __u8 *set, __u16 port)
{
	return set[(port >> 3) & 8191] >> (port & 7) & 1;
}

// packet is what is known of the packet so far. Addresses are in network
// order, ports and lengths in the machine's. It holds no pointers, so that it can
// be handed to functions that the verifier looks at once, and not once for each
// way to get there.
struct packet {
	__u32 offset; // of the next header, at most FURTHEST
	__u64 source[2]; // IPv4: source[1] is ::ffff:a.b.c.d's lower half
	__u64 dest[2];
	__u64 now;        // nanoseconds; 0 not asked yet
	__u32 source4;    // valid iff family is 4
	__u32 ip;         // offset of the IP header; valid iff family
	__u32 size;       // of the frame, bytes, as far as that was asked: of its first buffer at least
	__u32 left;       // bytes from offset to the end that the IP header promises
	__u16 length;     // of the IP packet with its header, bytes
	__u16 sport, dport; // valid iff ports
	__u8 family;      // 4, 6, or 0: not IP
	__u8 proto;       // of the innermost header
	__u8 ttl;         // or IPv6's hop limit
	__u8 later;       // a fragment but the first: it has no ports
	__u8 fragment;    // any fragment
	__u8 ports;       // sport and dport are known
	__u8 flags;       // of TCP; valid iff ports and proto is TCP
	__u8 kind;        // enum kind
	__u8 reason;      // why it passed or was stopped
	__u8 sampled;     // it was, or was one of those that are not
};

// FURTHEST is the last offset at which a header may begin. Masked with it, all
// ways through the headers look the same to the verifier, and it is done in
// milliseconds.
#define FURTHEST 0x3fff

// next returns the next header, or NULL where the packet (or its first buffer)
// has no n more bytes.
static __always_inline void *next(struct xdp_md *ctx, struct packet *p, __u32 n)
{
	void *at = (void *)(long)ctx->data + (p->offset & FURTHEST);
	return at + n <= (void *)(long)ctx->data_end ? at : NULL;
}

// is_mapped says whether an address is ::ffff:0:0/96. In a packet of IPv6 nobody
// can have it; in our keys it stands for IPv4.
static __always_inline int is_mapped(const __u64 a[2])
{
	return a[0] == 0 && (__u32)a[1] == bpf_htonl(0xffff);
}

struct tally {
	__u64 packets, bytes;
};

// tallies counts, a processor each: what became of packets (row 0), and what
// would have become of them in dry runs (row 1).
struct tallies {
	struct tally of[2][REASONS];
	__u64 kinds[KINDS]; // packets for protected ports, whatever became of them
	__u64 samples_lost;
	__u64 until_sample; // packets for protected ports before the next is sampled
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tallies);
} counts SEC(".maps");

// vouch is what the daemon keeps here, for the program and for the next daemon:
// it outlives a crash, and a reboot ends it together with what it is about.
struct vouch {
	__u64 until; // it vouches for its rules so long, in nanoseconds of the monotonic clock
	__u64 seed;  // of the tables
	// Until when cookies may come back. To ask the kernel whether one is good costs
	// a hundred nanoseconds, which a flood of ACKs would have us spend.
	__u64 check_until;
	__u32 armed; // SYNs are answered with cookies
	__u32 every; // one packet in so many is sampled; 0: none
	// What the machine's settings were before they were changed for the cookies,
	// plus one; 0: they were not.
	__u32 syncookies_were, timestamps_were;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vouch);
} lease SEC(".maps");

// Clock ticks of a few milliseconds are fine enough for leases, bans and
// budgets, and cost a third of the exact time.
static __always_inline __u64 now(struct packet *p)
{
	if (!p->now)
		p->now = bpf_ktime_get_coarse_ns();
	return p->now;
}

static __always_inline struct tallies *own_tallies(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&counts, &zero);
}

// count_dry counts a packet for what a rung would have done with it.
static __always_inline void count_dry(struct xdp_md *ctx, __u32 reason)
{
	struct tallies *t = own_tallies();
	if (!t || reason >= REASONS)
		return;
	t->of[1][reason].packets++;
	t->of[1][reason].bytes += bpf_xdp_get_buff_len(ctx);
}

// lane is the part of the tables that this processor has; on a machine with very
// many of them it shares it with others, and now and then loses a count to them.
static __always_inline __u32 lane(void) { return bpf_get_smp_processor_id() & lanes; }

// mix spreads a key over 64 bits, by a secret that nobody outside can learn, so
// that nobody can choose addresses that meet in one bucket.
static __always_inline __u64 mix(__u64 key)
{
	key *= seed;
	key ^= key >> 32;
	return key * 0x9e3779b97f4a7c15ULL;
}
