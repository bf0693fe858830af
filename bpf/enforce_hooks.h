/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The hooks at which the kernel asks. They are the same where it asks a security
 * module (AT is its hook) and where the asking function itself is made to refuse. */
#pragma once

#include "enforce.h"

SEC(AT(bprm_check_security, bprm_check))
int BPF_PROG(check_exec, struct linux_binprm *bprm)
{
	struct policy *p = policy_of_current();
	if (!p)
		return 0;
	return judge_exec(p, bpf_get_current_task_btf(), bprm->file, TIER);
}

static __always_inline int judge_map(struct file *file)
{
	struct policy *p = policy_of_current();
	if (!p || !((p->deny | p->audit) >> RULE_FOREIGN_MAP & 1))
		return 0;
	struct task_struct *t = bpf_get_current_task_btf();
	if (in_node_mounts(t) && !is_armed(t, p))
		return 0;
	struct object o;
	object_of(&o, file);
	if (!o.inode || origin_of(&o) != ORIGIN_FOREIGN)
		return 0;
	return judge(p, &o, RULE_FOREIGN_MAP, TIER);
}

SEC(AT(mmap_file, mmap_file))
int BPF_PROG(check_mmap, struct file *file)
{
	if (!(ctx[MMAP_PROT] & PROT_EXEC) || !file)
		return 0;
	return judge_map(file);
}

SEC(AT(file_mprotect, file_mprotect))
int BPF_PROG(check_mprotect, struct vm_area_struct *vma, unsigned long reqprot, unsigned long prot)
{
	if (!(prot & PROT_EXEC))
		return 0;
	struct file *file = BPF_CORE_READ(vma, vm_file);
	if (!file)
		return 0;
	return judge_map(file);
}

/* The policy of the current task, if it has a say in a rule and the task is armed. */
static __always_inline struct policy *policy_on(u32 rule)
{
	struct policy *p = policy_of_current();
	if (!p || !((p->deny | p->audit) >> rule & 1) || !is_armed(bpf_get_current_task_btf(), p))
		return NULL;
	return p;
}

static __always_inline int judge_value(u32 rule, u64 value)
{
	struct policy *p = policy_on(rule);
	if (!p)
		return 0;
	struct object o = {.value = value};
	return judge(p, &o, rule, TIER);
}

SEC(AT(ptrace_access_check, ptrace_access_check))
int BPF_PROG(check_ptrace, struct task_struct *child, unsigned int mode)
{
	u32 pid = child->tgid;
	if (!(mode & PTRACE_MODE_ATTACH) || pid == bpf_get_current_pid_tgid() >> 32)
		return 0;
	return judge_value(RULE_PTRACE, pid);
}

static __always_inline int judge_mount(const struct path *at)
{
	struct policy *p = policy_on(RULE_MOUNT);
	if (!p)
		return 0;
	struct dentry *d = BPF_CORE_READ(at, dentry);
	struct object o = {.mnt = BPF_CORE_READ(at, mnt), .dentry = d, .inode = BPF_CORE_READ(d, d_inode)};
	return judge(p, &o, RULE_MOUNT, TIER);
}

SEC(AT(sb_mount, sb_mount))
int BPF_PROG(check_mount, const char *dev, const struct path *at)
{
	return judge_mount(at);
}

SEC(AT(move_mount, move_mount))
int BPF_PROG(check_move_mount, const struct path *from, const struct path *to)
{
	return judge_mount(to);
}

/* A file system can be used through fsmount(2) before it is mounted anywhere, so it is
 * refused as it comes to be. */
SEC(AT(sb_set_mnt_opts, sb_set_mnt_opts))
int BPF_PROG(check_new_mount, struct super_block *sb)
{
	return judge_value(RULE_MOUNT, 0);
}

SEC(AT(sb_umount, sb_umount))
int BPF_PROG(check_umount, struct vfsmount *mnt)
{
	return judge_value(RULE_MOUNT, 0);
}

SEC(AT(kernel_read_file, kernel_read_file))
int BPF_PROG(check_read, struct file *file, int id)
{
	return id == READING_FIRMWARE ? 0 : judge_value(RULE_MODULE, id);
}

SEC(AT(kernel_load_data, kernel_load_data))
int BPF_PROG(check_load, int id)
{
	return id == READING_FIRMWARE ? 0 : judge_value(RULE_MODULE, id);
}

SEC(AT(bpf, bpf))
int BPF_PROG(check_bpf, int command)
{
	return judge_value(RULE_BPF, command);
}

SEC(AT(capable, capable))
int BPF_PROG(check_capable, const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts)
{
	struct policy *p = policy_on(RULE_CAPABILITY);
	if (!p || !(p->caps >> (cap & 63) & 1))
		return 0;
	/* The kernel acts in another's name, as overlayfs does when it makes a file. */
	struct task_struct *t = bpf_get_current_task_btf();
	if (BPF_CORE_READ(t, cred) != BPF_CORE_READ(t, real_cred))
		return 0;
	if (opts & CAP_OPT_NOAUDIT) /* the kernel only wonders: nothing to tell of */
		return (p->deny >> RULE_CAPABILITY) & 1 ? -EPERM : 0;
	struct object o = {.value = cap};
	return judge(p, &o, RULE_CAPABILITY, TIER);
}

SEC(AT(file_open, file_open))
int BPF_PROG(check_open, struct file *file)
{
	struct policy *p = policy_of_current();
	if (!p || !((p->deny | p->audit) & (1 << RULE_FILE | 1 << RULE_CGROUP)))
		return 0;
	struct task_struct *t = bpf_get_current_task_btf();
	if (!is_armed(t, p))
		return 0;
	struct object o;
	object_of(&o, file);
	if (!o.inode)
		return 0;
	struct inode *inode = o.inode;
	struct super_block *sb = BPF_CORE_READ(inode, i_sb);
	struct denied_file k = {.list = p->list, .inode = BPF_CORE_READ(inode, i_ino), .dev = BPF_CORE_READ(sb, s_dev)};
	if ((p->deny | p->audit) >> RULE_FILE & 1 && bpf_map_lookup_elem(&denied_files, &k))
		return judge(p, &o, RULE_FILE, TIER);
	if (BPF_CORE_READ(sb, s_magic) == CGROUP2_SUPER_MAGIC && BPF_CORE_READ(file, f_mode) & FMODE_WRITE)
		return judge(p, &o, RULE_CGROUP, TIER);
	return 0;
}

SEC(AT(task_kill, task_kill))
int BPF_PROG(check_kill, struct task_struct *target, void *info, int sig)
{
	if (sig == 0 || !agent_pid || target->tgid != agent_pid)
		return 0;
	return judge_value(RULE_SIGNAL, sig);
}
