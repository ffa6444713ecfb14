/*
 * The leak finder, on roots that the tests give it: what they lead to, by whatever way, is no leak;
 * all else is, each with its size and call site.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/plain_cache.h"

static void *root[4];
static struct leak_report before, now;
static const struct page *passed_by;

static void give_roots(struct leak_scan *scan)
{
	leak_add_root(scan, root, root + ARRAY_SIZE(root));
	if (passed_by != NULL)
		leak_pass_by(scan, (struct page *)passed_by);
}

/* Unreferenced objects that were allocated in this file. Others are not looked at: nothing here
 * leads to what the machine itself has, but for old words on other CPUs' stacks, which come and go.
 */
static struct leak_site own(void)
{
	struct leak_site sum = {0};
	char name[96];

	EXPECT_LT(now.nr_sites, LEAK_SITES); /* all are listed */
	for (unsigned i = 0; i < now.nr_sites; i++)
		if (strstr(site_name(name, now.site[i].tag), "unreferenced_test.c") != NULL) {
			sum.objects += now.site[i].objects;
			sum.bytes += now.site[i].bytes;
		}
	return sum;
}

static u64 count(void)
{
	EXPECT_EQ(leak_find(give_roots, &now), 0);
	EXPECT_SOUND(mm_check());
	return own().objects;
}

static void begin(void)
{
	memset(root, 0, sizeof(root));
	passed_by = NULL;
	ASSERT_EQ(leak_find(give_roots, &before), 0);
}

/* All are zeroed: what their memory held before may lead anywhere. */
static void *must(void *p)
{
	ASSERT_NOT_NULL(p);
	return p;
}

static const struct leak_site *site_of(const char *function)
{
	char name[96];

	for (unsigned i = 0; i < now.nr_sites; i++)
		if (strstr(site_name(name, now.site[i].tag), function) != NULL)
			return &now.site[i];
	return NULL;
}

TEST(unreferenced, what_nothing_leads_to_is_found)
{
	void *p, *large;

	begin();
	p = must(kzalloc(100, GFP_KERNEL));
	EXPECT_EQ(count(), 1);
	EXPECT_EQ(own().bytes, 112);
	root[1] = p;
	EXPECT_EQ(count(), 0);
	large = must(kzalloc(50000, GFP_KERNEL));
	EXPECT_EQ(count(), 1);
	EXPECT_EQ(own().bytes, 50000);
	EXPECT_EQ(now.nr_objects, before.nr_objects + 2);
	root[0] = large;
	EXPECT_EQ(count(), 0);
	kfree(p);
	kfree(large);
}

static void *allocate_to_be_lost(void)
{
	return must(kzalloc(200, GFP_KERNEL));
}

static bool is_sample(const void *p)
{
	for (unsigned i = 0; i < now.nr_samples; i++)
		if (now.sample[i] == p)
			return true;
	return false;
}

TEST(unreferenced, it_is_reported_by_call_site_and_address)
{
	const struct leak_site *site;
	void *lost[3];

	begin();
	for (unsigned i = 0; i < 3; i++)
		lost[i] = allocate_to_be_lost();
	EXPECT_EQ(count(), 3);
	site = site_of("(allocate_to_be_lost)");
	ASSERT_NOT_NULL(site);
	EXPECT_EQ(site->objects, 3);
	EXPECT_EQ(site->bytes, 3 * 224);
	ASSERT_LE(now.nr_leaked, LEAK_SAMPLES); /* all addresses are listed */
	EXPECT_EQ(now.nr_samples, now.nr_leaked);
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_TRUE(is_sample(lost[i]));
		kfree(lost[i]);
	}
	EXPECT_EQ(count(), 0);
}

/* What lies beside them is somebody else's: it may be live, and lead to more. */
static void expect_not_found_beside(void *p, void *beside_p, void *large, void *beside_large)
{
	u64 both;

	root[0] = p;
	root[1] = large;
	root[2] = beside_p;
	root[3] = beside_large;
	both = count();
	root[0] = NULL;
	EXPECT_EQ(count(), both + 1);
	root[1] = NULL;
	EXPECT_EQ(count(), both + 2);
}

TEST(unreferenced, any_address_inside_leads_to_it_and_none_beside)
{
	struct kmem_cache *c = plain_cache_create("test", 64, 64, 0);
	char *p, *large;

	ASSERT_NOT_NULL(c);
	begin();
	p = must(kmem_cache_zalloc(c, GFP_KERNEL));
	large = must(kzalloc(20000, GFP_KERNEL));
	root[0] = p + 63;
	root[1] = large + 19999;
	EXPECT_EQ(count(), 0);
	expect_not_found_beside(p, p + 64, large, large - 1);
	expect_not_found_beside(p + 63, p - 1, large + 19999, large + 20480);
	kfree(large);
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* A chain needs one entry of the work list, however long it is. */
TEST(unreferenced, chains_are_followed)
{
	void **first = NULL;

	begin();
	for (unsigned i = 0; i < 3000; i++) {
		void **link = must(kzalloc(40, GFP_KERNEL));

		link[4] = first;
		first = link;
	}
	root[3] = first;
	EXPECT_EQ(count(), 0);
	EXPECT_EQ(now.nr_rounds, 0);
	root[3] = NULL;
	EXPECT_EQ(count(), 3000);
	while (first != NULL) {
		void **next = first[4];

		kfree(first);
		first = next;
	}
}

/* One object that leads to thousands: more than the work list holds. */
TEST(unreferenced, a_wide_heap_is_followed_in_rounds)
{
	enum { NR = 3000 };
	void **table = kcalloc(NR, sizeof(void *), GFP_KERNEL);

	ASSERT_NOT_NULL(table);
	begin();
	root[0] = table;
	for (unsigned i = 0; i < NR; i++) {
		void **middle = must(kzalloc(16, GFP_KERNEL));

		table[i] = middle;
		middle[0] = must(kzalloc(16, GFP_KERNEL));
	}
	EXPECT_EQ(count(), 0);
	EXPECT_GE(now.nr_rounds, 1);
	for (unsigned i = 0; i < NR; i++) {
		kfree(*(void **)table[i]);
		kfree(table[i]);
	}
	kfree(table);
}

TEST(unreferenced, a_ring_that_nothing_leads_to_is_lost)
{
	void **a, **b;

	begin();
	a = must(kzalloc(30, GFP_KERNEL));
	b = must(kzalloc(9000, GFP_KERNEL));
	*a = b;
	*b = a;
	EXPECT_EQ(count(), 2);
	root[2] = b;
	EXPECT_EQ(count(), 0);
	kfree(a);
	kfree(b);
}

TEST(unreferenced, what_was_freed_leads_nowhere)
{
	void **holder, *held;

	begin();
	held = must(kzalloc(100, GFP_KERNEL));
	holder = must(kzalloc(100, GFP_KERNEL));
	holder[2] = held;
	root[0] = holder;
	EXPECT_EQ(count(), 0);
	kfree(holder); /* its words stay as they were */
	EXPECT_EQ(count(), 1);
	kfree(held);
}

TEST(unreferenced, blocks_of_pages_are_roots_unless_passed_by)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_ZERO, 1);
	void **words, *p;

	ASSERT_NOT_NULL(page);
	begin();
	words = page_address(page + 1);
	p = must(kzalloc(100, GFP_KERNEL));
	words[511] = p;
	EXPECT_EQ(count(), 0);
	passed_by = page;
	EXPECT_EQ(count(), 1);
	free_pages(page, 1); /* which asks for flags of 0 */
	passed_by = NULL;
	kfree(p);
}

/* An object between guard pages leads to others while it lives, and is not judged itself. */
TEST(unreferenced, guarded_objects_are_roots)
{
	struct guard_options options = {.interval = 1, .nr_objects = 4};
	void **holder, *held;

	if (guard_on || mm_debug_letters("?") != 0) {
		test_skip("kfence= or slab_debug= is on");
		return;
	}
	begin();
	held = must(kzalloc(100, GFP_KERNEL));
	EXPECT_EQ(count(), 1);
	ASSERT_EQ(guard_start(&options), 0);
	slab_bypass(true);
	holder = must(kzalloc(64, GFP_KERNEL));
	slab_bypass(false);
	ASSERT_TRUE(guard_owns(holder));
	holder[7] = held;
	EXPECT_EQ(count(), 0);
	kfree(holder);
	EXPECT_EQ(count(), 1);
	EXPECT_EQ(guard_stop(), 0);
	kfree(held);
}

TEST(unreferenced, marks_are_gone_afterwards)
{
	struct slab_object_info info;
	void *p;

	begin();
	p = must(kzalloc(100, GFP_KERNEL));
	root[0] = p;
	EXPECT_EQ(count(), 0);
	ASSERT_TRUE(slab_object_of(p, &info));
	EXPECT_EQ(info.tag & TAG_MARK, 0);
	EXPECT_GE(info.tag, TAG_FIRST_SITE);
	EXPECT_PANIC("double free", {
		kfree(p);
		kfree(p);
	});
}
