/*
 * `slab_debug=` under kmalloc: the size asked for to the byte, whichever way it is known; krealloc,
 * ksize, large blocks. A size class is exchanged for one under debugging meanwhile.
 */
#include "mm/debug/debug_internal.h"

#include <mm/mm.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/sealed.h"

enum { CLASS = 112, LOWEST = 97 };

static struct kmem_cache *c, *former;
static size_t former_plain;

static void begin_with(const char *letters)
{
	debugged_begin(letters);
	c = kmem_cache_create("debugged", CLASS, 0, 0, NULL);
	debugged_end();
	ASSERT_NOT_NULL(c);
	former = kmalloc_cache[(CLASS - 1) / 16];
	former_plain = kmalloc_plain_classes;
	sealed_store(&kmalloc_cache[(CLASS - 1) / 16], (u64)c);
	kmalloc_plain_classes = 0;
}

static void end(void)
{
	sealed_store(&kmalloc_cache[(CLASS - 1) / 16], (u64)former);
	kmalloc_plain_classes = former_plain;
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

#define EXPECT_DAMAGE(line, at, statement)     \
	({                                     \
		u8 was_ = plant(at, 0x77);     \
		EXPECT_PANIC(line, statement); \
		(void)plant(at, was_);         \
	})

/* The block is of the class under debugging and ends where its size says. Freed then. */
static void expect_exact(char *p, size_t size)
{
	ASSERT_NOT_NULL(p);
	EXPECT_TRUE(slab_of(p)->cache == c);
	EXPECT_EQ(ksize(p), size);
	EXPECT_DAMAGE("BUG: right red zone overwritten in debugged", p + size, kfree(p));
	EXPECT_DAMAGE("BUG: left red zone overwritten in debugged", p - 1, kfree(p));
	kfree(p);
}

TEST(debug_kmalloc, sizes_are_exact_whatever_the_compiler_knows)
{
	const size_t late = 101;
	volatile size_t size = 102;

	begin_with("FZP");
	expect_exact(kmalloc(100, GFP_KERNEL), 100);
	expect_exact(kmalloc(late, GFP_KERNEL), 101);
	expect_exact(kmalloc(size, GFP_KERNEL), 102);
	expect_exact(kmalloc(size, GFP_ATOMIC), 102);
	expect_exact(kmalloc_node(103, GFP_KERNEL, 0), 103);
	expect_exact(kmalloc_array(52, 2, GFP_KERNEL), 104);
	expect_exact(kmemdup(former, 105, GFP_KERNEL), 105);
	expect_exact(kmalloc(CLASS, GFP_KERNEL), CLASS);
	end();
}

TEST(debug_kmalloc, zeroed_memory_ends_where_it_was_asked_to)
{
	volatile size_t size = 102;
	char *p[3];

	begin_with("FZP");
	p[0] = kzalloc(100, GFP_KERNEL);
	p[1] = kzalloc(size, GFP_KERNEL);
	p[2] = kcalloc(51, 2, GFP_KERNEL);
	for (unsigned i = 0; i < 3; i++) {
		ASSERT_NOT_NULL(p[i]);
		EXPECT_NULL(mem_find_other(p[i], 0, i == 0 ? 100 : 102));
	}
	expect_exact(p[0], 100);
	expect_exact(p[1], 102);
	expect_exact(p[2], 102);
	end();
}

TEST(debug_kmalloc, every_size_of_the_class)
{
	begin_with("FZP");
	for (size_t size = LOWEST; size <= CLASS; size++)
		expect_exact(kmalloc(size, GFP_KERNEL), size);
	end();
}

/* Smaller ones stay, with the zone at their new end; larger ones move. */
TEST(debug_kmalloc, krealloc_moves_the_zone)
{
	char *p, *q;

	begin_with("FZP");
	p = kmalloc(110, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	memset(p, 0x31, 110);
	q = krealloc(p, 100, GFP_KERNEL);
	EXPECT_TRUE(q == p);
	EXPECT_EQ(ksize(q), 100);
	EXPECT_DAMAGE("right red zone", q + 100, (void)krealloc(q, 99, GFP_KERNEL));
	EXPECT_DAMAGE("right red zone", q + 100, (void)krealloc(q, 104, GFP_KERNEL));
	p = krealloc(q, 104, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	EXPECT_NULL(mem_find_other(p, 0x31, 100));
	expect_exact(p, 104);
	p = kmalloc(100, GFP_KERNEL);
	q = krealloc(p, 3000, GFP_KERNEL);
	EXPECT_NOT_NULL(q);
	p = krealloc(q, 100, GFP_KERNEL);
	expect_exact(p, 100);
	end();
}

TEST(debug_kmalloc, wrong_frees_are_named_as_ever)
{
	char *p, *pin;

	begin_with("FZPU");
	p = kmalloc(100, GFP_KERNEL);
	pin = kmalloc(100, GFP_KERNEL);
	ASSERT_TRUE(p != NULL && pin != NULL);
	EXPECT_PANIC("kfree: not the start of an object", kfree(p + 8));
	EXPECT_PANIC("kfree: not the start of an object", kfree(pin - 8));
	EXPECT_PANIC("kfree: not an object of its slab",
	             kfree((char *)slab_start(slab_of(p)) + c->lead - 8));
	EXPECT_PANIC("ksize: not the start of an object", (void)ksize(p + 1));
	kfree(p);
	EXPECT_PANIC("kfree: double free object=", kfree(p));
	EXPECT_PANIC("ksize: freed object object=", (void)ksize(p));
	EXPECT_PANIC("krealloc: freed object object=", (void)krealloc(p, 10, GFP_KERNEL));
	EXPECT_PANIC("kfree: double free object=", kfree_sensitive(p));
	kfree_sensitive(pin);
	end();
}

TEST(debug_kmalloc, init_on_alloc_zeroes)
{
	struct mm_debug_choice run = mm_debug_choice();
	char *p, *q;

	mm_debug_configure(NULL, true, false);
	c = kmem_cache_create("zeroed", 100, 0, 0, NULL);
	mm_debug_choose(&run);
	ASSERT_NOT_NULL(c);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	EXPECT_NULL(mem_find_other(p, 0, 100));
	memset(p, 1, 100);
	kmem_cache_free(c, p);
	q = kmem_cache_alloc(c, GFP_KERNEL);
	EXPECT_TRUE(q == p);
	EXPECT_NULL(mem_find_other(q, 0, 100));
	kmem_cache_free(c, q);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(debug_kmalloc, init_on_free_zeroes_and_keeps_the_magazines)
{
	struct mm_debug_choice run = mm_debug_choice();
	char *p;

	mm_debug_configure(NULL, false, true);
	c = kmem_cache_create("zeroed", 100, 0, 0, NULL);
	mm_debug_choose(&run);
	ASSERT_NOT_NULL(c);
	EXPECT_GT(c->capacity, 0);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	memset(p, 1, 100);
	kmem_cache_free(c, p);
	EXPECT_NULL(mark_find_other(p, 0, 100));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- large blocks --- */

TEST(debug_kmalloc, large_blocks_have_a_zone_to_the_end_of_their_page)
{
	bool had_zone = kmalloc_large_has_zone;
	char *p;

	kmalloc_large_has_zone = true;
	p = kmalloc(10000, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	EXPECT_EQ(ksize(p), 10000);
	EXPECT_DAMAGE("BUG: right red zone overwritten in kmalloc-large: object", p + 10000,
	              kfree(p));
	EXPECT_DAMAGE("right red zone", p + 3 * PAGE_SIZE - 1, kfree(p));
	EXPECT_DAMAGE("right red zone", p + 10000, (void)krealloc(p, 9999, GFP_KERNEL));
	EXPECT_TRUE(krealloc(p, 9000, GFP_KERNEL) == p);
	EXPECT_EQ(ksize(p), 9000);
	EXPECT_DAMAGE("(size 9000) is 0x77, not 0xcc", p + 9000, kfree(p));
	kfree(p);
	p = kmalloc(3 * PAGE_SIZE, GFP_KERNEL); /* no room for one */
	ASSERT_NOT_NULL(p);
	EXPECT_EQ(ksize(p), 3 * PAGE_SIZE);
	kfree(p);
	kmalloc_large_has_zone = had_zone;
}
