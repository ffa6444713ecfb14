/*
 * Call sites: numbers, names, and the sums of live objects by site.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

TEST(site, every_record_has_the_number_of_its_place)
{
	EXPECT_GT(site_count(), 1);
	for (u32 i = 0; i < site_count(); i++) {
		const struct alloc_site *site = site_of_tag(TAG_FIRST_SITE + i);

		ASSERT_NOT_NULL(site);
		EXPECT_EQ(site->tag, TAG_FIRST_SITE + i);
		EXPECT_NOT_NULL(site->file);
		EXPECT_NOT_NULL(site->function);
		EXPECT_GT(site->line, 0);
	}
	EXPECT_NULL(site_of_tag(TAG_IN_SLAB));
	EXPECT_NULL(site_of_tag(TAG_IN_MAGAZINE));
	EXPECT_NULL(site_of_tag(TAG_FIRST_SITE + site_count()));
	EXPECT_NULL(site_of_tag(~0u));
}

TEST(site, a_line_is_one_site)
{
	const struct alloc_site *last = NULL, *other = ALLOC_SITE();

	for (unsigned i = 0; i < 3; i++) {
		const struct alloc_site *site = ALLOC_SITE();

		EXPECT_TRUE(last == NULL || site == last);
		last = site;
	}
	EXPECT_TRUE(last != other);
	EXPECT_NE(last->tag, other->tag);
	EXPECT_TRUE(site_of_tag(last->tag) == last);
}

TEST(site, names)
{
	const struct alloc_site *site = ALLOC_SITE();
	char name[96], expected[96];

	format_buf(expected, sizeof(expected), "%s:%u (%s)", __FILE__, site->line, __func__);
	EXPECT_STREQ(site_name(name, site->tag), expected);
	EXPECT_STREQ(site_name(name, TAG_IN_SLAB), "free");
	EXPECT_STREQ(site_name(name, TAG_IN_MAGAZINE), "cached");
	EXPECT_STREQ(site_name(name, 65535), "unknown site 65535");
}

static u32 tag_of(const void *object)
{
	struct slab_object_info info = {0};

	EXPECT_TRUE(slab_object_of(object, &info));
	return info.tag;
}

/* Each use of a macro is a site of its own, and the object carries the last one. */
TEST(site, objects_know_who_asked_for_them)
{
	const struct alloc_site *site;
	u32 line;
	char *p;

	p = kmalloc(30, GFP_KERNEL), line = __LINE__;
	ASSERT_NOT_NULL(p);
	site = site_of_tag(tag_of(p));
	ASSERT_NOT_NULL(site);
	EXPECT_EQ(site->line, line);
	EXPECT_STREQ(site->file, __FILE__);
	EXPECT_STREQ(site->function, __func__);
	p = krealloc(p, 300, GFP_KERNEL), line = __LINE__;
	site = site_of_tag(tag_of(p));
	ASSERT_NOT_NULL(site);
	EXPECT_EQ(site->line, line);
	kfree(p);
	EXPECT_EQ(tag_of(p), TAG_IN_MAGAZINE);
	p = kstrdup("text", GFP_KERNEL), line = __LINE__;
	EXPECT_EQ(site_of_tag(tag_of(p))->line, line);
	kfree(p);
	p = kzalloc(20000, GFP_KERNEL), line = __LINE__;
	ASSERT_NOT_NULL(p);
	EXPECT_EQ(site_of_tag(page_block_of(page_to_pfn(virt_to_page(p)))->site)->line, line);
	kfree(p);
}

struct sums {
	u32 tag;
	u64 objects, bytes, all_objects;
};

static void visit(void *context, u32 tag, u64 objects, u64 bytes)
{
	struct sums *sums = context;

	EXPECT_GT(objects, 0);
	EXPECT_NOT_NULL(site_of_tag(tag));
	sums->all_objects += objects;
	if (tag == sums->tag) {
		sums->objects += objects;
		sums->bytes += bytes;
	}
}

static struct sums sums_of(u32 tag)
{
	struct sums sums = {.tag = tag};

	slab_visit_sites(visit, &sums);
	return sums;
}

static void *alloc_here(size_t size)
{
	return kmalloc(size, GFP_KERNEL);
}

TEST(site, live_objects_are_summed_by_site)
{
	void *small[70], *large[3], *probe = alloc_here(8);
	u32 tag = tag_of(probe);
	struct sums sums;

	kfree(probe);
	EXPECT_EQ(sums_of(tag).objects, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(small); i++)
		ASSERT_NOT_NULL(small[i] = alloc_here(100));
	for (unsigned i = 0; i < ARRAY_SIZE(large); i++)
		ASSERT_NOT_NULL(large[i] = alloc_here(20001));
	sums = sums_of(tag);
	EXPECT_EQ(sums.objects, 73);
	EXPECT_EQ(sums.bytes, 70 * 112 + 3 * 20001);
	for (unsigned i = 0; i < ARRAY_SIZE(small); i += 2)
		kfree(small[i]);
	kfree(large[1]);
	sums = sums_of(tag);
	EXPECT_EQ(sums.objects, 35 + 2);
	EXPECT_EQ(sums.bytes, 35 * 112 + 2 * 20001);
	for (unsigned i = 1; i < ARRAY_SIZE(small); i += 2)
		kfree(small[i]);
	kfree(large[0]);
	kfree(large[2]);
	EXPECT_EQ(sums_of(tag).objects, 0);
}

/* The manager's own objects have sites too, but are nobody's live objects. */
TEST(site, the_sums_cover_all_live_objects)
{
	struct mm_usage usage;
	void *p = kmalloc(10, GFP_KERNEL);

	mm_usage(&usage);
	EXPECT_GE(sums_of(0).all_objects, usage.live_objects);
	EXPECT_GT(usage.live_objects, 0);
	kfree(p);
}
