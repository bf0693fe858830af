/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Rare system calls: those that a program which minds its own business has no use
 * for. They are seen when they end, so with their result. Which calls, and what of
 * each, internal/probe/calls.go says.
 */
#include "agent.h"
#include "creds.h"
#include "fold.h"
#include "syscall.h"

/* One word for each call, 0 for those of no interest. Bytes, lowest first: what is
 * tested before it is reported, then arguments by their place from 1: a text, the
 * process it acts on. */
const volatile u64 calls[CALLS] = {};

const volatile u32 host_pid_ns = 0;

#define CALL_WHEN(c) ((c)&0xff)
#define CALL_TEXT(c) (((c) >> 8) & 0xff)
#define CALL_TARGET(c) (((c) >> 16) & 0xff)

#define WHEN_ALWAYS 1
#define WHEN_NEW_NS 2	 /* the first argument asks for a namespace */
#define WHEN_NEW_NS_AT 3 /* the structure it points at does */
#define WHEN_PRCTL 4
#define WHEN_AGENT 5	   /* a signal to the agent */
#define WHEN_CREDS 6	   /* reported as a change of credentials */
#define WHEN_CREDS_TOO 7   /* as both */
#define WHEN_NOT_A_QUERY 8 /* personality(0xffffffff) */
#define WHEN_BPF 10	   /* always, and of which object it was */
#define WHEN_ENTERS 9	   /* the namespaces are compared afterwards */

#define CLONE_NEW 0x7e020080ULL /* all of CLONE_NEW*, of which only clone3 and unshare know 0x80 */
#define CLONE_NEW_OLD 0x7e020000ULL

#define PR_SET_DUMPABLE 4
#define PR_SET_SECCOMP 22
#define PR_SET_SECUREBITS 28
#define PR_SET_MM 35
#define PR_CAP_AMBIENT 47
#define PR_SET_PTRACER 0x59616d61

FOLDS(call_folds, 4096);

struct call_event {
	struct header h;
	u32 call;
	u32 target; /* the place of the argument that names a process */
	s64 result;
	u64 args[ARGS];
	u8 text[256];
};

EXPORT(call_event);

static __always_inline bool asked(u32 when, struct args *a, struct task_struct *t)
{
	u64 flags = 0;
	switch (when) {
	case WHEN_NEW_NS:
		return a->of[0] & CLONE_NEW_OLD;
	case WHEN_NEW_NS_AT:
		bpf_probe_read_user(&flags, sizeof(flags), (void *)a->of[0]);
		a->of[0] = flags;
		return flags & CLONE_NEW;
	case WHEN_PRCTL:
		switch (a->of[0]) {
		case PR_SET_DUMPABLE:
		case PR_SET_SECCOMP:
		case PR_SET_SECUREBITS:
		case PR_SET_MM:
		case PR_CAP_AMBIENT:
		case PR_SET_PTRACER:
			return true;
		}
		return false;
	case WHEN_AGENT:
		return (u32)a->of[0] && (u32)a->of[0] == agent_pid() && t->tgid != (u32)a->of[0] && pid_ns_of(t) == host_pid_ns;
	case WHEN_NOT_A_QUERY:
		return (u32)a->of[0] != 0xffffffff;
	}
	return true;
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_map {
	u32 id;
};
#pragma clang attribute pop

#define BPF_MAP_UPDATE_ELEM 2
#define BPF_MAP_DELETE_ELEM 3
#define BPF_PROG_GET_FD_BY_ID 13
#define BPF_MAP_GET_FD_BY_ID 14
#define BPF_MAP_LOOKUP_AND_DELETE_ELEM 21
#define BPF_MAP_FREEZE 22
#define BPF_LINK_GET_FD_BY_ID 30

/* The number of the map that bpf(2) changed, or of the object that it opened by its
 * number; 0 where it was neither. */
static __always_inline u32 bpf_object(struct args *a, struct task_struct *t)
{
	struct bpf_map *m;
	u32 first = 0; /* in each of these a descriptor or a number comes first */
	bpf_probe_read_user(&first, sizeof(first), (void *)a->of[1]);
	switch ((u32)a->of[0]) {
	case BPF_PROG_GET_FD_BY_ID:
	case BPF_MAP_GET_FD_BY_ID:
	case BPF_LINK_GET_FD_BY_ID:
		return first;
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_DELETE_ELEM:
	case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
	case BPF_MAP_FREEZE:
		/* The call went well, so the descriptor is a map's. */
		m = BPF_CORE_READ(file_of(t, first), private_data);
		return BPF_CORE_READ(m, id);
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_call, struct pt_regs *regs, long ret)
{
	struct task_struct *t = bpf_get_current_task_btf();
	u32 call = call_index(regs, t);
	if (call >= CALLS)
		return 0;
	u64 what = calls[call];
	if (!what)
		return 0;
	u32 when = CALL_WHEN(what);
	if (when == WHEN_CREDS || when == WHEN_CREDS_TOO || when == WHEN_ENTERS) {
		struct seen *s = bpf_task_storage_get(&tasks_seen, t, NULL, STORAGE_CREATE);
		if (s) {
			check_creds(t, s, call, true);
			if (when == WHEN_ENTERS)
				check_namespaces(t, s);
		}
		if (when == WHEN_CREDS)
			return 0;
	}
	struct args a;
	read_args(&a, regs, call >= COMPAT);
	if (!asked(when, &a, t))
		return 0;
	/* The child of a fork comes by as well. */
	if ((when == WHEN_NEW_NS || when == WHEN_NEW_NS_AT) && ret == 0)
		return 0;
	if (when == WHEN_BPF) {
		/* What the agent does all day says nothing of it. */
		if (t->tgid == agent_pid())
			return 0;
		a.of[3] = ret < 0 ? 0 : bpf_object(&a, t);
	}
	u64 cgroup = task_cgroup(t);
	if (when == WHEN_BPF && a.of[3]) {
		/* Whoever could write interests could else keep that from being told. */
		count_attempt(KIND_CALL);
	} else if (of_runtime(t) || !wanted(KIND_CALL, cgroup)) {
		return 0;
	}
	struct fold_key k = {
		.cgroup = cgroup,
		.what = a.of[0],
		.who = (u64)t->tgid << 32 | call,
		.where = (when == WHEN_BPF ? a.of[3] : a.of[1]) << 1 | (ret < 0),
	};
	u32 count = fold(&call_folds, &k, SECOND, t->tgid, 0);
	if (!count || !afford(cgroup, RING_PRIV)) {
		if (count)
			bpf_map_delete_elem(&call_folds, &k);
		count_folded(KIND_CALL);
		return 0;
	}
	struct call_event *e = reserve(ring_priv, RING_PRIV, struct call_event, t, KIND_CALL, cgroup);
	if (!e) {
		bpf_map_delete_elem(&call_folds, &k);
		return 0;
	}
	e->h.count = count > 1 ? count : 0;
	e->call = call;
	e->target = CALL_TARGET(what);
	e->result = ret;
	for (int i = 0; i < ARGS; i++)
		e->args[i] = a.of[i];
	e->text[0] = 0;
	u32 text = CALL_TEXT(what);
	if (text)
		bpf_probe_read_user_str(e->text, sizeof(e->text), (void *)a.of[(text - 1) & 7]);
	submit(e, KIND_CALL);
	return 0;
}
