/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Enforcement in place of the functions that ask security modules, for kernels that
 * were booted without bpf in lsm=. */
#define AT(hook, function) "fmod_ret/security_" #function
#define TIER TIER_FMOD
#define MMAP_PROT 1
#include "enforce_hooks.h"
