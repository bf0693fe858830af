/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* How many events of a class a cgroup may have in a second. What is above is counted,
 * and internal/probe reports that number (KIND_THROTTLE). */
#pragma once

#include "event.h"

#define SECOND 1000000000ULL

struct budget_key {
	u64 cgroup;
	u32 ring;
	u32 pad;
};

struct budget {
	u64 since;
	u64 used;
	u64 throttled; /* in all */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct budget_key);
	__type(value, struct budget);
} budgets SEC(".maps");

/* Events of one cgroup and ring in a second. Watched files have a budget of their own,
 * in place of a ring. */
const volatile u32 budget_events = 1500;
const volatile u32 budget_watched = 300;
#define WATCHED RINGS

/* Takes one event from the budget; false where nothing is left. */
static __always_inline bool afford(u64 cgroup, u32 ring)
{
	struct budget_key k = {.cgroup = cgroup, .ring = ring};
	u64 now = bpf_ktime_get_ns();
	struct budget *b = bpf_map_lookup_elem(&budgets, &k);
	if (!b) {
		struct budget first = {.since = now, .used = 1};
		bpf_map_update_elem(&budgets, &k, &first, BPF_ANY);
		return true;
	}
	if (now - b->since >= SECOND) {
		b->since = now;
		b->used = 0;
	}
	if (b->used >= (ring == WATCHED ? budget_watched : budget_events)) {
		__sync_fetch_and_add(&b->throttled, 1);
		return false;
	}
	b->used++;
	return true;
}
