/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Files that are opened, seen where the kernel asks its security modules: whoever
 * asks for it, io_uring too, and with the flags as they were given. Kernels that let
 * functions be traced run this instead of the part of file.bpf.c that looks at
 * descriptors.
 */
#include "opened.h"

#define OPEN_TO_EXEC 0x20	  /* __FMODE_EXEC: exec tells of it */
#define FMODE_NOACCOUNT 0x20000000 /* what a file system opens for itself, such as overlayfs its layers */

SEC("fentry/security_file_open")
int BPF_PROG(on_file_open, struct file *file)
{
	struct task_struct *t = bpf_get_current_task_btf();
	u32 flags = file->f_flags;
	if (t->flags & PF_KTHREAD || flags & OPEN_TO_EXEC)
		return 0;
	struct place p;
	place_of(&p, file);
	if (p.mode & (FMODE_NOACCOUNT | FMODE_PATH))
		return 0;
	struct args none = {};
	bool created = p.mode & FMODE_CREATED;
	u32 kind = p.mode & FMODE_WRITE || flags & O_TRUNC || created ? KIND_WRITE : KIND_OPEN;
	return report_file(t, kind, CALLS, &p, &none, flags, 0, kind == KIND_WRITE ? window_write : window_read, created);
}
