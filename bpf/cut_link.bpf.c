/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Interfaces that are cut: nothing passes the node's end of a pod's veth, whatever
 * kind of socket it was sent by. */
#include "net.h"

#define TCX_NEXT -1
#define TCX_DROP 2

struct link_cut {
	u64 cut;
	u64 drops;
};
EXPORT(link_cut);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct link_cut);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} link_cuts SEC(".maps");

static __always_inline int filter(struct __sk_buff *skb)
{
	u32 ifindex = skb->ifindex;
	struct link_cut *c = bpf_map_lookup_elem(&link_cuts, &ifindex);
	if (!c || !c->cut)
		return TCX_NEXT;
	__sync_fetch_and_add(&c->drops, 1);
	return TCX_DROP;
}

SEC("tcx/ingress")
int link_in(struct __sk_buff *skb)
{
	return filter(skb);
}

SEC("tcx/egress")
int link_out(struct __sk_buff *skb)
{
	return filter(skb);
}
