/*
 * What the sanitizer's build finds inside others' code (CONFIG=kasan): memory functions, strings,
 * bits and atomic operations are blamed on who called them; and elements of mempools.
 */
#include "tests/misuse/kernel/kasan_misuse.h"

#include <lib/bitmap.h>
#include <lib/bits.h>
#include <mm/mempool.h>
#include <mm/mm.h>

/* --- memory functions --- */

SANITIZED(kasan_memset, "memset() past the end", "KASAN")
{
	u8 *p = must_kmalloc(666);
	size_t n = hide_size(666);

	memset(p, 0, n);
	CAUGHT_AT("slab-out-of-bounds", "write of size 666", p + 666, memset(p + 1, 0, n));
	kfree(p);
}

SANITIZED(kasan_memcpy_to, "memcpy() to an object too small", "KASAN")
{
	u8 *p = must_kmalloc(64), *q = must_kmalloc(100);
	size_t n = hide_size(65);

	CAUGHT_AT("slab-out-of-bounds", "write of size 65", p + 64, memcpy(p, q, n));
	CAUGHT_AT("slab-out-of-bounds", "write of size 65", p + 64, memmove(p, q, n));
	kfree(p);
	kfree(q);
}

SANITIZED(kasan_memcpy_from, "memcpy() or memcmp() of more than the object has", "KASAN")
{
	u8 *p = must_kmalloc(64), *q = must_kmalloc(100);
	size_t n = hide_size(65);

	CAUGHT_AT("slab-out-of-bounds", "read of size 65", p + 64, memcpy(q, p, n));
	CAUGHT_AT("slab-out-of-bounds", "read of size 65", p + 64, (void)memcmp(p, q, n));
	kfree(p);
	kfree(q);
}

SANITIZED(kasan_memmove_self, "memmove() within an object, past its end", "KASAN")
{
	u8 *p = must_kmalloc(64);
	size_t n = hide_size(64);

	memmove(p + 4, p, n - 4);
	CAUGHT_AT("slab-out-of-bounds", "write of size 64", p + 64, memmove(p + 4, p, n));
	kfree(p);
}

SANITIZED(kasan_negative, "memmove() or memset() of a negative size", "KASAN")
{
	u8 *p = must_kmalloc(64);
	size_t minus_2 = hide_size((size_t)-2);

	CAUGHT_AS("negative-size", "read", memmove(p, p + 4, minus_2));
	CAUGHT_AS("negative-size", "write", memset(p, 0, minus_2));
	kfree(p);
}

/* --- strings, bits and atomic operations --- */

SANITIZED(kasan_string, "a string without its end: strlen(), strchr(), strstr(), str_copy()",
          "KASAN")
{
	char *p = (char *)must_kmalloc(24), *q = (char *)must_kmalloc(24);

	memset(p, 'a', hide_size(24));
	CAUGHT_AT("slab-out-of-bounds", "read of size 1", p + 24, (void)strlen(hide(p)));
	CAUGHT_AT("slab-out-of-bounds", "read of size 1", p + 24, (void)strchr(hide(p), 'b'));
	CAUGHT_AT("slab-out-of-bounds", "read of size 1", p + 24, (void)strstr(hide(p), "b"));
	CAUGHT_AT("slab-out-of-bounds", "read of size 1", p + 24, str_copy(q, hide(p), 24));
	EXPECT_EQ(strnlen(hide(p), 24), 24);
	kfree(p);
	kfree(q);
}

SANITIZED(kasan_string_freed, "a freed string: strlen(), strcmp(), kstrdup()", "KASAN")
{
	char *p = (char *)must_kmalloc(24);

	kfree(p);
	CAUGHT_AT("slab-use-after-free", "read of size 1", p, (void)strlen(hide(p)));
	CAUGHT_AT("slab-use-after-free", "read of size 1", p, (void)strcmp(hide(p), "a"));
	CAUGHT_AT("slab-use-after-free", "read of size 1", p, kstrdup(hide(p), GFP_KERNEL));
}

SANITIZED(kasan_bits, "bits of a bitmap behind its end, one and many", "KASAN")
{
	u64 *map = (u64 *)must_kmalloc(16);

	map[0] = map[1] = 0;
	bitmap_set(map, 127);
	CAUGHT_AS("slab-out-of-bounds", "read", bitmap_set(map, hide_size(128)));
	EXPECT_PANIC("KASAN: slab-out-of-bounds", bitmap_clear(map, hide_size(130)));
	EXPECT_PANIC("KASAN: slab-out-of-bounds", (void)bitmap_count(map, hide_size(129)));
	EXPECT_PANIC("KASAN: slab-out-of-bounds", bitmap_zero(map, hide_size(200)));
	kfree(map);
	EXPECT_PANIC("KASAN: slab-use-after-free", bitmap_set(map, 0));
}

SANITIZED(kasan_atomic, "atomic operations behind an object", "KASAN")
{
	u32 *p = (u32 *)must_kmalloc(8), *bad = hide(p + 2), expected = 0;

	*p = 0;
	__atomic_add_fetch(p, 1, __ATOMIC_RELAXED);
	CAUGHT_AT("slab-out-of-bounds", "write of size 4", bad,
	          __atomic_add_fetch(bad, 1, __ATOMIC_RELAXED));
	CAUGHT_AT("slab-out-of-bounds", "write of size 4", bad,
	          __atomic_store_n(bad, 1, __ATOMIC_RELEASE));
	EXPECT_PANIC("KASAN: slab-out-of-bounds", __atomic_exchange_n(bad, 1, __ATOMIC_RELAXED));
	EXPECT_PANIC("KASAN: slab-out-of-bounds",
	             __atomic_compare_exchange_n(bad, &expected, 1, false, __ATOMIC_RELAXED,
	                                         __ATOMIC_RELAXED));
	EXPECT_PANIC("KASAN: slab-out-of-bounds", (void)__atomic_load_n(bad, __ATOMIC_ACQUIRE));
	kfree(p);
}

/* --- mempools --- */

SANITIZED(kasan_mempool, "write behind an element of a mempool", "KASAN")
{
	struct mempool *pool = must(mempool_create_kmalloc_pool(4, 100));
	u8 *p = must(mempool_alloc(pool, GFP_KERNEL));

	CAUGHT_AT("slab-out-of-bounds", "write of size 1", p + 100, write_byte(p + 100));
	mempool_free(p, pool);
	mempool_destroy(pool);
}

SANITIZED(kasan_mempool_freed, "read of an element that is back in its mempool", "KASAN")
{
	struct mempool *pool = must(mempool_create_kmalloc_pool(4, 100));
	u8 *p = must(mempool_alloc(pool, GFP_KERNEL));

	mempool_free(p, pool);
	CAUGHT_AT("slab-use-after-free", "read of size 1", p, read_byte(p));
	mempool_destroy(pool);
}

SANITIZED(kasan_mempool_large, "the same with elements of several pages", "KASAN")
{
	const size_t n = 3 * PAGE_SIZE + 8;
	struct mempool *pool = must(mempool_create_kmalloc_pool(2, n));
	u8 *p = must(mempool_alloc(pool, GFP_KERNEL));

	CAUGHT_AT("large-out-of-bounds", "write of size 1", p + n, write_byte(p + n));
	mempool_free(p, pool);
	EXPECT_PANIC("KASAN: page-use-after-free", read_byte(p));
	mempool_destroy(pool);
}

SANITIZED(kasan_mempool_pages, "write to a page that is back in its mempool", "KASAN")
{
	struct mempool *pool = must(mempool_create_page_pool(2, 1));
	struct page *page = must(mempool_alloc(pool, GFP_KERNEL));
	u8 *p = hide(page_address(page));

	write_byte(p + 2 * PAGE_SIZE - 1);
	mempool_free(page, pool);
	CAUGHT_AT("page-use-after-free", "write of size 1", p, write_byte(p));
	mempool_destroy(pool);
}
