/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Sockets: whose they are, what they talk to, and how repeats are folded. */
#pragma once
#include "budget.h"

#define BPF_F_CLONE (1U << 9)
#define BPF_SK_STORAGE_GET_F_CREATE 1

#define AF_INET 2
#define AF_INET6 10
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define TCP_LISTEN 10

#define ECANCELED 125

#define SOCK_DONE 1 /* bit of skc_flags: the peer's FIN has come */

#define bpf_ntohs(x) __builtin_bswap16(x)

/* What programs of the network are called with. */
struct bpf_sock {
	u32 bound_dev_if;
	u32 family;
	u32 type;
	u32 protocol;
	u32 mark;
	u32 priority;
	u32 src_ip4;
	u32 src_ip6[4];
	u32 src_port; /* host order */
	u16 dst_port;
	u16 pad;
	u32 dst_ip4;
	u32 dst_ip6[4];
	u32 state;
	s32 rx_queue_mapping;
};

struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol; /* network order */
	u32 vlan_present, vlan_tci, vlan_proto;
	u32 priority;
	u32 ingress_ifindex, ifindex;
	u32 tc_index;
	u32 cb[5];
	u32 hash;
	u32 tc_classid;
	u32 data, data_end;
	u32 napi_id;
	u32 family;
	u32 remote_ip4, local_ip4;
	u32 remote_ip6[4], local_ip6[4];
	u32 remote_port, local_port;
	u32 data_meta;
	void *flow_keys __attribute__((aligned(8)));
	u64 tstamp;
	u32 wire_len;
	u32 gso_segs;
	struct bpf_sock *sk __attribute__((aligned(8)));
	u32 gso_size;
};

struct bpf_sock_addr {
	u32 user_family;
	u32 user_ip4;
	u32 user_ip6[4];
	u32 user_port;
	u32 family;
	u32 type;
	u32 protocol;
	u32 msg_src_ip4;
	u32 msg_src_ip6[4];
	struct bpf_sock *sk __attribute__((aligned(8)));
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	u8 bytes[16];
};
struct sock_common {
	u32 skc_daddr, skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	u8 skc_state;
	unsigned long skc_flags;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};
struct sock_cgroup_data {
	struct cgroup *cgroup;
};
struct sock {
	struct sock_common __sk_common;
	int sk_err;
	u16 sk_protocol;
	u16 sk_type;
	struct sock_cgroup_data sk_cgrp_data;
};
struct socket {
	struct sock *sk;
};
struct bpf_iter__task_file {
	struct task_struct *task;
	struct file *file;
};
struct inet_sock {
	u16 inet_sport;
};
struct tcp_sock {
	u64 bytes_sent, bytes_retrans, bytes_received;
};

#pragma clang attribute pop

/* Addresses are of 16 bytes throughout, those of IPv4 mapped into IPv6. */
struct address {
	u8 bytes[16];
};

static __always_inline void mapped(struct address *out, u32 ip4)
{
	u32 *w = (u32 *)out->bytes;
	w[0] = 0;
	w[1] = 0;
	w[2] = __builtin_bswap32(0xffff);
	w[3] = ip4;
}

static __always_inline void address_of(struct address *out, u32 a, u32 b, u32 c, u32 d)
{
	u32 *w = (u32 *)out->bytes;
	w[0] = a;
	w[1] = b;
	w[2] = c;
	w[3] = d;
}

/* Who opened a socket, kept with the socket itself, since most of what becomes of
 * it happens in no process at all. A connection that a listener takes inherits
 * the listener's. */
struct owner {
	struct header h;
	u32 role; /* OWNER_* */
	u32 seen; /* SEEN_*: what dns.bpf.c has looked at */
};
#define OWNER_CONNECTS 1
#define OWNER_LISTENS 2

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct owner);
} owners SEC(".maps");

/* Equal flows, so that a busy client is one event a second and not thousands. */
struct flow {
	u64 cgroup;
	u32 pid;
	u32 protocol; /* and what else tells flows apart */
	u16 port;     /* the server's */
	u16 kind;     /* and the error's number above it */
	u32 pad;
	struct address peer;
};
struct tally {
	u64 since; /* when one was last reported, ns since boot */
	u64 sent, received;
	u64 count; /* not reported since */
};

#define FOLD_NS 1000000000ULL
#define FOLD_COUNT 1024

/* The first of equal flows is reported, then one a second with the sum of those in
 * between. Returns whether this one is folded; if not, sum is what to add to it. */
static __always_inline bool fold(void *flows, struct flow *f, struct tally *sum, u64 sent, u64 received)
{
	u64 now = bpf_ktime_get_boot_ns();
	struct tally *t = bpf_map_lookup_elem(flows, f);

	sum->since = now;
	sum->sent = 0;
	sum->received = 0;
	sum->count = 0;
	if (!t) {
		bpf_map_update_elem(flows, f, sum, BPF_ANY);
	} else if (now - t->since < FOLD_NS && t->count < FOLD_COUNT) {
		__sync_fetch_and_add(&t->count, 1);
		__sync_fetch_and_add(&t->sent, sent);
		__sync_fetch_and_add(&t->received, received);
		return true;
	} else {
		t->since = now;
		sum->count = __sync_lock_test_and_set(&t->count, 0);
		sum->sent = __sync_lock_test_and_set(&t->sent, 0);
		sum->received = __sync_lock_test_and_set(&t->received, 0);
	}
	sum->sent += sent;
	sum->received += received;
	return false;
}

static __always_inline void count_folded(u32 kind)
{
	struct counter *c = counter_of(kind);
	if (c)
		__sync_fetch_and_add(&c->folded, 1);
}

/* What all records of sockets begin with. */
struct endpoints {
	struct header h;
	u64 cookie;
	u16 type, protocol, lport, rport;
	struct address local, remote;
};

static __noinline int owner_header(struct header *h, struct task_struct *t)
{
	fill_header(h, t, 0, RINGS, task_cgroup(t), 0);
	return 0;
}

/* Fills a header for what befalls a socket: the owner's where it is known. */
static __always_inline void socket_header(struct header *h, struct owner *o, u32 kind, u32 ring, u64 cgroup, u32 size)
{
	if (o)
		__builtin_memcpy(h, &o->h, sizeof(*h));
	else
		__builtin_memset(h, 0, sizeof(*h));
	h->size = size;
	h->kind = kind;
	h->cpu = bpf_get_smp_processor_id();
	h->seq = next_sequence(ring);
	h->time = bpf_ktime_get_boot_ns();
	h->cgroup = cgroup;
	h->count = 0;
}

/* As reserve, for what has an owner instead of a task. */
#define reserve_for(ringmap, ring, type, owner, kind, cgroup)                                     \
	({                                                                                        \
		type *__r = bpf_ringbuf_reserve(&ringmap, sizeof(type), 0);                       \
		if (__r)                                                                          \
			socket_header((struct header *)__r, owner, kind, ring, cgroup, sizeof(type)); \
		else {                                                                            \
			next_sequence(ring);                                                      \
			count_lost(kind, cgroup);                                                 \
		}                                                                                 \
		__r;                                                                              \
	})
