/*
 * How many full magazines a depot keeps (mm/slab_kept.c): more where objects go from one context
 * to another, as many as are missed, and no more than that when they no longer do. The other
 * context is the handlers' of this CPU: which one it is makes no difference.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/plain_cache.h"

#define MAGAZINES 20u

static struct kmem_cache *c;
static void *objects[MAGAZINES * MAGAZINE_SLOTS];

static void open(size_t size)
{
	c = plain_cache_create("learning", size, 0, 0);
	ASSERT_NOT_NULL(c);
}

static void close(void)
{
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static unsigned wave(void)
{
	return MAGAZINES * c->capacity;
}

static void alloc_all(void)
{
	for (unsigned i = 0; i < wave(); i++)
		ASSERT_NOT_NULL(objects[i] = kmem_cache_alloc(c, GFP_ATOMIC));
}

static void free_all(void)
{
	for (unsigned i = 0; i < wave(); i++)
		kmem_cache_free(c, objects[i]);
}

static void free_all_in_handler(void)
{
	u64 flags = irq_save();
	struct mm_context former = mm_context_enter(CONTEXT_INTERRUPTS);

	free_all();
	mm_context_leave(former);
	irq_restore(flags);
}

TEST(depot_learning, one_context_teaches_it_nothing)
{
	open(64);
	for (unsigned i = 0; i < 5; i++) {
		alloc_all();
		free_all();
		EXPECT_EQ(c->depot.extra, 0);
		EXPECT_LE(c->depot.nr_full * c->capacity * 128, wave());
	}
	close();
}

/* The handlers' two magazines are full from the first wave on. What it refused there it would have
 * had for the second; what it refused then, for the third. */
TEST(depot_learning, it_keeps_what_another_context_missed)
{
	open(64);
	alloc_all();
	free_all_in_handler();
	EXPECT_EQ(c->depot.nr_refused, MAGAZINES - 2);
	EXPECT_EQ(c->depot.nr_full, 0);
	alloc_all();
	EXPECT_EQ(c->depot.extra, MAGAZINES - 2);
	EXPECT_EQ(c->depot.nr_refused, 0);
	free_all_in_handler();
	EXPECT_EQ(c->depot.nr_full, MAGAZINES - 2);
	EXPECT_EQ(c->depot.nr_refused, 2);
	alloc_all();
	EXPECT_EQ(c->depot.extra, MAGAZINES);
	free_all_in_handler();
	EXPECT_EQ(c->depot.nr_full, MAGAZINES);
	EXPECT_EQ(c->depot.nr_refused, 0);
	EXPECT_SOUND(kmem_cache_check(c));
	close();
}

static void learn(void)
{
	for (unsigned i = 0; i < 3; i++) {
		alloc_all();
		free_all_in_handler();
	}
}

/* Then nothing but whole magazines moves: a lock for each, and no slab is made or given back. */
TEST(depot_learning, what_it_keeps_spares_the_slabs)
{
	u64 nr_slabs;
	u32 locks;

	open(64);
	learn();
	nr_slabs = c->nr_slabs;
	locks = spin_nr_taken(&c->lock);
	alloc_all();
	free_all_in_handler();
	EXPECT_EQ(spin_nr_taken(&c->lock), locks + 2 * MAGAZINES);
	EXPECT_EQ(c->nr_slabs, nr_slabs);
	close();
}

/* Two thirds of what it learned is not used any more; the interval is 256 trips. */
TEST(depot_learning, it_forgets_what_is_not_used)
{
	u32 used = MAGAZINES / 3, nr;

	open(64);
	nr = used * c->capacity;
	learn();
	ASSERT_EQ(c->depot.extra, MAGAZINES);
	for (unsigned i = 0; i < 2 * 256 / used; i++) {
		for (unsigned k = 0; k < nr; k++)
			ASSERT_NOT_NULL(objects[k] = kmem_cache_alloc(c, GFP_KERNEL));
		for (unsigned k = 0; k < nr; k++)
			kmem_cache_free(c, objects[k]);
	}
	EXPECT_LE(c->depot.extra, used);
	close();
}

TEST(depot_learning, it_forgets_all_when_it_is_emptied)
{
	open(64);
	learn();
	EXPECT_GT(c->depot.extra, 0);
	kmem_cache_shrink(c);
	EXPECT_EQ(c->depot.extra, 0);
	EXPECT_EQ(c->depot.nr_refused, 0);
	close();
}

/* 256 KiB of objects: 16 magazines of these. */
TEST(depot_learning, there_is_an_end_to_it)
{
	open(4096);
	for (unsigned i = 0; i < 5; i++)
		learn();
	EXPECT_EQ(c->depot.extra, 16);
	close();
}
