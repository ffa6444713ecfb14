/*
 * The address sanitizer (CONFIG=kasan): planted bugs, each of which must be reported by its kind,
 * and legal programs that must not be. The classes are those of Linux's mm/kasan/kasan_test.c.
 *
 * A report comes before the access, so no planted bug does any harm. Addresses go through hide():
 * what the compiler knows to be wrong it warns of, or leaves out.
 */
#include "tests/kernel/kasan_test.h"

#include <lib/bits.h>
#include <mm/mempool.h>
#include <mm/mm.h>
#include <mm/vmalloc.h>

/* An object that does not begin its page: what lies before it is of the same slab. */
static u8 *must_alloc_inside(size_t size, u8 **other)
{
	u8 *first = must_kmalloc(size), *second = must_kmalloc(size);
	bool begins = is_aligned((u64)first, PAGE_SIZE);

	*other = begins ? first : second;
	return begins ? second : first;
}

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

TEST(kasan, out_of_bounds_to_the_left)
{
	u8 *other, *p = must_alloc_inside(100, &other);

	EXPECT_REPORT("slab-out-of-bounds", "read", 1, p - 1, read_byte(p - 1));
	EXPECT_REPORT("slab-out-of-bounds", "write", 1, p - 16, write_byte(p - 16));
	kfree(p);
	kfree(other);
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

TEST(kasan, out_of_bounds_of_a_node)
{
	u8 *p = hide(kmalloc_node(4096, GFP_KERNEL, 0));

	ASSERT_NOT_NULL(p);
	EXPECT_REPORT("slab-out-of-bounds", "write", 1, p + 4096, write_byte(p + 4096));
	kfree(p);
	p = hide(kmalloc_node(13, GFP_KERNEL, 0));
	EXPECT_REPORT("slab-out-of-bounds", "write", 1, p + 13, write_byte(p + 13));
	kfree(p);
}

TEST(kasan, large_kmalloc)
{
	const size_t n = 3 * PAGE_SIZE + 100;
	u8 *p = must_kmalloc(n);

	write_byte(p + n - 1);
	EXPECT_REPORT("large-out-of-bounds", "write", 1, p + n, write_byte(p + n));
	EXPECT_REPORT("large-out-of-bounds", "read", 1, p + 4 * PAGE_SIZE - 1,
	              read_byte(p + 4 * PAGE_SIZE - 1));
	EXPECT_PANIC("kfree: ", kfree(p + 1)); /* nobody's to free */
	kfree(p);
	EXPECT_REPORT("page-use-after-free", "read", 1, p, read_byte(p));
	EXPECT_PANIC("kfree: ", kfree(p));
}

TEST(kasan, pages)
{
	struct page *page = alloc_pages(GFP_KERNEL, 4);
	u8 *p = hide(page_address(page));

	ASSERT_NOT_NULL(page);
	write_byte(p + (PAGE_SIZE << 4) - 1);
	free_pages(page, 4);
	EXPECT_REPORT("page-use-after-free", "write", 1, p, write_byte(p));
	EXPECT_REPORT("page-use-after-free", "read", 1, p + (PAGE_SIZE << 4) - 1,
	              read_byte(p + (PAGE_SIZE << 4) - 1));
}

/* The fourth page of the block went back at once. */
TEST(kasan, out_of_bounds_of_pages)
{
	u8 *p = hide(alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL));

	ASSERT_NOT_NULL(p);
	write_byte(p + 3 * PAGE_SIZE - 1);
	EXPECT_REPORT("page-use-after-free", "write", 1, p + 3 * PAGE_SIZE,
	              write_byte(p + 3 * PAGE_SIZE));
	free_pages_exact(p, 3 * PAGE_SIZE);
}

/* --- krealloc --- */

/* What is old of it may be touched, to the byte. */
static void expect_exactly(u8 *p, size_t size)
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

TEST(kasan, krealloc_after_free)
{
	u8 *p = must_kmalloc(64);

	kfree(p);
	EXPECT_PANIC("krealloc: freed object", (void)krealloc(p, 128, GFP_KERNEL));
	EXPECT_REPORT("slab-use-after-free", "read", 1, p, read_byte(p));
}

TEST(kasan, krealloc_moves_and_poisons_what_it_left)
{
	u8 *p = must_kmalloc(64), *moved = hide(krealloc(p, 1000, GFP_KERNEL));

	ASSERT_NE(moved, p);
	EXPECT_REPORT("slab-use-after-free", "write", 1, p, write_byte(p));
	kfree(moved);
}

/* --- wide accesses --- */

struct wide {
	u64 a, b;
};

static __noinline void copy_wide(struct wide *to, const struct wide *from)
{
	*to = *from;
}

TEST(kasan, sixteen_bytes)
{
	struct wide *from = (void *)must_kmalloc(16), *to = (void *)must_kmalloc(13);

	EXPECT_PANIC("KASAN: slab-out-of-bounds", copy_wide(to, from));
	kfree(to);
	to = (void *)must_kmalloc(16);
	copy_wide(to, from);
	kfree(from);
	EXPECT_PANIC("KASAN: slab-use-after-free", copy_wide(to, from));
	kfree(to);
}

TEST(kasan, a_word_that_begins_well_and_ends_badly)
{
	u8 *p = must_kmalloc(12);

	EXPECT_REPORT("slab-out-of-bounds", "read", 8, p + 12, read_word(p + 8));
	EXPECT_REPORT("slab-out-of-bounds", "read", 8, p + 12, read_word(p + 5));
	read_word(p + 4);
	kfree(p);
}

/* --- memory functions --- */

TEST(kasan, memset)
{
	static const size_t lengths[] = {2, 4, 8, 16, 666};

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		size_t n = hide_size(lengths[i]);
		u8 *p = must_kmalloc(n);

		memset(p, 0, n);
		EXPECT_REPORT("slab-out-of-bounds", "write", n, p + n, memset(p + 1, 0, n));
		EXPECT_REPORT("slab-out-of-bounds", "write", n + 5, p + n, memset(p, 0, n + 5));
		kfree(p);
		EXPECT_REPORT("slab-use-after-free", "write", n, p, memset(p, 0, n));
	}
}

TEST(kasan, memcpy_and_memmove)
{
	u8 *p = must_kmalloc(64), *q = must_kmalloc(64);
	size_t n = hide_size(64);

	memmove(p + 4, p, n - 4);
	memcpy(p, q, n);
	EXPECT_REPORT("slab-out-of-bounds", "write", n, p + 64, memcpy(p + 1, q, n));
	EXPECT_REPORT("slab-out-of-bounds", "read", n, q + 64, memcpy(p, q + 1, n));
	EXPECT_REPORT("slab-out-of-bounds", "write", n, p + 64, memmove(p + 4, p, n));
	EXPECT_REPORT("slab-out-of-bounds", "read", n + 1, q + 64, memcmp(q, p, n + 1));
	kfree(q);
	EXPECT_REPORT("slab-use-after-free", "read", n, q, memcpy(p, q, n));
	kfree(p);
}

TEST(kasan, negative_sizes)
{
	u8 *p = must_kmalloc(64);
	size_t minus_2 = hide_size((size_t)-2);

	EXPECT_PANIC("KASAN: negative-size", memmove(p, p + 4, minus_2));
	EXPECT_PANIC("KASAN: negative-size", memcpy(p, p + 4, minus_2));
	EXPECT_PANIC("KASAN: negative-size", memset(p, 0, minus_2));
	EXPECT_PANIC("of size -2 ", memset(p, 0, minus_2));
	kfree(p);
}

/* --- use after free --- */

TEST(kasan, use_after_free)
{
	u8 *p = must_kmalloc(100);

	kfree(p);
	EXPECT_REPORT("slab-use-after-free", "read", 1, p, read_byte(p));
	EXPECT_REPORT("slab-use-after-free", "write", 1, p + 99, write_byte(p + 99));
	EXPECT_REPORT("slab-use-after-free", "read", 8, p + 8, read_word(p + 8));
}

TEST(kasan, use_after_kfree_sensitive)
{
	u8 *p = must_kmalloc(100);

	kfree_sensitive(p);
	EXPECT_REPORT("slab-use-after-free", "read", 1, p, read_byte(p));
}

TEST(kasan, double_and_invalid_free)
{
	u8 *p = must_kmalloc(100);

	EXPECT_PANIC("kfree: ", kfree(p + 1));
	EXPECT_PANIC("kfree: ", kfree(p + 16));
	write_byte(p); /* what was refused is still the caller's */
	write_byte(p + 99);
	kfree(p);
	EXPECT_PANIC("kfree: double free", kfree(p));
}

TEST(kasan, legal_kfree_by_the_page_and_by_the_physical_address)
{
	u8 *p = must_kmalloc(100);
	u64 offset = (u64)p % PAGE_SIZE;

	kfree((u8 *)page_address(virt_to_page(p)) + offset);
	p = must_kmalloc(100);
	kfree(phys_to_virt(virt_to_phys(p)));
}

TEST(kasan, ksize_allows_what_it_tells_of)
{
	u8 *p = must_kmalloc(115);
	size_t room = ksize(p);

	ASSERT_GT(room, 115);
	write_byte(p + room - 1);
	EXPECT_REPORT("slab-out-of-bounds", "write", 1, p + room, write_byte(p + room));
	kfree(p);
	EXPECT_PANIC("ksize: ", (void)ksize(p));
}

/* --- caches --- */

TEST(kasan, cache_objects)
{
	struct kmem_cache *c = kmem_cache_create("kasan", 200, 0, 0, NULL);
	u8 *p = hide(kmem_cache_alloc(c, GFP_KERNEL));

	ASSERT_NOT_NULL(p);
	write_byte(p + 199);
	EXPECT_REPORT("slab-out-of-bounds", "read", 1, p + 200, read_byte(p + 200));
	EXPECT_PANIC("slab: ", kmem_cache_free(c, p + 1));
	write_byte(p);
	kmem_cache_free(c, p);
	EXPECT_REPORT("slab-use-after-free", "write", 1, p, write_byte(p));
	EXPECT_PANIC("slab: double free", kmem_cache_free(c, p));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(kasan, legal_bulk)
{
	struct kmem_cache *c = kmem_cache_create("kasan", 100, 0, 0, NULL);
	void *p[70];

	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, ARRAY_SIZE(p), p), ARRAY_SIZE(p));
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		memset(p[i], 1, hide_size(100));
	EXPECT_REPORT("slab-out-of-bounds", "write", 1, (u8 *)p[69] + 100,
	              write_byte((u8 *)p[69] + 100));
	kmem_cache_free_bulk(c, ARRAY_SIZE(p), p);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		EXPECT_REPORT("slab-use-after-free", "write", 1, p[i], write_byte(p[i]));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static void construct(void *object)
{
	memset(object, 0x5a, hide_size(64));
}

TEST(kasan, constructed_objects)
{
	struct kmem_cache *c = kmem_cache_create("kasan", 64, 0, 0, construct);
	u8 *p = hide(kmem_cache_alloc(c, GFP_KERNEL));

	ASSERT_NOT_NULL(p);
	EXPECT_EQ(p[63], 0x5a);
	kmem_cache_free(c, p);
	EXPECT_REPORT("slab-use-after-free", "read", 1, p + 63, read_byte(p + 63));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(kasan, double_destroy)
{
	struct kmem_cache *c = kmem_cache_create("kasan", 200, 0, 0, NULL);

	ASSERT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_PANIC("", (void)kmem_cache_destroy(c));
}

/* --- mempools --- */

TEST(kasan, mempools)
{
	struct mempool *pool = mempool_create_kmalloc_pool(4, 100);
	u8 *p = hide(mempool_alloc(pool, GFP_KERNEL));

	ASSERT_NOT_NULL(p);
	EXPECT_REPORT("slab-out-of-bounds", "write", 1, p + 100, write_byte(p + 100));
	mempool_free(p, pool);
	EXPECT_REPORT("slab-use-after-free", "read", 1, p, read_byte(p));
	EXPECT_PANIC("double free", mempool_free(p, pool));
	mempool_destroy(pool);
}

TEST(kasan, mempools_of_large_elements)
{
	struct mempool *pool = mempool_create_kmalloc_pool(2, 3 * PAGE_SIZE + 8);
	u8 *p = hide(mempool_alloc(pool, GFP_KERNEL));

	ASSERT_NOT_NULL(p);
	EXPECT_REPORT("large-out-of-bounds", "write", 1, p + 3 * PAGE_SIZE + 8,
	              write_byte(p + 3 * PAGE_SIZE + 8));
	mempool_free(p, pool);
	EXPECT_REPORT("page-use-after-free", "read", 1, p, read_byte(p));
	mempool_destroy(pool);
}

TEST(kasan, mempools_of_pages)
{
	struct mempool *pool = mempool_create_page_pool(2, 1);
	struct page *page = mempool_alloc(pool, GFP_KERNEL);
	u8 *p = hide(page_address(page));

	ASSERT_NOT_NULL(page);
	write_byte(p + 2 * PAGE_SIZE - 1);
	mempool_free(page, pool);
	EXPECT_REPORT("page-use-after-free", "write", 1, p, write_byte(p));
	mempool_destroy(pool);
}

/* --- vmalloc --- */

TEST(kasan, vmalloc)
{
	const size_t n = 3 * PAGE_SIZE - 100;
	u8 *p = hide(vmalloc(n));

	ASSERT_NOT_NULL(p);
	write_byte(p + n - 1);
	EXPECT_REPORT("vmalloc-out-of-bounds", "write", 1, p + n, write_byte(p + n));
	EXPECT_REPORT("vmalloc-out-of-bounds", "read", 1, p + 3 * PAGE_SIZE - 1,
	              read_byte(p + 3 * PAGE_SIZE - 1));
	vfree(p);
	EXPECT_REPORT("vmalloc-use-after-free", "read", 1, p, read_byte(p));
	EXPECT_REPORT("vmalloc-use-after-free", "write", 1, p + 2 * PAGE_SIZE,
	              write_byte(p + 2 * PAGE_SIZE));
}

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

TEST(kasan, vmap)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u8 *p = hide(vmap(&page, 1, VM_WRITE));

	ASSERT_NOT_NULL(p);
	memset(p, 1, hide_size(PAGE_SIZE));
	vunmap(p);
	EXPECT_REPORT("vmalloc-use-after-free", "read", 1, p, read_byte(p));
	free_page(page);
}
