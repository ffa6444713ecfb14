/*
 * kmalloc: classes, large runs, and the malloc-shaped family. Wrong frees are in
 * kmalloc_fault_test.c, random operations in tests/model/object_model.c.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/free_memory.h"
#include "tests/model/hoard.h"

#define QUIET (GFP_NOWAIT | __GFP_NOWARN)

static struct hoard hoard;

static struct mm_usage usage_now(void)
{
	struct mm_usage usage;

	mm_usage(&usage);
	return usage;
}

/* Written out, so that the arithmetic in mm/kmalloc.c has something to be compared with. */
static const u16 classes[] = {16,   32,   48,   64,   80,   96,   112,  128,  160,  192,  224,
                              256,  320,  384,  448,  512,  640,  768,  896,  1024, 1280, 1536,
                              1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192};

TEST(kmalloc, classes)
{
	size_t size = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++)
		for (; size <= classes[i]; size++)
			ASSERT_EQ(kmalloc_class_size(size), classes[i]);
	EXPECT_EQ(size, KMALLOC_MAX_CLASS + 1);
	EXPECT_EQ(kmalloc_class_size(size), 0);
	EXPECT_EQ(kmalloc_class_size(SIZE_MAX), 0);
}

static void expect_block(size_t size)
{
	char *p = kmalloc(size, GFP_KERNEL), *q = kmalloc(size, GFP_KERNEL);
	size_t align = is_pow2(size) ? min_u64(size, PAGE_SIZE) : 8;

	ASSERT_TRUE(p != NULL && q != NULL);
	EXPECT_TRUE(is_aligned((u64)p, max_u64(align, 8)));
	EXPECT_GE(ksize(p), size);
	if (size <= KMALLOC_MAX_CLASS)
		EXPECT_EQ(ksize(p), kmalloc_class_size(size));
	else
		EXPECT_EQ(ksize(p), align_up(size, PAGE_SIZE));
	memset(p, 0x11, ksize(p));
	memset(q, 0x22, ksize(q));
	EXPECT_NULL(mem_find_other(p, 0x11, ksize(p)));
	kfree(p);
	EXPECT_NULL(mem_find_other(q, 0x22, ksize(q)));
	kfree(q);
}

TEST(kmalloc, blocks_of_every_class_and_its_edges)
{
	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++) {
		expect_block(classes[i] - 1u);
		expect_block(classes[i]);
		expect_block(classes[i] + 1u);
	}
	expect_block(1);
	expect_block(12288);
	expect_block(65536);
	expect_block(100001);
}

TEST(kmalloc, large_blocks_take_exactly_their_pages)
{
	static const u32 sizes[] = {8193, 12288, 12289, 20000, 65536, 65537, 200000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct mm_usage before = usage_now(), during;
		void *p = kmalloc(sizes[i], GFP_KERNEL);

		ASSERT_NOT_NULL(p);
		during = usage_now();
		EXPECT_EQ(during.large_pages - before.large_pages,
		          div_round_up(sizes[i], PAGE_SIZE));
		EXPECT_EQ(during.used_pages - before.used_pages, div_round_up(sizes[i], PAGE_SIZE));
		EXPECT_EQ(during.live_objects - before.live_objects, 1);
		EXPECT_EQ(virt_to_page(p)->bytes, sizes[i]);
		EXPECT_SOUND(kmalloc_check());
		kfree(p);
		EXPECT_EQ(usage_now().large_pages, before.large_pages);
		EXPECT_EQ(usage_now().used_pages, before.used_pages);
		EXPECT_EQ(usage_now().live_objects, before.live_objects);
	}
}

TEST(kmalloc, nothing)
{
	void *p = kmalloc(0, GFP_KERNEL);

	EXPECT_TRUE(p == ZERO_SIZE_PTR);
	EXPECT_EQ(ksize(p), 0);
	kfree(p);
	kfree(p);
	kfree(NULL);
	kfree_sensitive(NULL);
	kfree_sensitive(ZERO_SIZE_PTR);
	EXPECT_EQ(ksize(NULL), 0);
	EXPECT_TRUE(kzalloc(0, GFP_KERNEL) == ZERO_SIZE_PTR);
	EXPECT_TRUE(kmalloc_array(0, 8, GFP_KERNEL) == ZERO_SIZE_PTR);
	EXPECT_TRUE(kmalloc_array(8, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
	EXPECT_TRUE(krealloc(NULL, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
}

/* volatile: or the compiler warns of, or even answers, what is asked here. */
static volatile size_t huge;

TEST(kmalloc, impossible_sizes_give_null)
{
	huge = KMALLOC_MAX_SIZE + 1;
	EXPECT_NULL(kmalloc(huge, GFP_KERNEL));
	huge = SIZE_MAX;
	EXPECT_NULL(kmalloc(huge, GFP_KERNEL));
	EXPECT_NULL(kzalloc(huge, GFP_KERNEL));
	EXPECT_NULL(kmemdup("", huge, GFP_KERNEL));
	EXPECT_NULL(krealloc(NULL, huge, GFP_KERNEL));
	huge = SIZE_MAX / 8 + 2; /* times 8 is 8, if it wraps */
	EXPECT_NULL(kmalloc_array(huge, 8, GFP_KERNEL));
	EXPECT_NULL(kcalloc(huge, 8, GFP_KERNEL));
	EXPECT_NULL(kcalloc(8, huge, GFP_KERNEL));
	huge = 1ul << 32;
	EXPECT_NULL(kmalloc_array(huge, huge, GFP_KERNEL));
	EXPECT_NULL(kmalloc_node(8, GFP_KERNEL, MAX_NODES));
}

TEST(kmalloc, the_largest_size_is_one_block_of_the_highest_order)
{
	void *p = kmalloc(KMALLOC_MAX_SIZE, QUIET);

	if (p == NULL) {
		struct mm_usage usage = usage_now();
		struct page *page = alloc_pages(QUIET, MAX_ORDER);

		EXPECT_NULL(page);
		EXPECT_LT(usage.large_pages, 1u << MAX_ORDER);
		return; /* this machine has no gigabyte in one piece */
	}
	EXPECT_EQ(ksize(p), KMALLOC_MAX_SIZE);
	kfree(p);
}

TEST(kmalloc, zeroed)
{
	static const u32 sizes[] = {1, 16, 100, 512, 4096, 8192, 8193, 30000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *p = kmalloc(sizes[i], GFP_KERNEL);

		ASSERT_NOT_NULL(p);
		memset(p, 0x99, ksize(p));
		kfree(p);
		p = kzalloc(sizes[i], GFP_KERNEL);
		ASSERT_NOT_NULL(p);
		EXPECT_NULL(mem_find_other(p, 0, ksize(p)));
		memset(p, 0x99, ksize(p));
		kfree(p);
		p = kcalloc(sizes[i], 2, GFP_KERNEL);
		ASSERT_NOT_NULL(p);
		EXPECT_NULL(mem_find_other(p, 0, 2ul * sizes[i]));
		kfree(p);
	}
}

TEST(kmalloc, low_memory)
{
	static const u32 sizes[] = {1, 100, 4096, 5000, 20000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *dma = kmalloc(sizes[i], GFP_KERNEL | __GFP_DMA);
		char *dma32 = kmalloc(sizes[i], GFP_KERNEL | __GFP_DMA32);

		ASSERT_TRUE(dma != NULL && dma32 != NULL);
		EXPECT_LE(virt_to_phys(dma) + sizes[i], 16 * MIB);
		EXPECT_LE(virt_to_phys(dma32) + sizes[i], 4 * GIB);
		EXPECT_GE(ksize(dma), sizes[i]);
		kfree(dma);
		kfree(dma32);
	}
}

TEST(kmalloc, krealloc_to_low_memory_always_moves)
{
	char *p = kmalloc(100, GFP_KERNEL), *low;

	ASSERT_NOT_NULL(p);
	memset(p, 0x5a, 100);
	low = krealloc(p, 90, GFP_KERNEL | __GFP_DMA);
	ASSERT_NOT_NULL(low);
	EXPECT_TRUE(low != p);
	EXPECT_LE(virt_to_phys(low) + 90, 16 * MIB);
	EXPECT_NULL(mem_find_other(low, 0x5a, 90));
	kfree(low);
}

static void fill(char *p, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		p[i] = (char)(i * 7 + i / 251);
}

static bool is_filled(const char *p, size_t to)
{
	for (size_t i = 0; i < to; i++)
		if (p[i] != (char)(i * 7 + i / 251))
			return false;
	return true;
}

/* However small, it lies in pages of its own, not in a class. */
TEST(kmalloc, what_lies_low_shrinks_into_a_class)
{
	static const u16 sizes[] = {8192, 5000, 4096, 3000, 100, 1};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *low = kmalloc(8192, GFP_KERNEL | __GFP_DMA), *p;

		ASSERT_NOT_NULL(low);
		memset(low, 0x5c, 8192);
		p = krealloc(low, sizes[i], GFP_KERNEL);
		ASSERT_NOT_NULL(p);
		EXPECT_TRUE(p != low);
		EXPECT_GE(ksize(p), sizes[i]);
		EXPECT_LE(ksize(p), kmalloc_class_size(sizes[i])); /* less under slab_debug= */
		EXPECT_NULL(mem_find_other(p, 0x5c, sizes[i]));
		kfree(p);
	}
}

TEST(kmalloc, krealloc_keeps_the_contents)
{
	static const u32 sizes[] = {1,     16,   17,   64,  65,   1000, 1024, 8192, 8193,
	                            30000, 9000, 8192, 700, 8200, 100,  12,   1};
	char *p = NULL;
	size_t old = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		p = krealloc(p, sizes[i], GFP_KERNEL);
		ASSERT_NOT_NULL(p);
		EXPECT_GE(ksize(p), sizes[i]);
		EXPECT_TRUE(is_filled(p, min_u64(old, sizes[i])));
		fill(p, 0, sizes[i]);
		old = sizes[i];
	}
	EXPECT_TRUE(krealloc(p, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
	p = krealloc(ZERO_SIZE_PTR, 10, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	kfree(p);
}

TEST(kmalloc, krealloc_stays_where_it_fits)
{
	char *small = kmalloc(100, GFP_KERNEL), *large = kmalloc(20000, GFP_KERNEL);
	const struct page *head = page_block_of(virt_to_phys(large) >> PAGE_SHIFT);

	EXPECT_TRUE(krealloc(small, 112, GFP_KERNEL) == small);
	EXPECT_TRUE(krealloc(small, 97, GFP_KERNEL) == small);
	EXPECT_TRUE(krealloc(large, 20480, GFP_KERNEL) == large);
	EXPECT_EQ(head->bytes, 20480);
	EXPECT_TRUE(krealloc(large, 16385, GFP_KERNEL) == large);
	EXPECT_EQ(head->bytes, 16385);
	kfree(small);
	kfree(large);
}

TEST(kmalloc, krealloc_gives_back_what_a_smaller_size_does_not_need)
{
	struct mm_usage before = usage_now();
	char *p = kmalloc(100000, GFP_KERNEL);

	p = krealloc(p, 10000, GFP_KERNEL);
	EXPECT_EQ(usage_now().large_pages - before.large_pages, 3);
	p = krealloc(p, 500, GFP_KERNEL);
	EXPECT_EQ(usage_now().large_pages, before.large_pages);
	EXPECT_EQ(ksize(p), 512);
	p = krealloc(p, 10, GFP_KERNEL);
	EXPECT_EQ(ksize(p), 16);
	kfree(p);
}

TEST(kmalloc, krealloc_zeroes_what_it_adds)
{
	char *p = kmalloc(64, GFP_KERNEL);

	memset(p, 0xff, 64);
	p = krealloc(p, 5000, GFP_KERNEL | __GFP_ZERO);
	ASSERT_NOT_NULL(p);
	EXPECT_NULL(mem_find_other(p, 0xff, 64));
	EXPECT_NULL(mem_find_other(p + 64, 0, 5000 - 64));
	memset(p, 0xff, ksize(p));
	p = krealloc(p, 50000, GFP_KERNEL | __GFP_ZERO);
	ASSERT_NOT_NULL(p);
	EXPECT_NULL(mem_find_other(p, 0xff, 5000));
	EXPECT_NULL(mem_find_other(p + 5120, 0, 50000 - 5120));
	kfree(p);
}

TEST(kmalloc, a_krealloc_that_fails_leaves_the_block)
{
	char *small = kmalloc(100, GFP_KERNEL), *large = kmalloc(10000, GFP_KERNEL);

	ASSERT_TRUE(small != NULL && large != NULL);
	fill(small, 0, 100);
	fill(large, 0, 10000);
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_NULL(krealloc(small, 1 << 20, QUIET));
	EXPECT_NULL(krealloc(large, 1 << 20, QUIET));
	huge = SIZE_MAX;
	EXPECT_NULL(krealloc(small, huge, QUIET));
	hoard_drop_all(&hoard);
	EXPECT_TRUE(is_filled(small, 100));
	EXPECT_TRUE(is_filled(large, 10000));
	EXPECT_EQ(ksize(small), 112);
	EXPECT_EQ(ksize(large), 12288);
	kfree(small);
	kfree(large);
}

TEST(kmalloc, out_of_memory_gives_null)
{
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_NULL(kmalloc(20000, QUIET));
	EXPECT_NULL(kmalloc(9000, GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY));
	EXPECT_NULL(kmemdup("", 100000, QUIET));
	EXPECT_SOUND(mm_check());
	hoard_drop_all(&hoard);
}

TEST(kmalloc, copies)
{
	const char *text = "a string of some length";
	char *copy = kstrdup(text, GFP_KERNEL), *part = kmemdup(text, 8, GFP_KERNEL);

	EXPECT_STREQ(copy, text);
	EXPECT_TRUE(copy != text);
	ASSERT_NOT_NULL(part);
	EXPECT_EQ(memcmp(part, text, 8), 0);
	kfree(copy);
	kfree(part);
	EXPECT_NULL(kstrdup(NULL, GFP_KERNEL));
	EXPECT_TRUE(kmemdup(text, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
	copy = kstrdup("", GFP_KERNEL);
	EXPECT_STREQ(copy, "");
	kfree(copy);
}

TEST(kmalloc, sensitive_contents_are_wiped)
{
	static const u32 sizes[] = {16, 100, 4000, 20000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *p = kmalloc(sizes[i], GFP_KERNEL), *pin = kmalloc(sizes[i], GFP_KERNEL);
		size_t size = ksize(p);

		memset(p, 0x77, size);
		kfree_sensitive(p);
		EXPECT_NULL(free_memory_find_other(p, 0, size));
		kfree(pin);
	}
}

/* --- the fast ways, whose magazines have objects and room --- */

/* Leaves objects of the class in this context's magazine, but not all that fit. */
static void prime(size_t size)
{
	kfree(kmalloc(size, GFP_KERNEL));
}

TEST(kmalloc, krealloc_from_class_to_class)
{
	for (unsigned i = 0; i + 1 < ARRAY_SIZE(classes); i++) {
		char *p = kmalloc(classes[i], GFP_KERNEL), *q, *r;
		u64 live = usage_now().live_objects;

		ASSERT_NOT_NULL(p);
		prime(classes[i + 1]);
		prime(classes[i]);
		fill(p, 0, classes[i]);
		q = krealloc(p, classes[i] + 1u, GFP_KERNEL);
		ASSERT_NOT_NULL(q);
		EXPECT_TRUE(q != p);
		EXPECT_EQ(ksize(q), classes[i + 1]);
		EXPECT_TRUE(is_filled(q, classes[i]));
		EXPECT_EQ(usage_now().live_objects, live);
		r = kmalloc(classes[i], GFP_KERNEL);
		EXPECT_TRUE(r == p); /* it was freed last */
		kfree(r);
		kfree(q);
	}
}

/* The magazine of the smaller class has no room: what is left behind is freed all the same. */
TEST(kmalloc, krealloc_with_a_full_magazine)
{
	static char *blocks[MAGAZINE_SLOTS + 1];
	struct cpu_objects *o;
	struct kmem_cache *c;
	char *p = kmalloc(4096, GFP_KERNEL);

	c = slab_of(p)->cache;
	o = cpu_objects_of(c, (unsigned)mm_this(id));
	for (unsigned i = 0; i < c->capacity; i++)
		ASSERT_NOT_NULL(blocks[i] = kmalloc(4096, GFP_KERNEL));
	for (unsigned i = 0; i < c->capacity && o->top != o->limit; i++) {
		kfree(blocks[i]);
		blocks[i] = NULL;
	}
	EXPECT_TRUE(o->top == o->limit);
	prime(5000);
	fill(p, 0, 4096);
	p = krealloc(p, 5000, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	EXPECT_TRUE(is_filled(p, 4096));
	for (unsigned i = 0; i < c->capacity; i++)
		kfree(blocks[i]);
	kfree(p);
	EXPECT_SOUND(kmem_cache_check(c));
}

TEST(kmalloc, the_largest_class_is_no_large_block)
{
	struct mm_usage before = usage_now();
	char *p = kzalloc(KMALLOC_MAX_CLASS, GFP_KERNEL), *q = kmalloc(8000, GFP_KERNEL);
	char *same = krealloc(q, 7500, GFP_KERNEL);

	EXPECT_EQ(usage_now().large_pages, before.large_pages);
	EXPECT_EQ(usage_now().live_objects, before.live_objects + 2);
	EXPECT_TRUE(same == q);
	kfree(p);
	kfree(same);
}

TEST(kmalloc, strings_take_no_more_than_they_need)
{
	char *copy = kstrdup("fifteen letters", GFP_KERNEL);

	EXPECT_EQ(strlen(copy), 15);
	EXPECT_EQ(ksize(copy), 16);
	kfree(copy);
}

/* The first call site that there is has the smallest tag of a live object. */
TEST(kmalloc, blocks_of_the_first_call_site)
{
	char *p = kmalloc_any(100, GFP_KERNEL, TAG_FIRST_SITE), *q;

	ASSERT_NOT_NULL(p);
	EXPECT_EQ(ksize(p), 112);
	prime(200);
	q = krealloc_tag(p, 200, GFP_KERNEL, TAG_FIRST_SITE);
	ASSERT_NOT_NULL(q);
	EXPECT_EQ(ksize(q), 224);
	p = krealloc_tag(q, 100, GFP_KERNEL, TAG_FIRST_SITE);
	ASSERT_NOT_NULL(p);
	kfree_sensitive(p);
}

/* Every size to the byte: with a node named it is the class's that kmalloc() takes. */
TEST(kmalloc, a_named_node_changes_no_class)
{
	struct slab_object_info info;
	void *p, *q;

	for (size_t size = 1; size <= KMALLOC_MAX_CLASS; size += size < 64 ? 1 : 15) {
		p = kmalloc(size, GFP_KERNEL);
		q = kmalloc_node(size, GFP_KERNEL, 0);
		ASSERT_TRUE(p != NULL && q != NULL);
		EXPECT_EQ(ksize(q), ksize(p));
		kfree(p);
		kfree(q);
	}
	q = kmalloc_node(KMALLOC_MAX_CLASS, GFP_KERNEL, 0);
	EXPECT_TRUE(slab_object_of(q, &info));
	kfree(q);
	EXPECT_NULL(kmalloc_node(1 << 20, GFP_KERNEL, MAX_NODES));
}
