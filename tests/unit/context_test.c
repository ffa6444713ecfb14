/*
 * Execution contexts by hand: which one is current, how they nest, and that what one of them
 * allocates in the middle of another's work is its own. Interrupts that really come:
 * context_interrupt_test.c.
 */
#include "mm/internal.h"
#include "tests/model/expect.h"

#include <mm/mm.h>
#include <tests/test.h>

TEST(context, each_cpu_has_two)
{
	EXPECT_EQ(mm_nr_contexts(), mm_nr_cpus * NR_CONTEXT_KINDS);
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		EXPECT_EQ(mm_context_of(id)->id, id);
		EXPECT_EQ(mm_context_of(id)->offset, id * CONTEXT_STRIDE);
	}
	EXPECT_PANIC("assert", mm_context_of(mm_nr_contexts()));
}

TEST(context, tests_run_in_a_threads_one)
{
	EXPECT_EQ(mm_this(id), cpu_id() * NR_CONTEXT_KINDS + CONTEXT_THREADS);
	EXPECT_EQ(mm_this(offset), mm_this(id) * CONTEXT_STRIDE);
}

TEST(context, enter_and_leave_nest)
{
	u64 flags = irq_save(), threads = mm_this(id);
	struct mm_context outer = mm_context_enter(CONTEXT_INTERRUPTS), inner;

	EXPECT_EQ(outer.id, threads);
	EXPECT_EQ(mm_this(id), threads + 1);
	EXPECT_EQ(mm_this(offset), (threads + 1) * CONTEXT_STRIDE);
	EXPECT_TRUE(mm_this(pages) == mm_context_of((unsigned)threads + 1)->pages);
	inner = mm_context_enter(CONTEXT_INTERRUPTS); /* as where a handler's code is called */
	EXPECT_EQ(inner.id, threads + 1);
	EXPECT_EQ(mm_this(id), threads + 1);
	mm_context_leave(inner);
	EXPECT_EQ(mm_this(id), threads + 1);
	mm_context_leave(outer);
	EXPECT_EQ(mm_this(id), threads);
	EXPECT_TRUE(mm_this(pages) == mm_context_of((unsigned)threads)->pages);
	irq_restore(flags);
}

TEST(context, code_of_fast_paths_is_known)
{
	EXPECT_TRUE(mm_in_fast_path((u64)(void *)slab_alloc));
	EXPECT_TRUE(mm_in_fast_path((u64)(void *)kfree));
	EXPECT_TRUE(mm_in_fast_path((u64)(void *)kmem_cache_free));
	EXPECT_TRUE(mm_in_fast_path((u64)(void *)alloc_hot_page));
	EXPECT_TRUE(mm_in_fast_path((u64)(void *)free_hot_page));
	EXPECT_FALSE(mm_in_fast_path((u64)(void *)kmem_cache_destroy));
	EXPECT_FALSE(mm_in_fast_path((u64)(void *)mm_in_fast_path));
	EXPECT_FALSE(mm_in_fast_path(0));
	EXPECT_FALSE(mm_in_fast_path(UINT64_MAX));
}

extern const char __start_mm_fast_text[], __stop_mm_fast_text[]; /* the linker's */

TEST(context, fast_paths_from_their_first_byte_to_their_last)
{
	u64 start = (u64)__start_mm_fast_text, stop = (u64)__stop_mm_fast_text;

	ASSERT_LT(start, stop);
	EXPECT_FALSE(mm_in_fast_path(start - 1));
	EXPECT_TRUE(mm_in_fast_path(start));
	EXPECT_TRUE(mm_in_fast_path(stop - 1));
	EXPECT_FALSE(mm_in_fast_path(stop));
}

/* What a thread freed last is its own: a handler gets another, and each frees into its own. */
TEST(context, what_is_freed_in_one_is_not_handed_out_in_the_other)
{
	void *mine = kmalloc(96, GFP_KERNEL), *guests;
	struct page *page = alloc_page(GFP_KERNEL), *guests_page;
	u64 flags;
	struct mm_context former;

	ASSERT_NOT_NULL(mine);
	ASSERT_NOT_NULL(page);
	flags = irq_save();
	former = mm_context_enter(CONTEXT_INTERRUPTS);
	guests = kmalloc(96, GFP_ATOMIC);
	guests_page = alloc_page(GFP_ATOMIC);
	EXPECT_NOT_NULL(guests);
	EXPECT_NOT_NULL(guests_page);
	EXPECT_TRUE(guests != mine);
	EXPECT_TRUE(guests_page != page);
	kfree(mine); /* frees may come from anywhere */
	mm_context_leave(former);
	irq_restore(flags);
	EXPECT_SOUND(mm_check());
	kfree(guests);
	if (guests_page != NULL)
		free_page(guests_page);
	free_page(page);
}
