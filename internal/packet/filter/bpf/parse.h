// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Rung 0: what is this packet? Ethernet, up to two VLAN tags, IPv4 with options,
// IPv6 with extension headers, PPPoE around them, and the first bytes of TCP, UDP
// or ICMP.
//
// What is not IP, or is a protocol without ports, is not ours to judge and
// passes. What contradicts itself gets a reason to be stopped; the kernel would
// discard it too, after more work.
#pragma once
#include "common.h"

#define TAGS 2     // VLAN tags that a packet may have
#define TAGS_READ 6 // that are gone through; Linux takes tags of no network off without end
#define HEADERS 8  // IPv6 extension headers that a packet may have

// Headers are not packed: all their fields lie where their size wants it, and of
// a packed one the compiler reads each byte by itself.
struct ipv4 {
	__u8 version_words, tos;
	__be16 total, id, fragment;
	__u8 ttl, proto;
	__be16 sum;
	__be32 source, dest;
};

struct ipv6 {
	__be32 flow;
	__be16 payload;
	__u8 next, hops;
	__u64 source[2], dest[2];
};

struct extension {
	__u8 next, words;
	__be16 offset; // of a fragment header
};

struct tag {
	__be16 id, next;
};

#define PPP_IPV4 0x21
#define PPP_IPV6 0x57

// pppoe is the header of a session (RFC 2516), with PPP's.
struct pppoe {
	__u8 version, code;
	__be16 session, length, protocol;
};

// promised says whether the packet has as many bytes from p->offset on as its
// IP header says. Only if the first buffer has not is it asked what lies in
// others: that costs a call.
RUNG int promised(struct xdp_md *ctx, struct packet *p, __u32 bytes)
{
	__u32 all = p->offset + bytes;
	if (p->size >= all)
		return 1;
	p->size = bpf_xdp_get_buff_len(ctx);
	return p->size >= all;
}

// joined returns the length that an IP header gives as 0: that of a packet which
// the kernel has joined, and which has no room to say so. Any other is of 0 bytes.
RUNG __u32 joined(struct xdp_md *ctx, struct packet *p)
{
	p->size = bpf_xdp_get_buff_len(ctx);
	return p->size > 0xffff ? p->size - p->offset : 0;
}

RUNG __u32 parse_ipv4(struct xdp_md *ctx, struct packet *p)
{
	struct ipv4 *ip = next(ctx, p, sizeof *ip);
	if (!ip)
		return STOP_LENGTH;
	__u32 head = (ip->version_words & 15) * 4, total = bpf_ntohs(ip->total);
	if (total == 0)
		total = joined(ctx, p);
	if (ip->version_words >> 4 != 4 || head < sizeof *ip || total < head || !promised(ctx, p, total))
		return STOP_LENGTH;
	p->family = 4;
	p->ip = p->offset;
	p->proto = ip->proto;
	p->ttl = ip->ttl;
	p->length = total < 0xffff ? total : 0xffff;
	p->source4 = ip->source;
	p->source[1] = (__u64)ip->source << 32 | bpf_htonl(0xffff);
	p->dest[1] = (__u64)ip->dest << 32 | bpf_htonl(0xffff);
	__u16 f = bpf_ntohs(ip->fragment);
	p->later = (f & 0x1fff) != 0;
	p->fragment = (f & 0x3fff) != 0; // an offset, or more to come
	p->offset += head;
	p->left = total - head;
	return 0;
}

// What climb_extensions found, with the offset and the protocol behind them.
#define FOUND_FRAGMENT (1 << 24)
#define FOUND_LATER (1 << 25)
#define FOUND_SHORT (1 << 26)
#define FOUND_TOO_MANY (1 << 27)
#define FOUND(kind, offset) ((offset) | (__u32)(kind) << 16)

// climb_extensions goes through IPv6's extension headers. It is a function of
// its own, and gives one number, so that the verifier looks at it once and not
// once for each way to get there.
PART __u32 climb_extensions(struct xdp_md *ctx, __u32 offset, __u32 kind)
{
	struct packet p = {.offset = offset};
	__u32 found = 0;
	for (int i = 0; i <= HEADERS; i++) {
		if (p.offset > FURTHEST)
			break; // masked, it would lead back into headers read before
		p.offset &= FURTHEST;
		kind &= 255;
		if (kind != IPPROTO_HOPOPTS && kind != IPPROTO_ROUTING && kind != IPPROTO_DSTOPTS &&
		    kind != IPPROTO_FRAGMENT && kind != IPPROTO_AH)
			return found | FOUND(kind, p.offset);
		struct extension *x = next(ctx, &p, 8);
		if (!x)
			return found | FOUND_SHORT | FOUND(kind, p.offset);
		if (kind == IPPROTO_FRAGMENT) {
			__u16 f = bpf_ntohs(x->offset);
			p.offset += 8;
			if (f & 0xfff9) // an offset, or more to come; else it is whole (RFC 6946)
				found |= FOUND_FRAGMENT;
			if (f & 0xfff8) // what follows is data
				return found | FOUND_LATER | FOUND(x->next, p.offset & FURTHEST);
		} else if (kind == IPPROTO_AH) {
			p.offset += (x->words + 2) * 4;
		} else {
			p.offset += (x->words + 1) * 8;
		}
		kind = x->next;
	}
	return found | FOUND_TOO_MANY | FOUND(kind, p.offset & FURTHEST);
}

RUNG __u32 parse_ipv6(struct xdp_md *ctx, struct packet *p)
{
	struct ipv6 *ip = next(ctx, p, sizeof *ip);
	if (!ip || (bpf_ntohl(ip->flow) >> 28) != 6)
		return STOP_LENGTH;
	p->family = 6;
	p->ip = p->offset;
	p->source[0] = ip->source[0];
	p->source[1] = ip->source[1];
	p->dest[0] = ip->dest[0];
	p->dest[1] = ip->dest[1];
	p->left = bpf_ntohs(ip->payload);
	if (p->left == 0) {
		__u32 all = joined(ctx, p);
		p->left = all > sizeof *ip ? all - sizeof *ip : 0;
	}
	p->proto = ip->next;
	p->ttl = ip->hops;
	__u32 all = p->left + sizeof *ip;
	p->length = all < 0xffff ? all : 0xffff;
	p->offset += sizeof *ip;
	if (!promised(ctx, p, p->left))
		return STOP_LENGTH;
	if (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP)
		return 0;
	__u32 found = climb_extensions(ctx, p->offset, p->proto);
	__u32 size = (found & FURTHEST) - p->offset;
	p->proto = found >> 16;
	p->fragment = !!(found & FOUND_FRAGMENT);
	p->later = !!(found & FOUND_LATER);
	if (found & FOUND_TOO_MANY) {
		p->proto = IPPROTO_NONE; // what comes then is not known
		return STOP_WRAPPED;
	}
	if (found & FOUND_SHORT || size > p->left)
		return STOP_LENGTH;
	p->offset = found & FURTHEST;
	p->left -= size;
	return 0;
}

// parse_ports reads the ports.
RUNG __u32 parse_ports(struct xdp_md *ctx, struct packet *p)
{
	struct {
		__be16 sport, dport;
	} *l4 = next(ctx, p, sizeof *l4);
	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
		return 0;
	if (p->left < sizeof *l4 || !l4)
		return p->fragment ? 0 : STOP_LENGTH; // the fragments' rung judges hidden ports
	p->sport = bpf_ntohs(l4->sport);
	p->dport = bpf_ntohs(l4->dport);
	p->ports = 1;
	return 0;
}

// parse fills in what the headers say of a packet of which nothing is known yet.
PART __u32 parse(struct xdp_md *ctx, struct packet *p)
{
	if (!p)
		return 0;
	struct {
		__u8 addresses[2 * ETH_ALEN];
		__be16 type;
	} *ethernet = next(ctx, p, sizeof *ethernet);
	if (!ethernet)
		return 0;
	__be16 type = ethernet->type;
	p->offset = ETH_HLEN;
	__u32 wrapped = 0, wrong;
	for (int i = 0; i < TAGS_READ; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		struct tag *t = next(ctx, p, sizeof *t);
		if (i == TAGS)
			wrapped = STOP_WRAPPED; // who sent it is looked at all the same
		if (!t)
			return wrapped;
		type = t->next;
		p->offset += sizeof *t;
	}
	if (type == bpf_htons(ETH_P_PPP_SES)) {
		struct pppoe *s = next(ctx, p, sizeof *s);
		if (!s)
			return wrapped;
		type = s->protocol == bpf_htons(PPP_IPV4) ? bpf_htons(ETH_P_IP) : s->protocol == bpf_htons(PPP_IPV6) ? bpf_htons(ETH_P_IPV6) : 0;
		p->offset += sizeof *s;
	}
	if (type == bpf_htons(ETH_P_IP))
		wrong = parse_ipv4(ctx, p);
	else if (type == bpf_htons(ETH_P_IPV6))
		wrong = parse_ipv6(ctx, p);
	else
		return wrapped;
	if (!wrong && !p->later)
		wrong = parse_ports(ctx, p);
	return wrong ? wrong : wrapped;
}
