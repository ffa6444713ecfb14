/*
 * Writes beside objects and into freed ones, and whose objects they were: what `slab_debug=` finds,
 * in caches that are created with it. Each is repaired after its line.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <mm/reclaim.h>

#include "tests/misuse/misuse.h"
#include "tests/model/debugged.h"
#include "tests/model/page_gaps.h"
#include "tests/model/waiting_pages.h"

#define SIZE 100u

static struct kmem_cache *c;

static char *object_with(const char *letters)
{
	debugged_begin(letters);
	c = kmem_cache_create("planted", SIZE, 0, 0, NULL);
	debugged_end();
	ASSERT_NOT_NULL(c);
	return must(kmem_cache_alloc(c, GFP_KERNEL));
}

static void destroy(char *p)
{
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

MISUSE(byte_behind, "one byte written behind an object", TIER_BOOT, "at the free (Z)",
       "the same with slab_debug=Z; KASAN at the access")
{
	char *p = object_with("Z");
	u8 was = plant(p + SIZE, 0x41);

	CAUGHT(kmem_cache_free(c, p),
	       "BUG: right red zone overwritten in planted: object %p+100 (size 100) is 0x41, not "
	       "0xcc, by ",
	       (void *)p);
	(void)plant(p + SIZE, was);
	destroy(p);
}

MISUSE(byte_before, "one byte written before an object", TIER_BOOT, "at the free (Z)",
       "the same with slab_debug=Z; KASAN at the access")
{
	char *p = object_with("Z");
	u8 was = plant(p - 1, 0x41);

	CAUGHT(
	    kmem_cache_free(c, p),
	    "BUG: left red zone overwritten in planted: object %p-1 (size 100) is 0x41, not 0xcc, "
	    "by ",
	    (void *)p);
	(void)plant(p - 1, was);
	destroy(p);
}

static void write_freed(char *p, u64 at)
{
	u8 was;

	kmem_cache_free(c, p);
	was = plant(p + at, 0x41);
	CAUGHT((void)kmem_cache_alloc(c, GFP_KERNEL),
	       "BUG: write after free in planted: object %p+%lu (size 100) is 0x41, not 0x6b, by ",
	       (void *)p, at);
	(void)plant(p + at, was);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

MISUSE(first_byte_freed, "first byte of a freed object written", TIER_BOOT,
       "at the next allocation of it (P)", "the same with slab_debug=P; KASAN at the access")
{
	write_freed(object_with("P"), 0);
}

MISUSE(byte_50_freed, "50th byte of a freed object written", TIER_BOOT,
       "at the next allocation of it (P)", "the same with slab_debug=P; KASAN at the access")
{
	write_freed(object_with("P"), 49);
}

MISUSE(zone_of_freed, "red zone of a freed object written", TIER_BOOT,
       "at the next allocation of it (Z)", "the same with slab_debug=Z")
{
	char *p = object_with("Z");
	u8 was;

	kmem_cache_free(c, p);
	was = plant(p + SIZE, 0x41);
	CAUGHT((void)kmem_cache_alloc(c, GFP_KERNEL),
	       "BUG: right red zone overwritten in planted: object %p+100 (size 100) is 0x41",
	       (void *)p);
	(void)plant(p + SIZE, was);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

MISUSE(neighbour_damaged, "a neighbour's red zone written", TIER_BOOT,
       "at the next allocation or free in that slab (F)", "the same with slab_debug=FZ")
{
	char *p = object_with("FZP"), *q = must(kmem_cache_alloc(c, GFP_KERNEL));
	u8 was = plant(q + SIZE, 0x41);

	CAUGHT(kmem_cache_free(c, p),
	       "BUG: right red zone overwritten in planted: object %p+100 (size 100) is 0x41",
	       (void *)q);
	(void)plant(q + SIZE, was);
	kmem_cache_free(c, q);
	destroy(p);
}

/* 18 bytes of a class of 32. */
MISUSE(byte_behind_the_asked,
       "one byte written behind those that were asked for, in a larger class", TIER_BOOT,
       "at the free (Z)", "the same with slab_debug=Z (6.2); KASAN at the access")
{
	char *p;
	u8 was;

	debugged_begin("Z");
	c = must(kmem_cache_create("planted", 32, 0, 0, NULL));
	debugged_end();
	p = must((char *)slab_debug_alloc(c, GFP_KERNEL, ALLOC_TAG(), 18, ANY_NODE));
	was = plant(p + 18, 0x41);
	CAUGHT(kmem_cache_free(c, p),
	       "BUG: right red zone overwritten in planted: object %p+18 (size 18) is 0x41, not "
	       "0xcc, by ",
	       (void *)p);
	(void)plant(p + 18, was);
	destroy(p);
}

MISUSE(last_byte_freed, "last byte of a freed object written", TIER_BOOT,
       "at the next allocation of it (P)", "the same with slab_debug=P; KASAN at the access")
{
	char *p = object_with("P");
	u8 was;

	kmem_cache_free(c, p);
	was = plant(p + SIZE - 1, 0x41);
	CAUGHT((void)kmem_cache_alloc(c, GFP_KERNEL),
	       "BUG: write after free in planted: object %p+99 (size 100) is 0x41, not 0xa5, by ",
	       (void *)p);
	(void)plant(p + SIZE - 1, was);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* The constructor's work is summed: the byte is not known, that there is one is. */
static void construct(void *object)
{
	memset(object, 0x5c, SIZE);
}

MISUSE(constructed_freed, "a freed object of a constructor written", TIER_BOOT,
       "at the next allocation of it (P)",
       "nothing: such caches are not poisoned; KASAN at the access")
{
	char *p;
	u8 was;

	debugged_begin("P");
	c = must(kmem_cache_create("planted", SIZE, 0, 0, construct));
	debugged_end();
	p = must(kmem_cache_alloc(c, GFP_KERNEL));
	kmem_cache_free(c, p);
	was = plant(p + 40, 0x41);
	CAUGHT((void)kmem_cache_alloc(c, GFP_KERNEL), "in planted: object %p+", (void *)p);
	(void)plant(p + 40, was);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Where Linux keeps the link of its free list, and the first word: nothing of the allocator's lies
 * there, so in release builds neither steers it. */
LEGAL(words_of_a_freed_object_steer_nothing)
{
	char *p[3];

	c = must(kmem_cache_create("planted", SIZE, 0, SLAB_NO_MAGAZINE | SLAB_NO_DEBUG, NULL));
	for (unsigned i = 0; i < 3; i++)
		p[i] = must(kmem_cache_alloc(c, GFP_KERNEL));
	kmem_cache_free(c, p[1]);
	for (unsigned at = 0; at < SIZE; at++)
		(void)plant(p[1] + at, 0x41);
	EXPECT_NULL(kmem_cache_check(c));
	p[1] = must(kmem_cache_alloc(c, GFP_KERNEL));
	EXPECT_TRUE(p[1] != p[0] && p[1] != p[2]);
	kmem_cache_free(c, p[0]);
	kmem_cache_free(c, p[1]);
	destroy(p[2]);
}

/* What krealloc() adds is zero, to the byte, under all letters. */
LEGAL(krealloc_zeroes_what_it_adds)
{
	for (size_t size = 18; size < 3000; size *= 2) {
		char *p = must(kzalloc(size, GFP_KERNEL));
		size_t old = ksize(p);

		memset(p, 0x7f, old);
		p = must(krealloc(p, old * 2, GFP_KERNEL | __GFP_ZERO));
		EXPECT_NULL(mem_find_other(p, 0x7f, old));
		EXPECT_NULL(mem_find_other(p + old, 0, old));
		kfree(p);
	}
}

static struct kmem_cache *other;
static unsigned nr_inner;

/* In the middle of a cache's growth: from another cache, from kmalloc(), and pages. */
static void construct_with_more(void *object)
{
	void *p = kmem_cache_alloc(other, GFP_KERNEL), *q = kmalloc(100, GFP_KERNEL);
	struct page *page = alloc_page(GFP_KERNEL);

	nr_inner += p != NULL && q != NULL && page != NULL;
	memset(object, 1, SIZE);
	kmem_cache_free(other, p);
	kfree(q);
	if (page != NULL)
		free_page(page);
}

LEGAL(allocations_inside_a_constructor)
{
	char *p;

	nr_inner = 0;
	other = must(kmem_cache_create("other", 200, 0, SLAB_NO_MAGAZINE, NULL));
	c = must(kmem_cache_create("planted", SIZE, 0, 0, construct_with_more));
	p = must(kmem_cache_alloc(c, GFP_KERNEL));
	EXPECT_GT(nr_inner, 0);
	destroy(p);
	EXPECT_EQ(kmem_cache_destroy(other), 0);
}

/* And inside the allocator's own wait for memory: a shrinker that allocates and frees. */
static u64 shrink_with_more(struct shrinker *self, u64 nr)
{
	void *p = kmalloc(100, GFP_NOWAIT), *q = kmem_cache_alloc(c, GFP_NOWAIT);

	(void)self;
	(void)nr;
	nr_inner += p != NULL && q != NULL;
	kfree(p);
	kmem_cache_free(c, q);
	return 0;
}

LEGAL(allocations_inside_a_shrinker)
{
	static struct shrinker shrinker = {.name = "planted", .scan = shrink_with_more};

	nr_inner = 0;
	c = must(kmem_cache_create("planted", SIZE, 0, 0, NULL));
	register_shrinker(&shrinker);
	(void)reclaim_pages(1);
	unregister_shrinker(&shrinker);
	EXPECT_GT(nr_inner, 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

MISUSE(byte_behind_pages, "one byte written behind a block of pages", TIER_BOOT,
       "at the free (page_red_zones=1)", "nothing")
{
	struct page *page;
	char *p;
	u8 was;

	page_gaps_begin();
	page = must(alloc_pages(GFP_KERNEL, 2));
	p = page_address(page);
	was = plant(p + 4 * PAGE_SIZE, 0x41);
	CAUGHT(free_pages(page, 2),
	       "BUG: right red zone overwritten in pages: object %p+16384 (size 16384) is "
	       "0x41, "
	       "not 0xcc",
	       (void *)p);
	(void)plant(p + 4 * PAGE_SIZE, was);
	free_pages(page, 2);
	page_gaps_end();
}

/* Without the quarantine the next owner has the very page, and the write is into its data. */
MISUSE(page_reused, "write to a freed page, after the next one was given out", TIER_BOOT,
       "when the page leaves the quarantine (PQ)", "nothing; KASAN, until the page is used again")
{
	struct page *page, *next;
	char *p;

	if (!waiting_pages_begin(16))
		return;
	page = must(alloc_page(GFP_KERNEL));
	p = page_address(page);
	free_page(page);
	next = must(alloc_page(GFP_KERNEL));
	(void)plant(p + 100, 0x41);
	EXPECT_TRUE(next != page);
	CAUGHT(drain_cpu_pages(),
	       "BUG: write after free in pages: object %p+100 (size 4096) is 0x41, not 0xaa",
	       (void *)p);
	(void)plant(p + 100, POISON_PAGE);
	free_page(next);
	waiting_pages_end();
}

/* With all letters what is right stays silent, to the last byte. */
LEGAL(every_byte_of_a_debugged_object)
{
	char *p = object_with("FZPUQ");

	for (unsigned i = 0; i < 50; i++) {
		memset(p, 0xcc, SIZE);
		kmem_cache_free(c, p);
		p = must(kmem_cache_alloc(c, GFP_KERNEL));
	}
	memset(p, 0x6b, SIZE);
	destroy(p);
}
