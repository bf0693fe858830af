/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What stands at the gate of a cgroup: nothing goes in or out, or only to some.
 * These maps and the links of the programs that read them are pinned, so that a
 * gate stays shut while no agent runs. */
#pragma once
#include "net.h"

#define GATE_LEVELS 32

struct gate {
	u32 cut;
	u32 peers; /* PEERS_* */
	u64 list;  /* which entries of peers are its own */
	u32 level; /* of the cgroup, the root being 0 */
	u32 pad;
};
#define PEERS_ON 1
#define PEERS_DENY 2  /* who is not in the list */
#define PEERS_AUDIT 4 /* only say what would be denied */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct gate);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} gates SEC(".maps");

/* A bit for each level that a cgroup with a gate has, so that where there is none
 * a packet costs one look, and elsewhere only the ancestors in question are asked. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} gate_levels SEC(".maps");

static __always_inline u64 levels_with_gates(void)
{
	u32 zero = 0;
	u64 *levels = bpf_map_lookup_elem(&gate_levels, &zero);
	return levels ? *levels : 0;
}

struct standing {
	u64 cut;	    /* the cgroup that is cut, of those that the task is in */
	struct gate *peers; /* the nearest gate with rules */
};

/* What stands at the gates of the current task, outermost first. */
static __always_inline struct standing standing(void)
{
	struct standing out = {};
	u64 levels = levels_with_gates();
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < GATE_LEVELS; i++) {
		if (!(levels >> i))
			break;
		if (!((levels >> i) & 1))
			continue;
		u64 id = bpf_get_current_ancestor_cgroup_id(i);
		struct gate *g = bpf_map_lookup_elem(&gates, &id);
		if (!g)
			continue;
		if (g->cut)
			out.cut = id;
		if (g->peers & PEERS_ON)
			out.peers = g;
	}
	return out;
}
