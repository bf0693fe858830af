/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What is told in clear at the beginning: DNS messages of clients, and the first
 * data that a client sends on a TCP connection, where it is a TLS hello or one of a
 * few protocols. Packets are copied, never parsed here: internal/probe does that.
 */
#include "net.h"

RING(ring_net);
RING(ring_dns);

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define DNS_PORT 53

#define PACKET_IN 1
#define PACKET_TLS 2
#define PACKET_SSH 4
#define PACKET_HTTP 8
#define PACKET_JSON 16
#define PACKET_SOCKS 32

struct packet {
	struct endpoints e;
	u32 flags;
	u16 len;   /* what was copied */
	u16 whole; /* what there was */
};
EXPORT(packet);
/* Of a payload the beginning is kept, in records with room for so many bytes. */
#define PACKET(room)                 \
	struct packet_##room {       \
		struct packet p;     \
		u8 data[room];       \
	}
PACKET(128);
PACKET(512);
PACKET(1024);
PACKET(2048);

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct flow);
	__type(value, struct tally);
} beginnings SEC(".maps");

#define SEEN_SENT 1
#define SEEN_RECEIVED 2

/* What the headers of a packet say. Local is this node's end. */
struct heads {
	struct address local, remote;
	u16 lport, rport;
	u16 protocol;
	u16 payload; /* where it begins */
};

static __always_inline bool read_heads(struct __sk_buff *skb, struct heads *h, bool in)
{
	u32 at;
	u8 b[40];

	if (skb->protocol == bpf_ntohs(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, 0, b, 20))
			return false;
		if ((b[6] & 0x1f) | b[7])
			return false; /* a later fragment */
		at = (b[0] & 15) * 4;
		h->protocol = b[9];
		u32 *a = (u32 *)b;
		mapped(&h->local, in ? a[4] : a[3]);
		mapped(&h->remote, in ? a[3] : a[4]);
	} else if (skb->protocol == bpf_ntohs(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(skb, 0, b, 40))
			return false;
		at = 40;
		u8 next = b[6];
		__builtin_memcpy(in ? &h->remote : &h->local, b + 8, 16);
		__builtin_memcpy(in ? &h->local : &h->remote, b + 24, 16);
#pragma clang loop unroll(disable)
		for (int i = 0; i < 4; i++) {
			u8 ext[4];
			if (next != 0 && next != 43 && next != 44 && next != 60)
				break;
			if (bpf_skb_load_bytes(skb, at, ext, 4))
				return false;
			if (next == 44) {
				if (ext[2] | (ext[3] & 0xf8))
					return false;
				at += 8;
			} else {
				at += 8 + ext[1] * 8;
			}
			next = ext[0];
		}
		h->protocol = next;
	} else {
		return false;
	}
	if (h->protocol != IPPROTO_TCP && h->protocol != IPPROTO_UDP)
		return false;
	if (bpf_skb_load_bytes(skb, at, b, 16))
		/* A datagram without payload is shorter, and says nothing. */
		return false;
	u16 source = (u16)b[0] << 8 | b[1], dest = (u16)b[2] << 8 | b[3];
	h->lport = in ? dest : source;
	h->rport = in ? source : dest;
	h->payload = at + (h->protocol == IPPROTO_UDP ? 8 : (b[12] >> 4) * 4);
	return true;
}

static __always_inline void fill_packet(struct packet *p, struct __sk_buff *skb, struct heads *h, u32 flags)
{
	p->e.cookie = bpf_get_socket_cookie(skb);
	p->e.type = 0;
	p->e.protocol = h->protocol;
	p->e.lport = h->lport;
	p->e.rport = h->rport;
	p->e.local = h->local;
	p->e.remote = h->remote;
	p->flags = flags;
	u32 whole = skb->len - h->payload;
	p->whole = whole < 0xffff ? whole : 0xffff;
	p->len = 0;
}

/* Copies a packet, which has a payload, into a record with room for a power of two
 * of bytes. */
#define COPY(ringmap, ring, room, kind, cgroup, owner, skb, h, flags, folded)                              \
	({                                                                                                 \
		struct packet_##room *r = reserve_for(ringmap, ring, struct packet_##room, owner, kind, cgroup); \
		if (r) {                                                                                   \
			fill_packet(&r->p, skb, h, flags);                                                 \
			if (folded)                                                                        \
				r->p.e.h.count = (folded) + 1;                                             \
			u32 n = skb->len - (h)->payload;                                                   \
			if (n > room)                                                                      \
				n = room;                                                                  \
			/* Between 1 and room, in a way that kernel 6.1 follows. */                        \
			n--;                                                                               \
			asm volatile("" : "+r"(n));                                                        \
			n = (n & (room - 1)) + 1;                                                          \
			if (!bpf_skb_load_bytes(skb, (h)->payload, r->data, n))                            \
				r->p.len = n;                                                              \
			submit(r, kind);                                                                   \
		}                                                                                          \
	})

static __noinline int copy_dns(struct __sk_buff *skb, struct heads *h, struct owner *o, u32 flags)
{
	if (!h)
		return 0;
	u64 cgroup = o ? o->h.cgroup : bpf_skb_cgroup_id(skb);
	if (!wanted(KIND_DNS, cgroup))
		return 0;
	u32 n = skb->len - h->payload;
	if (n <= 128)
		COPY(ring_dns, RING_DNS, 128, KIND_DNS, cgroup, o, skb, h, flags, 0);
	else if (n <= 512)
		COPY(ring_dns, RING_DNS, 512, KIND_DNS, cgroup, o, skb, h, flags, 0);
	else
		COPY(ring_dns, RING_DNS, 2048, KIND_DNS, cgroup, o, skb, h, flags, 0);
	return 0;
}

static __noinline int copy_tls(struct __sk_buff *skb, struct heads *h, struct owner *o)
{
	if (!h || !o)
		return 0;
	u64 cgroup = o->h.cgroup;
	if (!wanted(KIND_TLS, cgroup))
		return 0;
	if (skb->len - h->payload <= 1024)
		COPY(ring_net, RING_NET, 1024, KIND_TLS, cgroup, o, skb, h, PACKET_TLS, 0);
	else
		COPY(ring_net, RING_NET, 2048, KIND_TLS, cgroup, o, skb, h, PACKET_TLS, 0);
	return 0;
}

static __noinline int copy_beginning(struct __sk_buff *skb, struct heads *h, struct owner *o, u32 flags)
{
	if (!h || !o)
		return 0;
	u64 cgroup = o->h.cgroup;
	if (!wanted(KIND_SEND, cgroup))
		return 0;
	struct tally sum;
	struct flow f = {.cgroup = cgroup, .pid = o->h.pid, .protocol = h->protocol | flags << 16, .port = h->rport, .peer = h->remote};
	if (fold(&beginnings, &f, &sum, 0, 0)) {
		count_folded(KIND_SEND);
		return 0;
	}
	COPY(ring_net, RING_NET, 128, KIND_SEND, cgroup, o, skb, h, flags, sum.count);
	return 0;
}

/* Tells a protocol by the first four bytes that its client sends. */
static __always_inline u32 protocol_of(const u8 *b)
{
	u32 word = (u32)b[0] << 24 | (u32)b[1] << 16 | (u32)b[2] << 8 | b[3];
	if (b[0] == 0x16 && b[1] == 3)
		return PACKET_TLS;
	switch (word) {
	case 0x5353482d: /* SSH- */
		return PACKET_SSH;
	case 0x47455420: /* GET */
	case 0x504f5354: /* POST */
	case 0x50555420: /* PUT */
	case 0x48454144: /* HEAD */
	case 0x44454c45: /* DELETE */
	case 0x50415443: /* PATCH */
	case 0x4f505449: /* OPTIONS */
	case 0x434f4e4e: /* CONNECT */
		return PACKET_HTTP;
	}
	if (b[0] == '{')
		return PACKET_JSON;
	/* SOCKS 5: how many ways to log in, the first of them none or a password. */
	if (b[0] == 5 && ((b[1] == 1 && (b[2] == 0 || b[2] == 2)) || (b[1] == 2 && b[2] == 0)))
		return PACKET_SOCKS;
	return 0;
}

static __always_inline void look(struct __sk_buff *skb, bool in)
{
	struct heads h = {};
	if (!read_heads(skb, &h, in) || skb->len <= h.payload)
		return;
	if (in && h.rport != DNS_PORT)
		return;
	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return;
	struct owner *o = bpf_sk_storage_get(&owners, sk, 0, 0);
	if (h.protocol == IPPROTO_UDP) {
		if (h.rport == DNS_PORT)
			copy_dns(skb, &h, o, in ? PACKET_IN : 0);
		return;
	}
	/* Of a connection that was there before the sensor, nobody knows the beginning. */
	if (!o || o->role != OWNER_CONNECTS)
		return;
	u32 seen = in ? SEEN_RECEIVED : SEEN_SENT;
	if (o->seen & seen)
		return;
	if (h.rport == DNS_PORT) {
		if (skb->len - h.payload <= 2)
			return; /* the length, and the message follows */
		o->seen |= seen;
		copy_dns(skb, &h, o, in ? PACKET_IN : 0);
		return;
	}
	o->seen |= seen;
	u8 first[4];
	if (bpf_skb_load_bytes(skb, h.payload, first, 4))
		return;
	u32 is = protocol_of(first);
	if (is == PACKET_TLS)
		copy_tls(skb, &h, o);
	else if (is)
		copy_beginning(skb, &h, o, is);
}

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	look(skb, false);
	return 1;
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
	look(skb, true);
	return 1;
}
