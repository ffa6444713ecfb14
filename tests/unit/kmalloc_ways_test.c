/*
 * kmalloc's several ways in lead to one result: for every size, by every function, with data or
 * low memory wanted, under debugging, with hardening, on another node. And kmalloc's own walk over
 * large blocks, whatever lies between them.
 */
#include "mm/slab_internal.h"

#include <mm/harden.h>
#include <mm/mm.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define TAG TAG_FIRST_SITE

static void *any(size_t size)
{
	return kmalloc_any(size, GFP_KERNEL, TAG);
}

static void *any_zeroed(size_t size)
{
	return kmalloc_any(size, GFP_KERNEL | __GFP_ZERO, TAG);
}

static void *any_data(size_t size)
{
	return kmalloc_any(size, GFP_KERNEL | __GFP_DATA, TAG);
}

static void *plain(size_t size)
{
	return kmalloc_plain(size, GFP_KERNEL, TAG);
}

static void *plain_data(size_t size)
{
	return kmalloc_plain_data(size, GFP_KERNEL | __GFP_DATA, TAG);
}

static void *on_a_node(size_t size)
{
	return kmalloc_node_tag(size, GFP_KERNEL, 0, TAG);
}

static void *moved(size_t size)
{
	return krealloc_tag(NULL, size, GFP_KERNEL, TAG);
}

static void *(*const ways[])(size_t size) = {any,        any_zeroed, any_data, plain,
                                             plain_data, on_a_node,  moved};

/* An object where a class is large enough, and else a run of pages. */
static void expect_way(void *(*way)(size_t size), size_t size, size_t room)
{
	struct slab_object_info info;
	void *p = way(size);

	ASSERT_NOT_NULL(p);
	EXPECT_EQ(ksize(p), room);
	if (size != 0 && !guard_owns(p))
		EXPECT_EQ(slab_object_of(p, &info), size <= KMALLOC_MAX_CLASS);
	else if (size == 0)
		EXPECT_TRUE(p == ZERO_SIZE_PTR);
	kfree(p);
}

TEST(kmalloc_ways, one_result_for_every_size)
{
	for (size_t size = 0; size <= KMALLOC_MAX_CLASS + 16;
	     size += size % 512 <= 16 || size < 130 ? 1 : 15) {
		void *p = any(size);
		size_t room = ksize(p);

		kfree(p);
		for (unsigned i = 0; i < ARRAY_SIZE(ways); i++)
			expect_way(ways[i], size, room);
	}
}

/* Pages of others, of a whole pageblock each, in front of every large block. */
TEST(kmalloc_ways, the_walk_misses_no_large_block_behind_others)
{
	enum { N = 8 };
	struct page *others[N];
	void *large[N];

	for (unsigned i = 0; i < N; i++) {
		others[i] = alloc_pages(GFP_KERNEL | __GFP_NOWARN, PAGEBLOCK_ORDER);
		large[i] = kmalloc(PAGEBLOCK_PAGES * PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN);
	}
	EXPECT_SOUND(kmalloc_check());
	for (unsigned i = 0; i < N; i++) {
		kfree(large[i]);
		if (others[i] != NULL)
			free_pages(others[i], PAGEBLOCK_ORDER);
	}
}

#if __STDC_HOSTED__
#include <tests/host/cpus.h>

/* --- a machine that was booted with slab_debug= --- */

TEST(kmalloc_ways, under_debugging_sizes_are_exact_by_every_way)
{
	static const u32 sizes[] = {1, 100, 1000, 8192, 8193, 10000};
	char *p;

	debugged_begin("Z");
	host_machine_borrow(0, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned way = 0; way < ARRAY_SIZE(ways); way++)
			expect_way(ways[way], sizes[i], sizes[i]);
	p = krealloc(kmalloc(100, GFP_KERNEL), 10, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	EXPECT_EQ(ksize(p), 10);
	EXPECT_EQ(slab_of(p)->cache->size, 16); /* the class of the new size */
	kfree(p);
	host_machine_return();
	debugged_end();
}

TEST(kmalloc_ways, debugging_ends_with_the_machine)
{
	debugged_begin("Z");
	host_machine_borrow(0, 1);
	host_machine_return();
	debugged_end();
	host_machine_borrow(0, 1);
	EXPECT_EQ(kmalloc_plain_classes, KMALLOC_MAX_CLASS);
	expect_way(plain, 10000, 3 * PAGE_SIZE);
	host_machine_return();
}

/* --- hardening --- */

static struct mm_hardening former;

static void begin_with(struct mm_hardening choice)
{
	former = mm_hardening();
	mm_harden(&choice);
}

static void end(void)
{
	EXPECT_SOUND(mm_check());
	host_machine_return();
	mm_harden(&former);
}

TEST(kmalloc_ways, two_copies_are_copies_too)
{
	const struct kmem_cache *c;
	bool seen[2] = {false, false};

	begin_with((struct mm_hardening){.seed = 7, .kmalloc_copies = 2});
	host_machine_borrow(0, 1);
	c = kmalloc_cache[(100 - 1) / 16];
	ASSERT_NOT_NULL(c->copies);
	EXPECT_EQ(c->capacity, 0); /* it has no objects, so no magazines */
	for (u32 site = 0; site < 64; site++) {
		void *p = kmalloc_any(100, GFP_KERNEL, TAG + site);

		for (u32 copy = 0; copy < 2; copy++)
			seen[copy] |= slab_of(p)->cache == c->copies[copy];
		kfree(p);
	}
	EXPECT_TRUE(seen[0] && seen[1]);
	EXPECT_PANIC("slab: not a cache", kmem_cache_destroy(c->copies[0]));
	end();
}

TEST(kmalloc_ways, another_nodes_objects_are_of_a_copy)
{
	static const struct mem_range memory[] = {{0, 128 * MIB, MEM_USABLE}};
	static const struct mm_topology two = {
	    .nr_nodes = 2, .nr_ranges = 1, .range = {{64 * MIB, 64 * MIB, 1}}};

	begin_with((struct mm_hardening){.seed = 7, .kmalloc_copies = 16});
	host_machine_borrow_nodes(memory, 1, &two, 1);
	for (unsigned node = 0; node < 2; node++) {
		void *p = kmalloc_node(100, GFP_KERNEL, node);

		ASSERT_NOT_NULL(p);
		EXPECT_TRUE(str_matches("kmalloc-112-rnd-??", slab_of(p)->cache->name));
		EXPECT_EQ(page_zone(virt_to_page(p))->node, node);
		kfree(p);
	}
	end();
}

#define EXPECT_BREAKS(name, lvalue, wrong)              \
	({                                              \
		__typeof__(lvalue) right_ = (lvalue);   \
		(lvalue) = (__typeof__(lvalue))(wrong); \
		EXPECT_BROKEN(kmalloc_check(), name);   \
		(lvalue) = right_;                      \
		EXPECT_SOUND(kmalloc_check());          \
	})

TEST(kmalloc_ways, the_check_sees_every_copy_and_data)
{
	begin_with((struct mm_hardening){.seed = 7, .kmalloc_data = true, .kmalloc_copies = 4});
	host_machine_borrow(0, 1);
	for (size_t size = 16; size <= KMALLOC_MAX_CLASS; size *= 8) {
		struct kmem_cache *c = kmalloc_cache[(size - 1) / 16];
		struct kmem_cache *data = kmalloc_data_cache[(size - 1) / 16];

		for (u32 copy = 0; copy < 4; copy++)
			EXPECT_BREAKS("K1: a copy", c->copies[copy]->stride,
			              c->copies[copy]->stride + 16);
		EXPECT_BREAKS("K1: a size class for data", data->stride, data->stride + 16);
		EXPECT_BREAKS("K3:", c->nr_slabs, 1);
	}
	end();
}

/* Where no memory is left for guard pages a large block has none, and is one all the same. */
TEST(kmalloc_ways, large_blocks_with_guard_pages_and_without)
{
	static struct hoard hoard;
	const gfp_t quiet = GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC;
	struct page *block;
	char *p;

	begin_with((struct mm_hardening){.kmalloc_guard = true, .kmalloc_copies = 1});
	host_machine_borrow(0, 1);
	p = kmalloc(20000, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	EXPECT_PANIC("kfree: ", kfree(p + PAGE_SIZE));
	EXPECT_PANIC("kfree: ", kfree(p - PAGE_SIZE));
	kfree(p);
	block = alloc_pages(GFP_KERNEL, 2);
	hoard_take_all(&hoard, GFP_NOWAIT);
	free_pages(block, 2);
	drain_cpu_pages();
	p = kmalloc_any(3 * PAGE_SIZE, quiet, TAG);
	EXPECT_NOT_NULL(p);
	EXPECT_EQ(kmalloc_large_pages(), 3);
	EXPECT_EQ(ksize(p), 3 * PAGE_SIZE);
	kfree(p);
	EXPECT_EQ(kmalloc_large_pages(), 0);
	hoard_drop_all(&hoard);
	end();
}
#endif

#ifdef CONFIG_DEBUG
/* The largest copy that there can be is looked at as any other. */
TEST(kmalloc_ways, a_copy_of_too_much_is_refused_whatever_its_size)
{
	char *p = any(100);
	volatile size_t size = 113;

	ASSERT_NOT_NULL(p);
	EXPECT_PANIC("BUG: past the end of the object", (void)kmemdup(p, size, GFP_KERNEL));
	size = KMALLOC_MAX_SIZE;
	EXPECT_PANIC("BUG: past the end of the object", (void)kmemdup(p, size, GFP_KERNEL));
	kfree(p);
}
#endif
