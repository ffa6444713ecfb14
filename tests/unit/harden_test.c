/*
 * Hardening (mm/harden.h): who gets memory from where. On the host each test has a machine of its
 * own with all of it on; the kernel's must have been booted so (boot matrix: harden-all-*).
 */
#include "mm/slab_internal.h"

#include <mm/harden.h>
#include <mm/mm.h>

#if __STDC_HOSTED__
#include <tests/host/cpus.h>
#endif

#include "tests/model/expect.h"

#define NR_COPIES 16u

static const struct mm_hardening all = {
    .seed = 7,
    .slab_random = true,
    .kmalloc_data = true,
    .kmalloc_guard = true,
    .kmalloc_copies = NR_COPIES,
};

#if __STDC_HOSTED__
static struct mm_hardening former;

static bool begin_with(const struct mm_hardening *choice)
{
	former = mm_hardening();
	mm_harden(choice);
	host_machine_borrow(0, 1);
	return true;
}

static void end(void)
{
	EXPECT_SOUND(mm_check());
	mm_harden(&former);
	host_machine_return();
}
#else
static bool begin_with(const struct mm_hardening *choice)
{
	if (mm_hardening().kmalloc_copies == choice->kmalloc_copies && large_guard_on)
		return true;
	test_skip("needs kmalloc_copies=16 kmalloc_data kmalloc_guard");
	return false;
}

static void end(void)
{
	EXPECT_SOUND(mm_check());
}
#endif

static struct kmem_cache *cache_of(const void *p)
{
	struct slab_object_info info;

	ASSERT_TRUE(slab_object_of(p, &info));
	return info.cache;
}

/* An object of a class by the tag of the site with that number, freed again; its cache. */
static struct kmem_cache *cache_of_site(size_t size, gfp_t gfp, u32 site)
{
	void *p = kmalloc_any(size, gfp, TAG_FIRST_SITE + site);
	struct kmem_cache *c = cache_of(p);

	kfree(p);
	return c;
}

TEST(harden, a_call_site_has_one_copy_and_others_have_others)
{
	struct kmem_cache *of_site[64];
	u32 nr_others = 0;

	if (!begin_with(&all))
		return;
	for (u32 i = 0; i < ARRAY_SIZE(of_site); i++) {
		of_site[i] = cache_of_site(100, GFP_KERNEL, i);
		EXPECT_EQ(of_site[i]->size, 112);
		EXPECT_TRUE(str_matches("kmalloc-112-rnd-??", of_site[i]->name));
		EXPECT_TRUE(cache_of_site(100, GFP_KERNEL, i) == of_site[i]);
		EXPECT_TRUE(cache_of_site(100, GFP_KERNEL | __GFP_ZERO, i) == of_site[i]);
		nr_others += of_site[i] != of_site[0];
	}
	EXPECT_GT(nr_others, ARRAY_SIZE(of_site) / 2);
	EXPECT_EQ(kmalloc_cache[(100 - 1) / 16]->nr_slabs, 0);
	end();
}

/* kmalloc()'s ways in with a literal, with a size that comes late, with zeros, on a node. */
TEST(harden, every_way_leads_to_a_copy)
{
	volatile size_t size = 200;
	void *p[6];

	if (!begin_with(&all))
		return;
	p[0] = kmalloc(200, GFP_KERNEL);
	p[1] = kmalloc(size, GFP_KERNEL);
	p[2] = kzalloc(size, GFP_KERNEL);
	p[3] = kmalloc_node(size, GFP_KERNEL, 0);
	p[4] = krealloc(NULL, size, GFP_KERNEL);
	p[5] = krealloc(kmalloc(20, GFP_KERNEL), size, GFP_KERNEL);
	for (u32 i = 0; i < ARRAY_SIZE(p); i++) {
		EXPECT_TRUE(str_matches("kmalloc-224-rnd-??", cache_of(p[i])->name));
		EXPECT_EQ(ksize(p[i]), 224);
		kfree(p[i]);
	}
	end();
}

TEST(harden, data_have_classes_of_their_own)
{
	volatile size_t size = 200;
	void *p[6];

	if (!begin_with(&all))
		return;
	p[0] = kmalloc(200, GFP_KERNEL | __GFP_DATA);
	p[1] = kmalloc(size, GFP_KERNEL | __GFP_DATA);
	p[2] = kzalloc(size, GFP_KERNEL | __GFP_DATA);
	p[3] = kmalloc_node(size, GFP_KERNEL | __GFP_DATA, 0);
	p[4] = krealloc(kmalloc(20, GFP_KERNEL), size, GFP_KERNEL | __GFP_DATA);
	p[5] = kmalloc_any(size, GFP_ATOMIC | __GFP_DATA, ALLOC_TAG());
	for (u32 i = 0; i < ARRAY_SIZE(p); i++) {
		EXPECT_STREQ(cache_of(p[i])->name, "kmalloc-data-224");
		kfree(p[i]);
	}
	p[0] = kstrdup("text", GFP_KERNEL);
	EXPECT_STREQ(cache_of(p[0])->name, "kmalloc-data-16");
	kfree(p[0]);
	end();
}

/* What the compiler and the sanitizers do not see through. */
static __noinline __no_asan void poke(char *p, s64 at)
{
	__asm__ volatile("" : "+r"(p));
	*(volatile char *)(p + at) = 1;
}

static __noinline __no_asan void peek(char *p, s64 at)
{
	__asm__ volatile("" : "+r"(p));
	(void)*(volatile char *)(p + at);
}

/* The first access outside the pages, and not before. */
TEST(harden, a_large_block_lies_between_guard_pages)
{
	u64 pages;
	char *p;

	if (!begin_with(&all))
		return;
	pages = kmalloc_large_pages();
	p = kmalloc(20000, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	EXPECT_EQ(kmalloc_large_pages(), pages + 7);
	EXPECT_EQ(ksize(p), 20480);
	poke(p, 20479);
	EXPECT_PANIC("BUG: out of bounds right in kmalloc-large: object", poke(p, 20480));
	EXPECT_PANIC("+24575 (size 20000): read at", peek(p, 24575));
	poke(p, 0);
	EXPECT_PANIC("BUG: out of bounds left in kmalloc-large: object", peek(p, -1));
	EXPECT_PANIC("-4096 (size 20000): write at", poke(p, -4096));
	EXPECT_STREQ(object_bounds_fault(p - 1, 2), "before the start of the large kmalloc");
	EXPECT_STREQ(object_bounds_fault(p + 20479, 2), "past the end of the large kmalloc");
	EXPECT_NULL(object_bounds_fault(p, 20480));
	p = krealloc(p, 17000, GFP_KERNEL);
	poke(p, 20479);
	EXPECT_PANIC("(size 17000): write at", poke(p, 20480));
	p = krealloc(p, 30000, GFP_KERNEL);
	poke(p, 32767);
	EXPECT_PANIC("+32768 (size 30000): write at", poke(p, 32768));
	EXPECT_SOUND(kmalloc_check());
	kfree(p);
	end();
}

/* The page is anybody's when the block is freed. */
TEST(harden, a_guard_page_is_memory_again)
{
	char *p;

	if (!begin_with(&all))
		return;
	p = kmalloc(3 * PAGE_SIZE, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	kfree(p);
	for (u32 order = 0; order < 4; order++) {
		struct page *page = alloc_pages(GFP_KERNEL, order);

		ASSERT_NOT_NULL(page);
		memset(page_address(page), 1, PAGE_SIZE << order);
		free_pages(page, order);
	}
	p = kmalloc(4 * PAGE_SIZE, GFP_KERNEL | __GFP_ZERO);
	ASSERT_NOT_NULL(p);
	EXPECT_NULL(mem_find_other(p, 0, 4 * PAGE_SIZE));
	kfree(p);
	end();
}

#if __STDC_HOSTED__
TEST(harden, the_seed_says_which_copy)
{
	struct mm_hardening choice = all;
	u32 first[64], nr_equal = 0;

	for (u32 run = 0; run < 3; run++) {
		choice.seed = run == 2 ? 8 : 7;
		(void)begin_with(&choice);
		for (u32 i = 0; i < ARRAY_SIZE(first); i++) {
			const char *name = cache_of_site(100, GFP_KERNEL, i)->name;
			u32 copy = (u32)(name[16] - '0') * 10 + (u32)(name[17] - '0');

			if (run == 1)
				EXPECT_EQ(first[i], copy);
			nr_equal += run == 2 && first[i] == copy;
			first[i] = copy;
		}
		end();
	}
	EXPECT_LT(nr_equal, ARRAY_SIZE(first) / 2);
}

/* Of the pages inside a block that was never split nothing is known, of the first with bytes
 * either. */
TEST(harden, a_guarded_block_in_memory_that_was_never_split)
{
	void *p;

	(void)begin_with(&all);
	p = kmalloc(3 * MIB, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	EXPECT_NULL(page_lookup(page_to_pfn(virt_to_page(p))));
	EXPECT_EQ(ksize(p), 3 * MIB);
	kfree(p);
	EXPECT_EQ(kmalloc_large_pages(), 0);
	end();
}

TEST(harden, none_is_none)
{
	const struct mm_hardening none = {.kmalloc_copies = 1};
	void *p;

	(void)begin_with(&none);
	p = kmalloc(100, GFP_KERNEL | __GFP_DATA);
	EXPECT_STREQ(cache_of(p)->name, "kmalloc-112");
	kfree(p);
	p = kmalloc(20000, GFP_KERNEL);
	EXPECT_EQ(kmalloc_large_pages(), 5);
	kfree(p);
	end();
}

TEST(harden, more_copies_than_there_are)
{
	const struct mm_hardening many = {.kmalloc_copies = 99};

	former = mm_hardening();
	mm_harden(&many);
	EXPECT_EQ(mm_hardening().kmalloc_copies, KMALLOC_COPIES_MAX);
	mm_harden(&former);
}
#endif
