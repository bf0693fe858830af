/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What is asked of io_uring, which no system call tells of. The tracepoint has had
 * three shapes; one program is loaded.
 */
#include "fold.h"

RING(ring_priv);

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct io_kiocb {
	u8 opcode;
};
#pragma clang attribute pop

FOLDS(uring_folds, 4096);

struct uring_event {
	struct header h;
	u32 opcode;
	u32 call; /* the place that no system call has */
};

EXPORT(uring_event);

static __always_inline int asked(u32 opcode)
{
	struct task_struct *t = bpf_get_current_task_btf();
	u64 cgroup = task_cgroup(t);
	if (!wanted(KIND_CALL, cgroup))
		return 0;
	struct fold_key k = {.cgroup = cgroup, .what = opcode, .who = t->tgid};
	u32 count = fold(&uring_folds, &k, 10 * SECOND, t->tgid, 0);
	if (!count) {
		count_folded(KIND_CALL);
		return 0;
	}
	struct uring_event *e = reserve(ring_priv, RING_PRIV, struct uring_event, t, KIND_CALL, cgroup);
	if (!e) {
		bpf_map_delete_elem(&uring_folds, &k);
		return 0;
	}
	e->h.count = count > 1 ? count : 0;
	e->opcode = opcode;
	e->call = 0xffffffff;
	submit(e, KIND_CALL);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_uring_req, struct io_kiocb *req)
{
	return asked(BPF_CORE_READ(req, opcode));
}

/* Before 6.4 it was named otherwise. */
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(on_uring_sqe, struct io_kiocb *req)
{
	return asked(BPF_CORE_READ(req, opcode));
}

/* Before 6.0 the request came second, and its operation third. */
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(on_uring_sqe_old, void *ring, void *req, u8 opcode)
{
	return asked(opcode);
}
