/*
 * Wherever a thread is interrupted while its CPU's stacks are half changed, the instruction lies in
 * a fast path (mm_in_fast_path()): so it is not pre-empted there, and nobody else finds them so.
 * Each way in and out, and each function around them, is stopped after every one of its
 * instructions; a copy of a fast path that a compiler put elsewhere would be found.
 *
 * On the host, where an interrupt can be made to come at an instruction.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <tests/host/interrupts.h>

#include "tests/test.h"

#define SIZE 100u
#define NR 3u

static struct kmem_cache *cache;
static void *held[NR];
static struct page *pages[NR];
static volatile size_t size = SIZE;
static u64 nr_half_done;

/* The hottest of the threads' objects and pages are free, or there are none. */
static bool stacks_are_whole(void)
{
	const struct magazine_slot *object = cpu_objects_of(cache, CONTEXT_THREADS)->top;
	const struct cpu_pages *cpu = cpu_pages_of(CONTEXT_THREADS);
	struct page *const *page = cpu->stack[0][0].top;

	if (object->object != NULL && *object->tag != TAG_IN_MAGAZINE)
		return false;
	return page == page_stack_base(&cpu->stack[0][0], 0) || (*page)->type == PAGE_CACHED;
}

static void look(void *unused)
{
	(void)unused;
	if (stacks_are_whole())
		return;
	nr_half_done++;
	EXPECT_TRUE(mm_in_fast_path(host_interrupted_at()));
}

/* --- what is stepped through --- */

static void kmalloc_and_kfree(void)
{
	kfree(kmalloc(size, GFP_KERNEL));
}

static void kzalloc_and_sensitive(void)
{
	kfree_sensitive(kzalloc(size, GFP_KERNEL));
}

static void any_flags(void)
{
	kfree(kmalloc_any(size, GFP_KERNEL, ALLOC_TAG()));
}

static void arrays_and_copies(void)
{
	static const u8 source[SIZE];

	kfree(kcalloc(size / 4, 4, GFP_KERNEL));
	kfree(kmemdup(source, size, GFP_KERNEL));
}

static void of_a_cache(void)
{
	kmem_cache_free(cache, kmem_cache_alloc(cache, GFP_KERNEL));
	kmem_cache_free(cache, kmem_cache_zalloc(cache, GFP_KERNEL));
}

static void in_bulk(void)
{
	(void)kmem_cache_alloc_bulk(cache, GFP_KERNEL, NR, held);
	kmem_cache_free_bulk(cache, NR, held);
}

static void moved(void)
{
	kfree(krealloc(krealloc(NULL, size, GFP_KERNEL), 2 * size, GFP_KERNEL));
}

static void of_a_node(void)
{
	kfree(kmalloc_node(size, GFP_KERNEL, 0));
	free_pages(alloc_pages_node(0, GFP_KERNEL, 0), 0);
}

static void single_pages(void)
{
	free_page(alloc_page(GFP_KERNEL));
	free_pages(alloc_pages(GFP_KERNEL, 0), 0);
}

static void pages_in_bulk(void)
{
	free_pages_bulk(alloc_pages_bulk(GFP_KERNEL, NR, pages), pages);
}

static void step_through(void (*work)(void))
{
	u64 where;

	work(); /* fills the stacks */
	nr_half_done = 0;
	host_interrupt_step_begin(HOST_INTERRUPT_EVERY_STEP, look, NULL);
	work();
	(void)host_interrupt_step_end(&where);
}

TEST(context_interrupt, stacks_are_half_changed_in_fast_paths_alone)
{
	static void (*const works[])(void) = {
	    kmalloc_and_kfree,
	    kzalloc_and_sensitive,
	    any_flags,
	    arrays_and_copies,
	    of_a_cache,
	    in_bulk,
	    moved,
	    of_a_node,
	    single_pages,
	    pages_in_bulk,
	};

	cache = kmalloc_cache[(SIZE - 1) / 16];
	for (unsigned i = 0; i < ARRAY_SIZE(works); i++) {
		step_through(works[i]);
		/* The bulk calls pop with interrupts off. */
		if (works[i] != in_bulk && works[i] != pages_in_bulk)
			EXPECT_GT(nr_half_done, 0);
	}
}
#endif
