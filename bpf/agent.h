/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Which process the agent is: programs outlive it, so it is written into a map and
 * not into them. */
#pragma once

#include "event.h"

struct agent {
	u64 alive; /* when it last read events, ns since boot */
	u32 pid;   /* in the node's PID namespace, 0 where it ended in order */
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct agent);
} guarded SEC(".maps");

/* Counts an attempt at the agent: no interest of anybody's filters that. */
static __always_inline void count_attempt(u32 kind)
{
	struct counter *c = counter_of(kind);
	if (c)
		__sync_fetch_and_add(&c->attempts, 1);
}

static __always_inline u32 agent_pid(void)
{
	u32 zero = 0;
	struct agent *a = bpf_map_lookup_elem(&guarded, &zero);
	return a ? a->pid : 0;
}
