/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Connections to unix sockets. */
#include "net.h"

RING(ring_net);

#define UNIX_PATH 108

struct unix_event {
	struct header h;
	u64 cookie;
	u32 type;
	u32 len;
	u8 path[UNIX_PATH];
};
EXPORT(unix_event);

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct sockaddr;
struct bpf_sock_addr_kern {
	struct sock *sk;
	struct sockaddr *uaddr;
	u32 uaddrlen;
};
#pragma clang attribute pop

extern void *bpf_cast_to_kern_ctx(void *obj) __ksym;

struct unix_flow {
	u64 cgroup;
	u32 pid;
	u32 len;
	u8 path[UNIX_PATH];
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct unix_flow);
	__type(value, struct tally);
} unix_flows SEC(".maps");

SEC("cgroup/connect_unix")
int on_connect_unix(struct bpf_sock_addr *ctx)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	if (!wanted(KIND_CONNECT, cgroup))
		return 1;
	struct bpf_sock_addr_kern *k = bpf_cast_to_kern_ctx(ctx);
	struct unix_flow f = {.cgroup = cgroup, .pid = bpf_get_current_pid_tgid() >> 32};
	u32 len = k->uaddrlen;
	void *address = k->uaddr;
	if (len > 2) {
		len -= 2; /* sun_family */
		if (len > UNIX_PATH)
			len = UNIX_PATH;
		bpf_probe_read_kernel(f.path, len, address + 2);
		f.len = len;
	}
	struct tally sum;
	if (fold(&unix_flows, (void *)&f, &sum, 0, 0)) {
		count_folded(KIND_CONNECT);
		return 1;
	}
	struct unix_event *r = reserve(ring_net, RING_NET, struct unix_event, bpf_get_current_task_btf(), KIND_CONNECT, cgroup);
	if (!r)
		return 1;
	if (sum.count)
		r->h.count = sum.count + 1;
	r->cookie = bpf_get_socket_cookie(ctx);
	r->type = ctx->type;
	r->len = f.len;
	__builtin_memcpy(r->path, f.path, UNIX_PATH);
	submit(r, KIND_CONNECT);
	return 1;
}
