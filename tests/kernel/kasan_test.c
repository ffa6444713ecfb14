/*
 * The address sanitizer (CONFIG=kasan) on allocations: what one planted bug of each class does not
 * show (tests/misuse/kernel/ has those), such as every size; and what must stay silent.
 *
 * A report comes before the access, so no planted bug does any harm. Addresses go through hide():
 * what the compiler knows to be wrong it warns of, or leaves out.
 */
#include "mm/slab_internal.h"

#include "tests/kernel/kasan_test.h"
#include "tests/model/hoard.h"

#include <lib/bits.h>
#include <mm/mm.h>
#include <mm/vmalloc.h>

TEST(kasan, out_of_bounds_to_the_right)
{
	static const size_t sizes[] = {1, 7, 8, 9, 115, 128, 1000, 4096, 8192};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i];
		u8 *p = must_kmalloc(n);

		write_byte(p + n - 1);
		EXPECT_REPORT("slab-out-of-bounds", "write", 1, p + n, write_byte(p + n));
		EXPECT_REPORT("slab-out-of-bounds", "read", 1, p + n, read_byte(p + n));
		EXPECT_REPORT("slab-out-of-bounds", "read", 1, p + n + 9, read_byte(p + n + 9));
		kfree(p);
	}
}

/* The red zone lies between neighbours that both are somebody's. */
TEST(kasan, out_of_bounds_into_a_live_neighbour)
{
	u8 *p[64];

	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = must_kmalloc(64);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
		EXPECT_REPORT("slab-out-of-bounds", "write", 1, p[i] + 64, write_byte(p[i] + 64));
		EXPECT_EQ((u64)p[i] % 64, 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		kfree(p[i]);
}

/* --- krealloc --- */

/* What is old of it may be touched, to the byte. */
static __noinline void expect_exactly(u8 *p, size_t size)
{
	ASSERT_NOT_NULL(p);
	write_byte(p);
	write_byte(p + size - 1);
	EXPECT_PANIC("-out-of-bounds in expect_exactly", write_byte(p + size));
}

TEST(kasan, krealloc)
{
	static const size_t cases[][2] = {{17, 19},       {17, 204},      {19, 17},
	                                  {204, 17},      {200, 201},     {8000, 20000},
	                                  {20000, 8000},  {20000, 20001}, {20001, 20000},
	                                  {20000, 40000}, {100, 99}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *p = must_kmalloc(cases[i][0]);

		p = hide(krealloc(p, cases[i][1], GFP_KERNEL));
		expect_exactly(p, cases[i][1]);
		kfree(p);
	}
}

/* --- memory functions --- */

TEST(kasan, memory_functions_blame_their_caller)
{
	u8 *p = must_kmalloc(64), *q = must_kmalloc(64);
	size_t n = hide_size(64);

	EXPECT_REPORT("slab-out-of-bounds", "write", n + 5, p + 64, memset(p, 0, n + 5));
	EXPECT_REPORT("slab-out-of-bounds", "write", n, p + 64, memcpy(p + 1, q, n));
	EXPECT_REPORT("slab-out-of-bounds", "read", n, q + 64, memcpy(p, q + 1, n));
	EXPECT_REPORT("slab-out-of-bounds", "read", n + 1, q + 64, memcmp(q, p, n + 1));
	for (size_t size = 2; size <= 16; size *= 2)
		EXPECT_REPORT("slab-out-of-bounds", "write", size, p + 64,
		              memset(p + 63, 0, hide_size(size)));
	EXPECT_PANIC("of size -2 ", memset(p, 0, hide_size((size_t)-2)));
	kfree(q);
	EXPECT_REPORT("slab-use-after-free", "read", n, q, memcpy(p, q, n));
	EXPECT_PANIC("KASAN: slab-use-after-free", (void)mem_find_other(q, 'a', n));
	kfree(p);
}

/* --- quarantine --- */

static struct kmem_cache *must_create(size_t size)
{
	struct kmem_cache *c = kmem_cache_create("kasan", size, 0, 0, NULL);

	ASSERT_NOT_NULL(c);
	return c;
}

/* Frees others, until as many were freed after it as wait at most. */
TEST(kasan, what_is_freed_waits_for_its_turn)
{
	struct kmem_cache *c = must_create(100);
	u32 limit = c->quarantine->limit;
	u8 *p = hide(kmem_cache_alloc(c, GFP_KERNEL));

	kmem_cache_free(c, p);
	for (u32 i = 1; i <= limit; i++) {
		EXPECT_TRUE(quarantine_at(c->quarantine, 0)->object == p);
		EXPECT_EQ(quarantine_count(c), i);
		kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
	}
	EXPECT_EQ(quarantine_count(c), limit);
	EXPECT_TRUE(quarantine_at(c->quarantine, 0)->object != p);
	EXPECT_TRUE(kmem_cache_alloc(c, GFP_KERNEL) == p); /* its turn: the magazine's hottest */
	kmem_cache_free(c, p);
	(void)kmem_cache_shrink(c);
	EXPECT_EQ(quarantine_count(c), 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(kasan, what_waits_is_given_up_before_an_allocation_fails)
{
	enum { NR = 500, NR_WAITING = 200 };
	static void *objects[NR];
	struct kmem_cache *c = must_create(500);
	struct hoard hoard = {0};

	for (unsigned i = 0; i < NR; i++)
		ASSERT_NOT_NULL(objects[i] = kmem_cache_alloc(c, GFP_KERNEL));
	for (unsigned i = 0; i < NR_WAITING; i++)
		kmem_cache_free(c, objects[i]);
	EXPECT_EQ(quarantine_count(c), NR_WAITING);
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	for (unsigned i = 0; i < NR_WAITING; i++)
		EXPECT_NOT_NULL(objects[i] = kmem_cache_alloc(c, GFP_NOWAIT | __GFP_NOWARN));
	EXPECT_EQ(quarantine_count(c), 0);
	hoard_drop_all(&hoard);
	for (unsigned i = 0; i < NR; i++)
		if (objects[i] != NULL)
			kmem_cache_free(c, objects[i]);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- vmalloc --- */

/* Addresses that were freed and are given out again. */
TEST(kasan, legal_vmalloc_again_and_again)
{
	for (unsigned i = 1; i < 40; i++) {
		size_t n = i * 1500;
		u8 *p = hide(vmalloc(n));

		ASSERT_NOT_NULL(p);
		memset(p, 1, n);
		vfree(p);
		(void)vmalloc_purge();
	}
}
