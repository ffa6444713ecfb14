/*
 * What the sanitizer's build finds in objects (CONFIG=kasan): accesses beside them, too wide for
 * them, and after their free. The classes are those of Linux's mm/kasan/kasan_test_c.c.
 *
 * A report comes before the access, so no bug does any harm, and each is planted more than once.
 */
#include "tests/misuse/kernel/kasan_misuse.h"

#include <lib/bits.h>
#include <mm/mm.h>

/* --- beside an object --- */

SANITIZED(kasan_right, "write behind an object, at the first byte that was not asked for", "KASAN")
{
	u8 *p = must_kmalloc(115);

	write_byte(p + 114);
	CAUGHT_AT("slab-out-of-bounds", "write of size 1", p + 115, write_byte(p + 115));
	kfree(p);
}

/* An object that does not begin its page: what lies before it is of the same slab. */
SANITIZED(kasan_left, "read before an object", "KASAN")
{
	u8 *p = must_kmalloc(100), *q = must_kmalloc(100);
	u8 *at = is_aligned((u64)p, PAGE_SIZE) ? q : p;

	CAUGHT_AT("slab-out-of-bounds", "read of size 1", at - 1, read_byte(at - 1));
	kfree(p);
	kfree(q);
}

SANITIZED(kasan_neighbour, "write behind an object, between two that live", "KASAN")
{
	u8 *p = must_kmalloc(64), *q = must_kmalloc(64);

	CAUGHT_AT("slab-out-of-bounds", "write of size 1", p + 64, write_byte(p + 64));
	CAUGHT_AT("slab-out-of-bounds", "write of size 1", q + 64, write_byte(q + 64));
	kfree(p);
	kfree(q);
}

SANITIZED(kasan_node, "write behind an object of kmalloc_node()", "KASAN")
{
	u8 *p = hide(kmalloc_node(4096, GFP_KERNEL, 0));

	ASSERT_NOT_NULL(p);
	CAUGHT_AT("slab-out-of-bounds", "write of size 1", p + 4096, write_byte(p + 4096));
	kfree(p);
}

SANITIZED(kasan_krealloc_more, "write behind what krealloc() enlarged", "KASAN")
{
	u8 *p = hide(krealloc(must_kmalloc(17), 19, GFP_KERNEL));

	ASSERT_NOT_NULL(p);
	write_byte(p + 18);
	CAUGHT_AT("slab-out-of-bounds", "write of size 1", p + 19, write_byte(p + 19));
	kfree(p);
}

SANITIZED(kasan_krealloc_less, "write behind what krealloc() made smaller, in place", "KASAN")
{
	u8 *p = hide(krealloc(must_kmalloc(100), 99, GFP_KERNEL));

	ASSERT_NOT_NULL(p);
	CAUGHT_AT("slab-out-of-bounds", "write of size 1", p + 99, write_byte(p + 99));
	kfree(p);
}

SANITIZED(kasan_ksize, "write behind what ksize() told of", "KASAN, from the size asked for on")
{
	u8 *p = must_kmalloc(115);
	size_t room = ksize(p);

	write_byte(p + room - 1);
	CAUGHT_AT("slab-out-of-bounds", "write of size 1", p + room, write_byte(p + room));
	kfree(p);
}

SANITIZED(kasan_cache, "read behind an object of a cache", "KASAN")
{
	struct kmem_cache *c = must(kmem_cache_create("planted", 200, 0, 0, NULL));
	u8 *p = must(kmem_cache_alloc(c, GFP_KERNEL));

	CAUGHT_AT("slab-out-of-bounds", "read of size 1", p + 200, read_byte(p + 200));
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- wide accesses --- */

struct wide {
	u64 a, b;
};

static __noinline void copy_wide(struct wide *to, const struct wide *from)
{
	*to = *from;
}

SANITIZED(kasan_wide, "16 bytes written to an object of 13", "KASAN")
{
	struct wide *from = (void *)must_kmalloc(16), *to = (void *)must_kmalloc(13);

	CAUGHT_AS("slab-out-of-bounds", "write", copy_wide(to, from));
	kfree(to);
	kfree(from);
}

SANITIZED(kasan_straddling, "a word that begins inside an object and ends outside", "KASAN")
{
	u8 *p = must_kmalloc(12);

	read_word(p + 4);
	CAUGHT_AT("slab-out-of-bounds", "read of size 8", p + 12, read_word(p + 5));
	kfree(p);
}

/* --- after the free --- */

SANITIZED(kasan_freed_write, "write to a freed object, anywhere in it", "KASAN")
{
	u8 *p = must_kmalloc(100);

	kfree(p);
	CAUGHT_AT("slab-use-after-free", "write of size 1", p, write_byte(p));
	CAUGHT_AT("slab-use-after-free", "write of size 1", p + 99, write_byte(p + 99));
}

SANITIZED(kasan_freed_read, "read of a freed object", "KASAN")
{
	u8 *p = must_kmalloc(100);

	kfree(p);
	CAUGHT_AT("slab-use-after-free", "read of size 8", p + 8, read_word(p + 8));
}

SANITIZED(kasan_freed_memset, "memset() of a freed object", "KASAN")
{
	u8 *p = must_kmalloc(100);
	size_t n = hide_size(100);

	kfree(p);
	CAUGHT_AT("slab-use-after-free", "write of size 100", p, memset(p, 0, n));
}

SANITIZED(kasan_freed_wide, "16 bytes copied from a freed object", "KASAN")
{
	struct wide *from = (void *)must_kmalloc(16), *to = (void *)must_kmalloc(16);

	kfree(from);
	CAUGHT_AS("slab-use-after-free", "read", copy_wide(to, from));
	kfree(to);
}

SANITIZED(kasan_freed_sensitive, "read of an object after kfree_sensitive()", "KASAN")
{
	u8 *p = must_kmalloc(100);

	kfree_sensitive(p);
	CAUGHT_AT("slab-use-after-free", "read of size 1", p, read_byte(p));
}

SANITIZED(kasan_krealloc_moved, "write through the old pointer after krealloc()", "KASAN")
{
	u8 *p = must_kmalloc(64), *moved = hide(krealloc(p, 1000, GFP_KERNEL));

	ASSERT_NE(moved, p);
	CAUGHT_AT("slab-use-after-free", "write of size 1", p, write_byte(p));
	kfree(moved);
}

/* Without the quarantine the next object of the size would be this one. */
SANITIZED(kasan_freed_long_ago, "write to a freed object, after many others of its size came",
          "KASAN (its quarantine)")
{
	u8 *p = must_kmalloc(100);

	kfree(p);
	for (unsigned i = 0; i < 100; i++)
		kfree(must_kmalloc(100));
	CAUGHT_AT("slab-use-after-free", "write of size 1", p + 7, write_byte(p + 7));
}

SANITIZED(kasan_cache_freed, "write to a freed object of a cache", "KASAN")
{
	struct kmem_cache *c = must(kmem_cache_create("planted", 200, 0, 0, NULL));
	u8 *p = must(kmem_cache_alloc(c, GFP_KERNEL));

	kmem_cache_free(c, p);
	CAUGHT_AT("slab-use-after-free", "write of size 1", p, write_byte(p));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static void construct(void *object)
{
	memset(object, 0x5a, hide_size(64));
}

SANITIZED(kasan_constructed_freed, "read of a freed object of a cache with a constructor", "KASAN")
{
	struct kmem_cache *c = must(kmem_cache_create("planted", 64, 0, 0, construct));
	u8 *p = must(kmem_cache_alloc(c, GFP_KERNEL));

	EXPECT_EQ(p[63], 0x5a);
	kmem_cache_free(c, p);
	CAUGHT_AT("slab-use-after-free", "read of size 1", p + 63, read_byte(p + 63));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

SANITIZED(kasan_bulk_freed, "write to an object after kmem_cache_free_bulk()", "KASAN")
{
	struct kmem_cache *c = must(kmem_cache_create("planted", 100, 0, 0, NULL));
	void *p[10];

	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, ARRAY_SIZE(p), p), ARRAY_SIZE(p));
	kmem_cache_free_bulk(c, ARRAY_SIZE(p), p);
	CAUGHT_AT("slab-use-after-free", "write of size 1", p[9], write_byte(p[9]));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- what is right --- */

LEGAL(kasan_bulk)
{
	struct kmem_cache *c = must(kmem_cache_create("planted", 100, 0, 0, NULL));
	void *p[70];

	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, ARRAY_SIZE(p), p), ARRAY_SIZE(p));
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		memset(p[i], 1, hide_size(100));
	kmem_cache_free_bulk(c, ARRAY_SIZE(p), p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

LEGAL(kasan_kfree_by_the_page_and_by_the_physical_address)
{
	u8 *p = must_kmalloc(100);
	u64 offset = (u64)p % PAGE_SIZE;

	kfree((u8 *)page_address(virt_to_page(p)) + offset);
	p = must_kmalloc(100);
	kfree(phys_to_virt(virt_to_phys(p)));
}

/* What was refused is still the caller's. */
LEGAL(kasan_use_after_a_free_that_was_refused)
{
	u8 *p = must_kmalloc(100);

	EXPECT_PANIC("kfree: ", kfree(p + 1));
	EXPECT_PANIC("kfree: ", kfree(p + 16));
	memset(p, 1, hide_size(100));
	kfree(p);
}
