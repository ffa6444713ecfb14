/*
 * Every operation of the public interface that takes memory more than once, with each of its
 * allocations failing in turn: it says so, or does without; and leaves nothing behind.
 */
#include <lib/string.h>
#include <mm/mm.h>
#include <mm/pt.h>

#include "tests/model/expect.h"
#include "tests/model/sweep.h"

#define BULK 20u

static struct kmem_cache *cache;

/* At least so many allocations, and at least one that it cannot do without. */
static void expect_sweep(sweep_fn body, void *arg, unsigned min_steps)
{
	struct sweep s = sweep_run(body, arg);

	EXPECT_GE(s.nr_steps, min_steps);
	EXPECT_GE(s.nr_failed, 1);
	EXPECT_LE(s.nr_failed, s.nr_steps);
}

/* --- objects --- */

static bool create_a_cache(void *arg)
{
	struct kmem_cache *c = kmem_cache_create("test", 200, 0, 0, NULL);
	void *p = c != NULL ? kmem_cache_alloc(c, GFP_KERNEL) : NULL;

	(void)arg;
	if (c != NULL) {
		kmem_cache_free(c, p);
		EXPECT_EQ(kmem_cache_destroy(c), 0);
	}
	return p != NULL;
}

static bool allocate_many(void *arg)
{
	static void *objects[BULK];
	size_t n = kmem_cache_alloc_bulk(cache, GFP_KERNEL, BULK, objects);

	(void)arg;
	EXPECT_TRUE(n == 0 || n == BULK);
	kmem_cache_free_bulk(cache, n, objects);
	return n == BULK;
}

static bool allocate_on_a_node(void *arg)
{
	void *p = kmem_cache_alloc_node(cache, GFP_KERNEL, 0);

	(void)arg;
	kmem_cache_free(cache, p);
	return p != NULL;
}

TEST(sweep, caches)
{
	expect_sweep(create_a_cache, NULL, 5);
	cache = kmem_cache_create("test", 300, 0, 0, NULL);
	ASSERT_NOT_NULL(cache);
	expect_sweep(allocate_many, NULL, BULK);
	expect_sweep(allocate_on_a_node, NULL, 3);
	EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

/* What it held stays as it was when the new one fails. */
static bool reallocate(void *arg)
{
	char *p = kmalloc(100, GFP_KERNEL), *grown;

	(void)arg;
	if (p == NULL)
		return false;
	memset(p, 0x5a, 100);
	for (size_t size = 200; size < 30000; size *= 4) {
		grown = krealloc(p, size, GFP_KERNEL);
		p = grown != NULL ? grown : p;
		EXPECT_NULL(mem_find_other(p, 0x5a, 100));
		if (grown == NULL)
			break;
	}
	kfree(p);
	return grown != NULL;
}

static bool duplicate(void *arg)
{
	char *text = kstrdup("a text", GFP_KERNEL);
	void *copy = text != NULL ? kmemdup(text, 7, GFP_KERNEL) : NULL;

	(void)arg;
	kfree(copy);
	kfree(text);
	return copy != NULL;
}

static bool allocate_an_array(void *arg)
{
	void *small = kcalloc(30, 30, GFP_KERNEL), *large = kmalloc_array(300, 300, GFP_KERNEL);
	bool done = small != NULL && large != NULL;

	(void)arg;
	kfree(small);
	kfree(large);
	return done;
}

TEST(sweep, kmalloc)
{
	expect_sweep(reallocate, NULL, 8);
	expect_sweep(duplicate, NULL, 2);
	expect_sweep(allocate_an_array, NULL, 2);
}

/* --- pages --- */

static bool allocate_pages_in_bulk(void *arg)
{
	static struct page *pages[8];
	size_t n = alloc_pages_bulk(GFP_KERNEL, 8, pages);

	(void)arg;
	free_pages_bulk(n, pages);
	return n == 8;
}

static bool allocate_in_a_row(void *arg)
{
	struct page *page = alloc_contig_pages(700, 1, GFP_KERNEL);
	void *exact = alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL);
	bool done = page != NULL && exact != NULL;

	(void)arg;
	if (page != NULL)
		free_contig_pages(page, 700);
	free_pages_exact(exact, 5 * PAGE_SIZE);
	return done;
}

TEST(sweep, pages)
{
	expect_sweep(allocate_pages_in_bulk, NULL, 8);
	expect_sweep(allocate_in_a_row, NULL, 2);
}

/* --- virtual addresses --- */

static bool allocate_virtually(void *size)
{
	void *p = vmalloc(*(u64 *)size);

	vfree(p);
	return p != NULL;
}

static bool join_pages(void *pages)
{
	void *p = vmap(pages, 4, VM_WRITE);

	vunmap(p);
	return p != NULL;
}

static bool map_a_device(void *arg)
{
	void *p = ioremap(0xfffc0000, 5 * PAGE_SIZE);

	(void)arg;
	iounmap(p);
	return p != NULL;
}

static bool allocate_either_way(void *arg)
{
	void *p = kvmalloc(300000, GFP_KERNEL);

	(void)arg;
	kvfree(p);
	return p != NULL;
}

TEST(sweep, vmalloc)
{
	u64 small = 5 * PAGE_SIZE, large = 2 * MIB + 5 * PAGE_SIZE;
	struct page *pages[4];

	expect_sweep(allocate_virtually, &small, 6);
	expect_sweep(allocate_virtually, &large, 6);
	expect_sweep(map_a_device, NULL, 2);
	ASSERT_EQ(alloc_pages_bulk(GFP_KERNEL, 4, pages), 4);
	expect_sweep(join_pages, pages, 2);
	free_pages_bulk(4, pages);
}

TEST(sweep, kvmalloc_has_two_ways)
{
	struct sweep s = sweep_run(allocate_either_way, NULL);

	EXPECT_GE(s.nr_steps, 1);
	EXPECT_EQ(s.nr_failed, 0);
}

/* --- arenas, pools, tables --- */

static bool use_an_arena(void *arg)
{
	struct vmem *v =
	    vmem_create("test", 0x1000, 0x100000, 0x1000, NULL, NULL, NULL, 0x4000, GFP_KERNEL);
	u64 got[3] = {0};
	bool done = false;

	(void)arg;
	if (v == NULL)
		return false;
	if (vmem_add(v, 0x1000000, 0x100000, GFP_KERNEL) == 0) {
		got[0] = vmem_alloc(v, 0x2000, GFP_KERNEL);
		got[1] = vmem_alloc(v, 0x9000, GFP_KERNEL);
		got[2] = vmem_xalloc(v, 0x3000, 0x8000, 0, 0, 0x1000000, 0, GFP_KERNEL);
		done = got[0] != 0 && got[1] != 0 && got[2] != 0;
	}
	EXPECT_SOUND(vmem_check(v));
	if (got[0] != 0)
		vmem_free(v, got[0], 0x2000);
	if (got[1] != 0)
		vmem_free(v, got[1], 0x9000);
	if (got[2] != 0)
		vmem_xfree(v, got[2], 0x3000);
	EXPECT_EQ(vmem_destroy(v), 0);
	return done;
}

static bool import_into_an_arena(void *source)
{
	struct vmem *v = vmem_create("test", 0, 0, 0x1000, NULL, NULL, source, 0, GFP_KERNEL);
	u64 got;

	if (v == NULL)
		return false;
	got = vmem_alloc(v, 0x5000, GFP_KERNEL);
	if (got != 0)
		vmem_free(v, got, 0x5000);
	EXPECT_EQ(vmem_destroy(v), 0);
	return got != 0;
}

TEST(sweep, vmem)
{
	struct vmem *source;

	expect_sweep(use_an_arena, NULL, 5);
	source = vmem_create("source", 0x100000, 0x100000, 0x1000, NULL, NULL, NULL, 0, GFP_KERNEL);
	ASSERT_NOT_NULL(source);
	expect_sweep(import_into_an_arena, source, 3);
	EXPECT_EQ(vmem_destroy(source), 0);
}

static bool create_pools(void *arg)
{
	struct mempool *bytes = mempool_create_kmalloc_pool(3, 500);
	struct mempool *pages = mempool_create_page_pool(3, 1);
	bool done = bytes != NULL && pages != NULL;

	(void)arg;
	mempool_destroy(bytes);
	mempool_destroy(pages);
	return done;
}

static bool use_a_pool(void *pool)
{
	void *element = mempool_alloc(pool, GFP_ATOMIC);

	mempool_free(element, pool);
	return element != NULL;
}

TEST(sweep, pools)
{
	struct mempool *pool;
	struct sweep s;

	expect_sweep(create_pools, NULL, 8);
	pool = mempool_create_kmalloc_pool(2, 500);
	ASSERT_NOT_NULL(pool);
	s = sweep_run(use_a_pool, pool);
	EXPECT_GE(s.nr_steps, 1);
	EXPECT_EQ(s.nr_failed, 0); /* that is what it is for */
	mempool_destroy(pool);
}

static bool square(u64 key, void *value, void *data)
{
	*(u64 *)value = key * key;
	(void)data;
	return true;
}

/* Values that cannot be kept are right all the same. */
static bool use_a_cache_of_values(void *arg)
{
	struct lru_cache *c = lru_cache_create("test", sizeof(u64), square, NULL);
	u64 value = 0;

	(void)arg;
	if (c == NULL)
		return false;
	for (u64 key = 0; key < 5; key++) {
		EXPECT_TRUE(lru_cache_read(c, key, &value));
		EXPECT_EQ(value, key * key);
	}
	lru_cache_destroy(c);
	return true;
}

TEST(sweep, lru_cache)
{
	expect_sweep(use_a_cache_of_values, NULL, 5);
}

static u64 new_table(void)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

	return page != NULL ? page_to_phys(page) : 0;
}

static void free_table(u64 pa)
{
	free_page(pfn_to_page((u32)(pa >> PAGE_SHIFT)));
}

/* Maps with tables on the way, and splits large leaves at both ends of a hole. */
static bool map_and_split(void *arg)
{
	const u64 base = 0xffff900000000000ull, bits = PTE_PRESENT | PTE_NX, length = 8 * MIB;
	struct page_tables pt = {
	    .max_leaf_level = 1, .new_table = new_table, .free_table = free_table};
	bool done = false;

	(void)arg;
	pt.root_pa = new_table();
	if (pt.root_pa == 0)
		return false;
	if (pt_map(&pt, base + MIB, MIB, length, bits) == 0) {
		u64 gone = 0, hole = 3 * MIB + PAGE_SIZE;
		int error = pt_unmap(&pt, base + hole, 2 * MIB, NULL, NULL, &gone);

		EXPECT_EQ(gone, error == 0 ? 2 * MIB : 0);
		done =
		    error == 0 && pt_protect(&pt, base + 7 * MIB, PAGE_SIZE, bits | PTE_WRITE) == 0;
		(void)pt_clear(&pt, base + MIB, length, NULL, NULL);
	}
	EXPECT_SOUND(pt_check(&pt));
	(void)pt_free_tables(&pt, pt_prune(&pt, base, 16 * MIB, 0));
	free_table(pt.root_pa);
	return done;
}

TEST(sweep, page_tables)
{
	expect_sweep(map_and_split, NULL, 6);
}
