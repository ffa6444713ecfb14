/*
 * See vmalloc_load.h. The shapes are those of Linux's lib/test_vmalloc.c (sizes, alignments, what
 * is freed when); the numbers of areas are smaller, so that a machine of 16 MiB has room for them.
 *
 * vmalloc() takes no alignment: areas of 2 MiB and more are aligned to that, others to a page. The
 * arenas below it take any, so the aligned cases are theirs.
 *
 * On the host nothing can be touched at an area's address: there the page tables are read.
 */
#include "vmalloc_load.h"

#include <lib/bits.h>
#include <mm/mm.h>

#if __STDC_HOSTED__
#include "walker.h"

#include <mm/pt.h>

static u64 *word_at(const char *p)
{
	struct walk_result r = walker_translate(platform_page_tables()->root_pa, (u64)p);

	return r.present ? phys_to_virt(r.pa) : NULL;
}
#else
static u64 *word_at(const char *p)
{
	return (u64 *)p;
}
#endif

/* --- areas --- */

enum { ENDS = 2 };

static u64 *end_of(char *p, u64 bytes, unsigned end)
{
	return word_at(end == 0 ? p : p + bytes - sizeof(u64));
}

static void stamp(struct vmalloc_load *l, char *p, u64 bytes)
{
	for (unsigned end = 0; end < ENDS; end++) {
		u64 *word = end_of(p, bytes, end);

		if (word == NULL)
			l->nr_wrong++;
		else
			*word = ((u64)p ^ bytes) + end;
	}
}

static void verify(struct vmalloc_load *l, char *p, u64 bytes)
{
	for (unsigned end = 0; end < ENDS; end++) {
		u64 *word = end_of(p, bytes, end);

		l->nr_wrong += word == NULL || *word != ((u64)p ^ bytes) + end;
	}
}

static void *counted(struct vmalloc_load *l, void *p)
{
	if (p == NULL)
		l->nr_none++;
	else
		l->nr_had++;
	return p;
}

static void *take(struct vmalloc_load *l, u64 nr_pages, gfp_t gfp)
{
	void *p = counted(l, __vmalloc(nr_pages * PAGE_SIZE, gfp | __GFP_NOWARN));

	if (p != NULL)
		stamp(l, p, nr_pages * PAGE_SIZE);
	return p;
}

static void drop(struct vmalloc_load *l, void *p, u64 nr_pages)
{
	if (p != NULL)
		verify(l, p, nr_pages * PAGE_SIZE);
	kvfree(p);
}

/* --- the cases --- */

void load_fix_size_alloc(struct vmalloc_load *l)
{
	for (unsigned i = 0; i < l->loops; i++)
		drop(l, take(l, 3, GFP_KERNEL), 3);
}

/* Holes of exactly one page with its guard, each taken again. */
void load_full_fit_alloc(struct vmalloc_load *l)
{
	void *p[64];

	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = take(l, 1, GFP_KERNEL);
	for (unsigned i = 1; i < ARRAY_SIZE(p); i += 2)
		drop(l, p[i], 1);
	for (unsigned i = 0; i < l->loops; i++)
		drop(l, take(l, 1, GFP_KERNEL), 1);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i += 2)
		drop(l, p[i], 1);
}

void load_long_busy_list_alloc(struct vmalloc_load *l)
{
	void *busy[100], *large, *small;

	for (unsigned i = 0; i < ARRAY_SIZE(busy); i++)
		busy[i] = take(l, 1, GFP_KERNEL);
	for (unsigned i = 0; i < l->loops; i++) {
		large = take(l, 100, GFP_KERNEL);
		small = take(l, 1, GFP_KERNEL);
		drop(l, large, 100);
		drop(l, small, 1);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(busy); i++)
		drop(l, busy[i], 1);
}

void load_random_size_alloc(struct vmalloc_load *l)
{
	for (unsigned i = 0; i < l->loops; i++) {
		u64 nr_pages = 1 + rng_below(&l->rng, 100);

		drop(l, take(l, nr_pages, GFP_KERNEL), nr_pages);
	}
}

/* The next one's place is free before this one's is, as after a grace period; whoever comes by
 * frees it, half of them as a handler would: with interrupts off. */
static void *waiting[8];

static void put_off(struct vmalloc_load *l, void *p)
{
	void **slot = &waiting[rng_below(&l->rng, ARRAY_SIZE(waiting))];
	u64 flags;

	p = __atomic_exchange_n(slot, p, __ATOMIC_ACQ_REL);
	if (rng_below(&l->rng, 2) == 0) {
		drop(l, p, 1);
		return;
	}
	flags = irq_save();
	drop(l, p, 1);
	irq_restore(flags);
}

void load_kvfree_later(struct vmalloc_load *l)
{
	for (unsigned i = 0; i < l->loops; i++)
		put_off(l, take(l, 1, GFP_KERNEL));
}

void vmalloc_load_finish(struct vmalloc_load *l)
{
	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++) {
		drop(l, waiting[i], 1);
		waiting[i] = NULL;
	}
}

void load_vm_map_ram(struct vmalloc_load *l)
{
	struct page *page[16];
	size_t nr = alloc_pages_bulk(GFP_KERNEL | __GFP_NOWARN, ARRAY_SIZE(page), page);

	for (unsigned i = 0; i < l->loops && nr != 0; i++) {
		size_t n = 1 + rng_below(&l->rng, nr);
		char *p = counted(l, vmap(page, n, VM_WRITE));

		if (p == NULL)
			continue;
		stamp(l, p, n * PAGE_SIZE);
		l->nr_wrong += *(u64 *)page_address(page[0]) != ((u64)p ^ n * PAGE_SIZE);
		verify(l, p, n * PAGE_SIZE);
		vunmap(p);
	}
	free_pages_bulk(nr, page);
}

/* Under a lock, with interrupts off. */
void load_no_block_alloc(struct vmalloc_load *l)
{
	struct spinlock lock = SPINLOCK_INIT("load");

	for (unsigned i = 0; i < l->loops; i++) {
		u64 flags = spin_lock_irq(&lock);
		void *p = take(l, 1, rng_below(&l->rng, 2) ? GFP_NOWAIT : GFP_ATOMIC);

		spin_unlock_irq(&lock, flags);
		drop(l, p, 1);
	}
}

/* --- aligned --- */

#define SPACE (1ull << 40) /* where the arena begins, and how large it is */

static struct vmem *arena_create(void)
{
	return vmem_create("load", SPACE, SPACE, PAGE_SIZE, NULL, NULL, NULL, 0, GFP_KERNEL);
}

/* Whether there was such a segment. */
static bool segment(struct vmalloc_load *l, struct vmem *v, u64 nr_pages, u64 align)
{
	u64 size = nr_pages * PAGE_SIZE;
	u64 at = vmem_xalloc(v, size, align, 0, 0, 0, 0, GFP_KERNEL | __GFP_NOWARN);

	if (at == 0)
		return false;
	l->nr_had++;
	l->nr_wrong += at % align != 0 || at < SPACE || at + size > 2 * SPACE;
	vmem_xfree(v, at, size);
	return true;
}

/* Nothing may be left of the arena. */
static void arena_end(struct vmalloc_load *l, struct vmem *v)
{
	l->nr_wrong += vmem_size(v, VMEM_ALLOC) != 0 || vmem_check(v) != NULL;
	l->nr_wrong += vmem_destroy(v) != 0;
}

void load_fix_align_alloc(struct vmalloc_load *l)
{
	struct vmem *v = counted(l, arena_create());

	for (unsigned i = 0; i < l->loops && v != NULL; i++)
		l->nr_none += !segment(l, v, 5, 32 * KIB);
	if (v != NULL)
		arena_end(l, v);
}

void load_random_size_align_alloc(struct vmalloc_load *l)
{
	struct vmem *v = counted(l, arena_create());

	for (unsigned i = 0; i < l->loops && v != NULL; i++)
		l->nr_none +=
		    !segment(l, v, 1 + rng_below(&l->rng, 10), 1ull << rng_below(&l->rng, 23));
	if (v != NULL)
		arena_end(l, v);
}

/* Every alignment that a number can say: up to the arena's own there is one, beyond none. */
void load_align_shift_alloc(struct vmalloc_load *l)
{
	struct vmem *v = counted(l, arena_create());

	for (unsigned shift = 0; shift < 64 && v != NULL; shift++)
		l->nr_wrong += segment(l, v, 1, 1ull << shift) != (1ull << shift <= SPACE);
	if (v != NULL)
		arena_end(l, v);
}

/* --- all --- */

void vmalloc_load_all(struct vmalloc_load *l)
{
	static void (*const all[])(struct vmalloc_load *) = {
	    load_fix_size_alloc,    load_full_fit_alloc,  load_long_busy_list_alloc,
	    load_random_size_alloc, load_fix_align_alloc, load_random_size_align_alloc,
	    load_align_shift_alloc, load_kvfree_later,    load_vm_map_ram,
	    load_no_block_alloc};
	u8 order[ARRAY_SIZE(all)];

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		u64 j = rng_below(&l->rng, i + 1); /* Fisher and Yates, from the inside out */

		order[i] = order[j];
		order[j] = (u8)i;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		all[order[i]](l);
}
