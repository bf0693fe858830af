/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Two ways of saying less without hiding anything. Equal events within a window are
 * folded: the first goes out at once, the others are counted, and the next that goes
 * out after the window carries their number. And a cgroup that has used up its budget
 * of the second is throttled: its events are counted, and internal/probe reports that
 * number (KIND_THROTTLE). Both count as folded in the counters.
 */
#pragma once

#include "budget.h"

struct fold_key {
	u64 cgroup;
	u64 what;
	u64 who;
	u64 where;
};

struct fold {
	u64 since;
	u64 folded;
	u32 pid;
	u32 watched; /* another process's is another event */
};

#define FOLDS(name, entries)                           \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);   \
		__uint(max_entries, entries);          \
		__type(key, struct fold_key);          \
		__type(value, struct fold);            \
	} name SEC(".maps")

static __always_inline void count_folded(u32 kind)
{
	struct counter *c = counter_of(kind);
	if (c)
		c->folded++;
}

/* For what is of no interest once it is known who did it. */
static __always_inline void count_filtered(u32 kind)
{
	struct counter *c = counter_of(kind);
	if (c)
		c->filtered++;
}

/* Returns how many events the one at hand stands for, 0 where it is folded. */
static __always_inline u32 fold(void *map, struct fold_key *k, u64 window, u32 pid, u32 watched)
{
	u64 now = bpf_ktime_get_ns();
	struct fold *f = bpf_map_lookup_elem(map, k);
	if (!f) {
		struct fold first = {.since = now, .pid = pid, .watched = watched};
		bpf_map_update_elem(map, k, &first, BPF_ANY);
		return 1;
	}
	if (now - f->since < window && !(f->watched && f->pid != pid)) {
		__sync_fetch_and_add(&f->folded, 1);
		return 0;
	}
	u64 n = f->folded;
	__sync_fetch_and_add(&f->folded, -n);
	f->since = now;
	f->pid = pid;
	return n + 1;
}
