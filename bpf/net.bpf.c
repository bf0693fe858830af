/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Connections and sockets: TCP by its states, UDP and what is rare by the hooks of
 * the root cgroup. */
#include "net.h"

RING(ring_net);

struct socket_event {
	struct endpoints e;
	u64 sent, received;
	s32 result;
	u32 pad;
};
EXPORT(socket_event);

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct flow);
	__type(value, struct tally);
} flows SEC(".maps");

static __always_inline u64 sock_cgroup(const struct sock *sk)
{
	return sk->sk_cgrp_data.cgroup->kn->id;
}

static __always_inline void set_ends(struct endpoints *e, const struct sock *sk)
{
	e->type = sk->sk_type;
	e->protocol = sk->sk_protocol;
	e->lport = sk->__sk_common.skc_num;
	if (!e->lport) /* given back before the socket is closed */
		e->lport = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	e->rport = bpf_ntohs(sk->__sk_common.skc_dport);
	if (sk->__sk_common.skc_family == AF_INET) {
		mapped(&e->local, sk->__sk_common.skc_rcv_saddr);
		mapped(&e->remote, sk->__sk_common.skc_daddr);
	} else {
		bpf_probe_read_kernel(&e->local, sizeof(e->local), &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(&e->remote, sizeof(e->remote), &sk->__sk_common.skc_v6_daddr);
	}
}

/* The task that connects or listens: it becomes the socket's owner. */
static __always_inline struct owner *own(void *sk, struct task_struct *t, u32 role)
{
	struct owner *o = bpf_sk_storage_get(&owners, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!o)
		return NULL;
	if (o->h.pid != (u32)t->tgid || o->h.start != t->group_leader->start_boottime)
		owner_header(&o->h, t);
	o->h.tid = t->pid;
	if (role)
		o->role = role;
	return o;
}

/* Runs over all open files once: sockets that were there before the sensor get the
 * owner that holds them now. Which end of a connection it is can no longer be told.
 * Of MPTCP, files do not hold what connections come in by: those stay without. */
SEC("iter/task_file")
int adopt(struct bpf_iter__task_file *ctx)
{
	struct task_struct *t = ctx->task;
	struct file *f = ctx->file;
	if (!t || !f || t->tgid != t->pid)
		return 0;
	struct socket *s = bpf_sock_from_file(f);
	if (!s)
		return 0;
	struct sock *sk = s->sk;
	if (!sk || (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6))
		return 0;
	if (bpf_sk_storage_get(&owners, sk, 0, 0))
		return 0;
	own(sk, t, sk->__sk_common.skc_state == TCP_LISTEN ? OWNER_LISTENS : 0);
	return 0;
}

/* TCP's connect, listen, accept and close. The first two run in the task that asks
 * for them, the others wherever the packet that makes them happen comes in. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_sock_state, struct sock *sk, int old, int new)
{
	u32 kind;

	switch (new) {
	case TCP_SYN_SENT:
		kind = KIND_CONNECT;
		break;
	case TCP_LISTEN:
		kind = KIND_LISTEN;
		break;
	case TCP_ESTABLISHED:
		/* SCTP has no state between. */
		if (old == TCP_SYN_RECV)
			kind = KIND_ACCEPT;
		else if (old == TCP_CLOSE)
			kind = KIND_CONNECT;
		else
			return 0;
		break;
	case TCP_CLOSE:
		if (old == TCP_CLOSE || old == TCP_LISTEN || old == TCP_SYN_RECV)
			return 0;
		kind = KIND_CLOSE;
		break;
	default:
		return 0;
	}
	if (sk->sk_protocol == IPPROTO_MPTCP)
		return 0; /* its subflows are TCP */

	struct owner *o;
	u64 cgroup;
	if (new == TCP_SYN_SENT || new == TCP_LISTEN) {
		struct task_struct *t = bpf_get_current_task_btf();
		cgroup = task_cgroup(t);
		o = own(sk, t, new == TCP_LISTEN ? OWNER_LISTENS : OWNER_CONNECTS);
	} else {
		o = bpf_sk_storage_get(&owners, sk, 0, 0);
		cgroup = o ? o->h.cgroup : sock_cgroup(sk);
		if (kind == KIND_ACCEPT && o && o->role == OWNER_CONNECTS)
			return 0; /* both ends connected at once */
	}
	if (!wanted(kind, cgroup))
		return 0;

	u64 sent = 0, received = 0;
	s32 result = 0;
	if (kind == KIND_CLOSE) {
		struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
		if (tp) {
			sent = tp->bytes_sent - tp->bytes_retrans;
			received = tp->bytes_received;
			/* A FIN is counted as if it were a byte. */
			if (received && (sk->__sk_common.skc_flags >> SOCK_DONE) & 1)
				received--;
		}
		result = -sk->sk_err;
		if (!result && old == TCP_SYN_SENT)
			result = -ECANCELED;
	}
	struct endpoints e;
	set_ends(&e, sk);
	struct tally sum;
	struct flow f = {
		.cgroup = cgroup, .pid = o ? o->h.pid : 0, .protocol = e.protocol | (o ? o->role << 16 : 0), .peer = e.remote,
		.port = kind == KIND_LISTEN || kind == KIND_ACCEPT || (o && o->role == OWNER_LISTENS) ? e.lport : e.rport,
		.kind = kind | (u8)-result << 8,
	};
	/* Who listens is rare, and always told. */
	if (fold(&flows, &f, &sum, sent, received) || (kind != KIND_LISTEN && !afford(cgroup, RING_NET))) {
		count_folded(kind);
		return 0;
	}
	struct socket_event *r = reserve_for(ring_net, RING_NET, struct socket_event, o, kind, cgroup);
	if (!r)
		return 0;
	if (sum.count)
		r->e.h.count = sum.count + 1;
	set_ends(&r->e, sk);
	r->e.cookie = bpf_get_socket_cookie(sk);
	r->sent = sum.sent;
	r->received = sum.received;
	r->result = result;
	r->pad = 0;
	submit(r, kind);
	return 0;
}

/* Where a datagram socket is told to talk to, or what it is bound to. */
static __noinline int report(struct owner *o, struct endpoints *e, u32 kind, u64 cookie)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	if (!e || !wanted(kind, cgroup))
		return 0;
	struct tally sum;
	struct flow f = {
		.cgroup = cgroup, .pid = bpf_get_current_pid_tgid() >> 32, .protocol = e->protocol | (u32)e->type << 16,
		.port = kind == KIND_BIND ? e->lport : e->rport, .kind = kind, .peer = e->remote,
	};
	if (fold(&flows, &f, &sum, 0, 0) || (kind != KIND_BIND && !afford(cgroup, RING_NET))) {
		count_folded(kind);
		return 0;
	}
	struct socket_event *r = bpf_ringbuf_reserve(&ring_net, sizeof(*r), 0);
	if (!r) {
		next_sequence(RING_NET);
		count_lost(kind, cgroup);
		return 0;
	}
	if (o)
		socket_header(&r->e.h, o, kind, RING_NET, cgroup, sizeof(*r));
	else
		fill_header(&r->e.h, bpf_get_current_task_btf(), kind, RING_NET, cgroup, sizeof(*r));
	if (sum.count)
		r->e.h.count = sum.count + 1;
	r->e.cookie = cookie;
	r->e.type = e->type;
	r->e.protocol = e->protocol;
	r->e.lport = e->lport;
	r->e.rport = e->rport;
	r->e.local = e->local;
	r->e.remote = e->remote;
	r->sent = 0;
	r->received = 0;
	r->result = 0;
	r->pad = 0;
	submit(r, kind);
	return 0;
}

static __always_inline void to_peer(struct bpf_sock_addr *ctx, u32 kind, bool six)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return;
	struct owner *o = own(sk, bpf_get_current_task_btf(), OWNER_CONNECTS);
	struct endpoints e = {.type = ctx->type, .protocol = ctx->protocol, .rport = bpf_ntohs(ctx->user_port), .lport = sk->src_port};
	if (six) {
		address_of(&e.local, sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]);
		address_of(&e.remote, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
	} else {
		mapped(&e.local, sk->src_ip4);
		mapped(&e.remote, ctx->user_ip4);
	}
	report(o, &e, kind, bpf_get_socket_cookie(ctx));
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx)
{
	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_MPTCP)
		to_peer(ctx, KIND_CONNECT, false);
	return 1;
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *ctx)
{
	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_MPTCP)
		to_peer(ctx, KIND_CONNECT, true);
	return 1;
}

SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr *ctx)
{
	to_peer(ctx, KIND_SEND, false);
	return 1;
}

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr *ctx)
{
	to_peer(ctx, KIND_SEND, true);
	return 1;
}

static __always_inline void bound(struct bpf_sock *sk, bool six)
{
	struct endpoints e = {.type = sk->type, .protocol = sk->protocol, .lport = sk->src_port};
	if (six)
		address_of(&e.local, sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]);
	else
		mapped(&e.local, sk->src_ip4);
	report(NULL, &e, KIND_BIND, bpf_get_socket_cookie(sk));
}

/* After the bind, when the port is known that the kernel chose. */
SEC("cgroup/post_bind4")
int on_bind4(struct bpf_sock *sk)
{
	bound(sk, false);
	return 1;
}

SEC("cgroup/post_bind6")
int on_bind6(struct bpf_sock *sk)
{
	bound(sk, true);
	return 1;
}

/* Raw sockets and rare protocols. The hook sees those of IP only. */
SEC("cgroup/sock_create")
int on_sock_create(struct bpf_sock *sk)
{
	u32 type = sk->type, protocol = sk->protocol;
	if (type != SOCK_RAW && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_MPTCP))
		return 1;
	struct endpoints e = {.type = type, .protocol = protocol};
	report(NULL, &e, KIND_SOCKET, bpf_get_socket_cookie(sk));
	return 1;
}
