/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A cgroup that is cut reaches no unix socket either: the container runtime's and
 * other daemons' lie on mounts. */
#include "cut.h"

SEC("cgroup/connect_unix")
int cut_connect_unix(struct bpf_sock_addr *ctx)
{
	return !levels_with_gates() || !standing().cut;
}

SEC("cgroup/sendmsg_unix")
int cut_sendmsg_unix(struct bpf_sock_addr *ctx)
{
	return !levels_with_gates() || !standing().cut;
}
