/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Isolation. A cgroup that is cut, and all below it, neither sends nor receives:
 * packets of its sockets are dropped in both directions, whether the connection is
 * new or old, and new sockets and connections are refused. Packet sockets are not
 * sockets of IP: cut_link.bpf.c stops those.
 *
 * And rules on peers: whom a cgroup may connect to or send datagrams to.
 */
#include "cut.h"

RING(ring_net);

#define RULE_CUT 1
#define RULE_PEERS 2
#define ACTION_DENIED 1
#define ACTION_AUDITED 2

struct verdict {
	struct endpoints e;
	u32 rule, action;
};
EXPORT(verdict);
EXPORT(gate);

/* Packets that were dropped, by the cgroup that is cut. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} gate_drops SEC(".maps");

/* A list's entries begin alike: protocol and port, 0 for any; then its number. */
struct peer_key {
	u32 prefix; /* 96 bits and those of the address */
	u8 protocol;
	u8 pad;
	u16 port; /* network order */
	u64 list;
	struct address address;
};
struct peer_value {
	u32 deny;
	u32 bits; /* of the address */
};
EXPORT(peer_key);
EXPORT(peer_value);

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__type(key, struct peer_key);
	__type(value, struct peer_value);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct flow);
	__type(value, struct tally);
} verdicts SEC(".maps");

static __always_inline int filter(struct __sk_buff *skb)
{
	u64 levels = levels_with_gates();
	if (!levels)
		return 1;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < GATE_LEVELS; i++) {
		if (!(levels >> i))
			break;
		if (!((levels >> i) & 1))
			continue;
		u64 id = bpf_skb_ancestor_cgroup_id(skb, i);
		struct gate *g = bpf_map_lookup_elem(&gates, &id);
		if (!g || !g->cut)
			continue;
		u64 *n = bpf_map_lookup_elem(&gate_drops, &id);
		if (n)
			__sync_fetch_and_add(n, 1);
		return 0;
	}
	return 1;
}

SEC("cgroup_skb/egress")
int cut_egress(struct __sk_buff *skb)
{
	return filter(skb);
}

SEC("cgroup_skb/ingress")
int cut_ingress(struct __sk_buff *skb)
{
	return filter(skb);
}

static __noinline int report(struct endpoints *e, u32 rule, u32 action, u64 cookie)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	if (!e || !wanted(KIND_VERDICT, cgroup))
		return 0;
	struct tally sum;
	struct flow f = {
		.cgroup = cgroup, .pid = bpf_get_current_pid_tgid() >> 32, .protocol = e->protocol | (u32)e->type << 16,
		.port = e->rport, .kind = rule | action << 8, .peer = e->remote,
	};
	if (fold(&verdicts, &f, &sum, 0, 0)) {
		count_folded(KIND_VERDICT);
		return 0;
	}
	struct verdict *v = reserve(ring_net, RING_NET, struct verdict, bpf_get_current_task_btf(), KIND_VERDICT, cgroup);
	if (!v)
		return 0;
	if (sum.count)
		v->e.h.count = sum.count + 1;
	v->e.cookie = cookie;
	v->e.type = e->type;
	v->e.protocol = e->protocol;
	v->e.lport = e->lport;
	v->e.rport = e->rport;
	v->e.local = e->local;
	v->e.remote = e->remote;
	v->rule = rule;
	v->action = action;
	submit(v, KIND_VERDICT);
	return 0;
}

/* Says whether the rules deny a peer. The longest prefix decides, and of equal ones
 * that which names the port, then that which names the protocol. */
static __noinline int peer_denied(struct gate *g, struct endpoints *e)
{
	if (!g || !e)
		return 0;
	struct peer_key k = {.prefix = 96 + 128, .protocol = e->protocol, .port = bpf_ntohs(e->rport), .list = g->list, .address = e->remote};
	struct peer_value *v = bpf_map_lookup_elem(&peers, &k), *best = v;
	k.port = 0;
	v = bpf_map_lookup_elem(&peers, &k);
	if (v && (!best || v->bits > best->bits))
		best = v;
	k.protocol = 0;
	v = bpf_map_lookup_elem(&peers, &k);
	if (v && (!best || v->bits > best->bits))
		best = v;
	return best ? best->deny : (g->peers & PEERS_DENY) != 0;
}

static __always_inline int judge(struct bpf_sock_addr *ctx, bool six)
{
	if (!levels_with_gates())
		return 1;
	struct standing s = standing();
	if (!s.cut && !s.peers)
		return 1;
	struct endpoints e = {.type = ctx->type, .protocol = ctx->protocol, .rport = bpf_ntohs(ctx->user_port)};
	if (e.protocol == (u16)IPPROTO_MPTCP)
		e.protocol = IPPROTO_TCP;
	if (six)
		address_of(&e.remote, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
	else
		mapped(&e.remote, ctx->user_ip4);
	u64 cookie = bpf_get_socket_cookie(ctx);
	if (s.cut) {
		report(&e, RULE_CUT, ACTION_DENIED, cookie);
		return 0;
	}
	if (!s.peers || !peer_denied(s.peers, &e))
		return 1;
	bool audit = s.peers->peers & PEERS_AUDIT;
	report(&e, RULE_PEERS, audit ? ACTION_AUDITED : ACTION_DENIED, cookie);
	return audit;
}

SEC("cgroup/connect4")
int cut_connect4(struct bpf_sock_addr *ctx)
{
	return judge(ctx, false);
}

SEC("cgroup/connect6")
int cut_connect6(struct bpf_sock_addr *ctx)
{
	return judge(ctx, true);
}

SEC("cgroup/sendmsg4")
int cut_sendmsg4(struct bpf_sock_addr *ctx)
{
	return judge(ctx, false);
}

SEC("cgroup/sendmsg6")
int cut_sendmsg6(struct bpf_sock_addr *ctx)
{
	return judge(ctx, true);
}

SEC("cgroup/sock_create")
int cut_sock_create(struct bpf_sock *sk)
{
	if (!levels_with_gates() || !standing().cut)
		return 1;
	struct endpoints e = {.type = sk->type, .protocol = sk->protocol};
	report(&e, RULE_CUT, ACTION_DENIED, bpf_get_socket_cookie(sk));
	return 0;
}
