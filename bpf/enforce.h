/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What containers must not do, decided in the kernel before it is done. A policy
 * stands at a cgroup and goes for all below it, so that one at a pod's cgroup holds
 * for its containers from their first instruction; the nearest policy counts.
 *
 * The runtime works in the container's cgroup before it becomes the container's
 * program, and mounts, changes users and runs itself from memory there. Rules
 * therefore hold for tasks that are armed: that have run a program inside a mount
 * namespace of their own, or were born of such, or were there when the policy came. What is run is
 * judged for all but those in the node's mount namespace.
 */
#pragma once

#include "file.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* What is mapped where overlayfs opened another file than was named (6.6 and later). */
struct backing_file {
	struct file file;
	struct path user_path;
};

struct vm_area_struct {
	struct file *vm_file;
};

#pragma clang attribute pop

struct bpf_raw_tracepoint_args {
	u64 args[1];
};

RING(ring_node);

/* Numbered as in internal/probe/enforce.go. */
enum rule {
	RULE_FOREIGN_EXEC,  /* run what is not of the image: a new file, one in memory, one without a name */
	RULE_MODIFIED_EXEC, /* run a file of the image that was changed since */
	RULE_VOLUME_EXEC,   /* run a file of a volume, or of what else is mounted */
	RULE_FOREIGN_MAP,   /* load code from what is not of the image */
	RULE_PTRACE,	    /* attach to another process, or to its memory */
	RULE_MOUNT,
	RULE_MODULE, /* load a module or a kernel */
	RULE_BPF,
	RULE_CAPABILITY,
	RULE_FILE,   /* open a file of the policy's list */
	RULE_CGROUP, /* write to control groups */
	RULE_SIGNAL, /* send signals to the agent */
	RULES
};

#define TIER_LSM 1
#define TIER_FMOD 2
#define TIER_SIGNAL 3

#define ACTION_DENIED 1
#define ACTION_AUDITED 2
#define ACTION_KILLED 3

#define EPERM 1
#define CGROUP2_SUPER_MAGIC 0x63677270
#define FMODE_WRITE 2
/* Of a file that another one is opened behind: bit 25 when it came with 6.6, 24 since. */
#define FMODE_BACKING (1 << 24 | 1 << 25)
#define PROT_EXEC 4
#define PTRACE_MODE_ATTACH 2
#define CAP_OPT_NOAUDIT 2
#define READING_FIRMWARE 1

struct policy {
	u32 deny;  /* a bit for each rule */
	u32 audit; /* rules that are only reported */
	u64 caps;  /* of RULE_CAPABILITY */
	u64 since; /* ns since boot: who is older is armed */
	u64 list;  /* which of denied_files are its own */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct policy);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} policies SEC(".maps");

/* A bit for each level of the hierarchy that has policies, so that where there is
 * none a hook costs one look, and elsewhere only the ancestors in question are asked. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} policy_levels SEC(".maps");

struct denied_file {
	u64 list;
	u64 inode;
	u32 dev;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct denied_file);
	__type(value, u32);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} denied_files SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u32);
} armed SEC(".maps");

/* Who loops against a rule must not flood the ring: sixteen verdicts a second for
 * each rule and cgroup, of which the next says how many it stands for. */
struct verdict_budget_key {
	u64 cgroup;
	u32 rule;
	u32 action;
};

struct verdict_budget {
	u64 since;
	u32 spent;
	u32 folded;
};

#define BUDGET 16
#define BUDGET_NS 1000000000ull

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct verdict_budget_key);
	__type(value, struct verdict_budget);
} verdict_budgets SEC(".maps");

struct enforced {
	struct header h;
	u32 rule, tier, action, pad;
	u64 value; /* capability, process, command */
	struct traits file;
	struct pathname path;
};
EXPORT(enforced);
EXPORT(policy);
EXPORT(denied_file);

/* Set by the loader: the mount namespace of the runtime, where that is not the one of
 * the machine's first process, and the agent. */
const volatile u32 node_mnt_ns = 0;
const volatile u32 agent_pid = 0;

#define POLICY_LEVELS 32

static __always_inline struct policy *policy_of_current(void)
{
	struct policy *nearest = NULL;
	u32 zero = 0;
	u64 *set = bpf_map_lookup_elem(&policy_levels, &zero);
	u64 levels = set ? *set : 0;
	if (!levels)
		return NULL;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < POLICY_LEVELS; i++) {
		if (!(levels >> i))
			break;
		if (!((levels >> i) & 1))
			continue;
		u64 id = bpf_get_current_ancestor_cgroup_id(i);
		struct policy *p = bpf_map_lookup_elem(&policies, &id);
		if (p)
			nearest = p;
	}
	return nearest;
}

static __always_inline bool in_node_mounts(struct task_struct *t)
{
	u32 own = BPF_CORE_READ(t, nsproxy, mnt_ns, ns.inum);
	if (node_mnt_ns)
		return own == node_mnt_ns;
	/* Whatever namespace a process is in, its first number is the machine's. */
	struct pid_namespace *machine = BPF_CORE_READ(t, thread_pid, numbers[0].ns);
	return own == BPF_CORE_READ(machine, child_reaper, nsproxy, mnt_ns, ns.inum);
}

static __always_inline bool is_armed(struct task_struct *t, struct policy *p)
{
	struct task_struct *leader = t->group_leader;
	if (leader->start_boottime < p->since)
		return true;
	return bpf_task_storage_get(&armed, leader, NULL, 0) != NULL;
}

static __always_inline void arm(struct task_struct *t)
{
	u32 *mark = bpf_task_storage_get(&armed, t, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (mark)
		*mark = 1;
}

/* Whether a verdict is one too many, and of how many others this one tells. */
static __always_inline bool over_budget(u64 cgroup, u32 rule, u32 action, u32 *told)
{
	struct verdict_budget_key k = {.cgroup = cgroup, .rule = rule, .action = action};
	u64 now = bpf_ktime_get_boot_ns();
	struct verdict_budget *b = bpf_map_lookup_elem(&verdict_budgets, &k);
	*told = 0;
	if (!b) {
		struct verdict_budget first = {.since = now, .spent = 1};
		bpf_map_update_elem(&verdict_budgets, &k, &first, BPF_ANY);
		return false;
	}
	if (now - b->since > BUDGET_NS) {
		b->since = now;
		b->spent = 0;
	}
	if (b->spent >= BUDGET) {
		__sync_fetch_and_add(&b->folded, 1);
		return true;
	}
	__sync_fetch_and_add(&b->spent, 1);
	*told = __sync_lock_test_and_set(&b->folded, 0);
	return false;
}

struct object {
	struct vfsmount *mnt;
	struct dentry *dentry;
	struct inode *inode;
	u64 value;
};

static __noinline int report(struct object *o, u32 rule, u32 tier, u32 action)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	u32 told;
	if (!wanted(KIND_VERDICT, cgroup))
		return 0;
	if (over_budget(cgroup, rule, action, &told)) {
		struct counter *c = counter_of(KIND_VERDICT);
		if (c)
			__sync_fetch_and_add(&c->folded, 1);
		return 0;
	}
	struct task_struct *me = bpf_get_current_task_btf();
	struct enforced *e = reserve(ring_node, RING_NODE, struct enforced, me, KIND_VERDICT, cgroup);
	if (!e)
		return 0;
	if (told)
		e->h.count = told + 1;
	e->rule = rule;
	e->tier = tier;
	e->action = action;
	e->pad = 0;
	e->value = o->value;
	__builtin_memset(&e->file, 0, sizeof(e->file));
	e->path.len = 0;
	e->path.truncated = 0;
	e->path.detached = 0;
	if (o->inode) {
		write_traits(&e->file, me, o->mnt, o->dentry, o->inode);
		write_path(&e->path, me, o->mnt, o->dentry);
	}
	submit(e, KIND_VERDICT);
	return 0;
}

/* Says what a policy says of a rule, and tells of it. Zero lets the act go on. */
static __always_inline int judge(struct policy *p, struct object *o, u32 rule, u32 tier)
{
	bool deny = (p->deny >> rule) & 1;
	if (!deny && !((p->audit >> rule) & 1))
		return 0;
	report(o, rule, tier, !deny ? ACTION_AUDITED : tier == TIER_SIGNAL ? ACTION_KILLED : ACTION_DENIED);
	return deny ? -EPERM : 0;
}

/* The file as the task named it: below overlayfs, what is mapped is another one. */
static __always_inline void object_of(struct object *o, struct file *file)
{
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	struct dentry *d = BPF_CORE_READ(file, f_path.dentry);
	if (bpf_core_field_exists(((struct backing_file *)0)->user_path) && BPF_CORE_READ(file, f_mode) & FMODE_BACKING) {
		/* One of the bits means something else where the other one is meant, and
		 * then no path follows: only one on an overlay is believed. */
		struct backing_file *b = (struct backing_file *)file;
		struct dentry *named = BPF_CORE_READ(b, user_path.dentry);
		if (BPF_CORE_READ(named, d_sb, s_magic) == OVERLAYFS_SUPER_MAGIC) {
			mnt = BPF_CORE_READ(b, user_path.mnt);
			d = named;
		}
	}
	o->mnt = mnt;
	o->dentry = d;
	o->inode = BPF_CORE_READ(d, d_inode); /* NULL where d is */
	o->value = 0;
}

#define ORIGIN_IMAGE 0
#define ORIGIN_MODIFIED 1
#define ORIGIN_FOREIGN 2
#define ORIGIN_VOLUME 3

/* Where a file comes from. Only an overlay that was mounted by the node counts as an
 * image: anybody may mount one over files of his own in a user namespace of his own. */
static __always_inline u32 origin_of(struct object *o)
{
	struct inode *inode = o->inode;
	struct super_block *sb = BPF_CORE_READ(inode, i_sb);
	if (BPF_CORE_READ(sb, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return BPF_CORE_READ(inode, i_nlink) == 0 ? ORIGIN_FOREIGN : ORIGIN_VOLUME;
	if (BPF_CORE_READ(sb, s_user_ns, level) != 0)
		return ORIGIN_FOREIGN;
	struct traits f;
	write_traits(&f, bpf_get_current_task_btf(), NULL, o->dentry, inode);
	if (!(f.flags & TRAIT_UPPER))
		return ORIGIN_IMAGE;
	return f.flags & TRAIT_LOWER ? ORIGIN_MODIFIED : ORIGIN_FOREIGN;
}

/* What a program's file may be run for. */
static __always_inline int judge_exec(struct policy *p, struct task_struct *t, struct file *file, u32 tier)
{
	if (!((p->deny | p->audit) & (1 << RULE_FOREIGN_EXEC | 1 << RULE_MODIFIED_EXEC | 1 << RULE_VOLUME_EXEC)))
		return 0;
	if (in_node_mounts(t) && !is_armed(t, p))
		return 0;
	struct object o;
	object_of(&o, file);
	if (!o.inode)
		return 0;
	u32 origin = origin_of(&o);
	if (origin == ORIGIN_IMAGE)
		return 0;
	u32 rule = origin == ORIGIN_FOREIGN ? RULE_FOREIGN_EXEC : origin == ORIGIN_MODIFIED ? RULE_MODIFIED_EXEC : RULE_VOLUME_EXEC;
	return judge(p, &o, rule, tier);
}
