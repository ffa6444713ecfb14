/*
 * Loads of virtually contiguous memory: what the cases of Linux's lib/test_vmalloc.c do, each under
 * its name there (docs/vmalloc.md has the list, and what became of those that are not here). Each
 * area is stamped at both ends when it is had, and verified before it is freed, so that two areas
 * that share a page are noticed.
 *
 * Loads may run on several CPUs at once, each with its own record: no macro of the tests is used.
 */
#pragma once

#include <lib/rng.h>
#include <lib/types.h>

struct vmalloc_load {
	struct rng rng;
	unsigned loops;
	u64 nr_had;   /* areas and segments */
	u64 nr_none;  /* requests that had NULL for an answer, or 0 */
	u64 nr_wrong; /* areas with others' contents; segments where they may not be */
};

void load_fix_size_alloc(struct vmalloc_load *l);
void load_full_fit_alloc(struct vmalloc_load *l);
void load_long_busy_list_alloc(struct vmalloc_load *l);
void load_random_size_alloc(struct vmalloc_load *l);
void load_fix_align_alloc(struct vmalloc_load *l);
void load_random_size_align_alloc(struct vmalloc_load *l);
void load_align_shift_alloc(struct vmalloc_load *l); /* whatever `loops` is */
void load_kvfree_later(struct vmalloc_load *l);      /* kvfree_rcu_1_arg, kvfree_rcu_2_arg */
void load_vm_map_ram(struct vmalloc_load *l);
void load_no_block_alloc(struct vmalloc_load *l);

/* All of them, in an order of the generator's. */
void vmalloc_load_all(struct vmalloc_load *l);

/* Frees what load_kvfree_later() left to be freed later. All CPUs have ended. */
void vmalloc_load_finish(struct vmalloc_load *l);
