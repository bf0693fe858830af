/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What a program at the end of a system call needs: which call it was, and what it
 * was given. Numbers are turned into places of a table that the loader fills: the
 * machine's own calls from 0, those of 32-bit programs from COMPAT. Such calls
 * (int 0x80 in any program of x86, AArch32 programs on arm64) have other numbers and
 * come in other registers, and are looked at like all others.
 */
#pragma once

#include "event.h"

#define COMPAT 512
#define CALLS 1024
#define ARGS 6

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long bp, bx, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
};
struct thread_info {
	u32 status;
};
#define TS_COMPAT 0x0002
#define X32_BIT 0x40000000 /* programs with 32-bit pointers that use the machine's numbers */
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
};
struct thread_info {
	unsigned long flags;
};
#define TIF_32BIT (1UL << 22)
#else
#error "no system calls are known of this machine"
#endif

struct task_struct___info {
	struct thread_info thread_info;
};

#pragma clang attribute pop

struct args {
	u64 of[8]; /* six, and two that are never asked for, so that an index can be masked */
};

static __always_inline bool is_compat(struct task_struct *t)
{
	struct task_struct___info *i = (void *)t;
#if defined(__TARGET_ARCH_x86)
	return i->thread_info.status & TS_COMPAT;
#else
	return i->thread_info.flags & TIF_32BIT;
#endif
}

/* The place of a call in the tables, CALLS where there is none. */
static __always_inline u32 call_index(struct pt_regs *regs, struct task_struct *t)
{
#if defined(__TARGET_ARCH_x86)
	u64 nr = regs->orig_ax;
	/* No number, not even a wrong one, is that of a return from a signal. */
	nr &= ~(u64)X32_BIT;
#else
	u64 nr = (u32)regs->syscallno;
#endif
	if (nr >= COMPAT)
		return CALLS;
	return is_compat(t) ? nr + COMPAT : nr;
}

static __always_inline void read_args(struct args *a, struct pt_regs *regs, bool compat)
{
#if defined(__TARGET_ARCH_x86)
	if (compat) {
		a->of[0] = (u32)regs->bx;
		a->of[1] = (u32)regs->cx;
		a->of[2] = (u32)regs->dx;
		a->of[3] = (u32)regs->si;
		a->of[4] = (u32)regs->di;
		a->of[5] = (u32)regs->bp;
	} else {
		a->of[0] = regs->di;
		a->of[1] = regs->si;
		a->of[2] = regs->dx;
		a->of[3] = regs->r10;
		a->of[4] = regs->r8;
		a->of[5] = regs->r9;
	}
#else
	/* The result has taken the place of the first. */
	a->of[0] = regs->orig_x0;
	a->of[1] = regs->regs[1];
	a->of[2] = regs->regs[2];
	a->of[3] = regs->regs[3];
	a->of[4] = regs->regs[4];
	a->of[5] = regs->regs[5];
	if (compat)
		for (int i = 0; i < ARGS; i++)
			a->of[i] = (u32)a->of[i];
#endif
	a->of[6] = 0;
	a->of[7] = 0;
}

static __always_inline struct file *file_of(struct task_struct *t, u32 fd)
{
	struct fdtable *fdt = BPF_CORE_READ(t, files, fdt);
	struct file *f = NULL;
	if (fdt && fd < BPF_CORE_READ(fdt, max_fds)) {
		struct file **fds = BPF_CORE_READ(fdt, fd);
		bpf_probe_read_kernel(&f, sizeof(f), &fds[fd]);
	}
	return f;
}

/* What a call says when it was refused, not merely in vain. */
static __always_inline bool refused(long ret)
{
	return ret == -1 /* EPERM */ || ret == -13 /* EACCES */ || ret == -30 /* EROFS */;
}
