/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Enforcement as a security module. The kernel takes these programs whether it asks
 * them or not: only one that was booted with bpf in lsm= does. */
#define AT(hook, function) "lsm/" #hook
#define TIER TIER_LSM
#define MMAP_PROT 2 /* behind what was asked for */
#include "enforce_hooks.h"
