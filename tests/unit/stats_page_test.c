/*
 * One page in words (stats_print_page(), stats_print_page_words()), held against a text that is put
 * together from the slab's own tags, letter by letter: for slabs of all shapes, with objects of
 * many owners and of few. On the host, where standard output can be caught.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/host/caught_text.h"
#include "tests/test.h"

/* --- the text that is expected --- */

static char expected[64 * 1024];
static size_t length;

static void say(const char *fmt, ...) __printf(1, 2);
static void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	length += vformat_buf(expected + length, sizeof(expected) - length, fmt, args);
	va_end(args);
}

static void say_page(u64 pfn)
{
	const struct page *head = page_block_of(pfn);
	u64 pages = page_block_pages(head);
	char size[16];

	length = 0;
	say("page frame %#lx, physical %#lx, address %p\n", pfn, pfn * PAGE_SIZE,
	    phys_to_virt(pfn * PAGE_SIZE));
	say("  type %s%s\n", page_type_name(head->type),
	    page_to_pfn(head) == pfn ? "" : " (inside the block)");
	say("  block of %lu pages (%s) at %#lx, order %u, node %u, zone %s\n", pages,
	    format_bytes(size, pages * PAGE_SIZE), (u64)page_to_pfn(head) * PAGE_SIZE, head->order,
	    page_zone(head)->node, page_zone(head)->name);
}

static void say_cache(const struct kmem_cache *c)
{
	struct kmem_cache_stats s;

	kmem_cache_stats((struct kmem_cache *)c, &s);
	say("  slab of cache %s: %u objects of %lu bytes in %u page(s)\n", s.name,
	    s.objects_per_slab, s.size, s.pages_per_slab);
}

/* The first sixteen that have a byte in the page, from one object's place to the next one's. */
static void expect_objects(const struct slab *s, u64 pfn)
{
	u64 start = (u64)phys_to_virt(pfn * PAGE_SIZE);
	const struct kmem_cache *c = s->cache;
	unsigned nr = 0;
	char name[96];

	say_page(pfn);
	say_cache(c);
	for (u32 i = 0; i < c->nr_objects; i++) {
		u64 object = s->base + (u64)i * c->stride;

		if (object + c->stride <= start || object >= start + PAGE_SIZE)
			continue;
		if (nr++ < 16)
			say("  %p  %s\n", (void *)object, site_name(name, s->tag[i]));
	}
	if (nr > 16)
		say("  ... and more\n");
	CATCH(stats_print_page(pfn));
	EXPECT_STREQ(text, expected);
}

static void say_picture(const struct slab *s)
{
	say("  objects of the slab: # live, c in a CPU's magazine, . free");
	for (u32 i = 0; i < s->cache->nr_objects; i++)
		say("%s%c", i % 64 == 0 ? "\n  " : "",
		    s->tag[i] == TAG_IN_SLAB       ? '.'
		    : s->tag[i] == TAG_IN_MAGAZINE ? 'c'
		                                   : '#');
	say("\n");
}

/* Live objects with this tag, if none before this one has it; else 0. */
static u32 first_of_tag(const struct slab *s, u32 index)
{
	u32 nr = 0;

	for (u32 i = 0; i < index; i++)
		if (s->tag[i] == s->tag[index])
			return 0;
	for (u32 i = index; i < s->cache->nr_objects; i++)
		nr += s->tag[i] == s->tag[index];
	return s->tag[index] < TAG_FIRST_SITE ? 0 : nr;
}

static struct {
	u32 tag, objects;
} owner[64];

/* All owners in the order of their first objects; where there are more than 32, the 32nd and those
 * that come later are one. Returns how many. */
static u32 collect_owners(const struct slab *s)
{
	u32 nr = 0;

	for (u32 i = 0; i < s->cache->nr_objects; i++) {
		u32 objects = first_of_tag(s, i);

		if (objects == 0)
			continue;
		if (nr == 32) {
			owner[31].tag = 0;
			owner[31].objects += objects;
			continue;
		}
		owner[nr].tag = s->tag[i];
		owner[nr++].objects = objects;
	}
	return nr;
}

static u32 most_of(u32 nr)
{
	u32 most = 0;

	for (u32 i = 0; i < nr; i++)
		if (owner[i].objects > owner[most].objects)
			most = i;
	return most;
}

static void expect_words(const struct slab *s, u64 pfn)
{
	u32 nr = collect_owners(s);
	char name[96];

	say_page(pfn);
	say_cache(s->cache);
	say_picture(s);
	for (u32 shown = 0; shown < nr && shown < 5; shown++) {
		u32 i = most_of(nr);

		say("  %4u by %s\n", owner[i].objects,
		    owner[i].tag == 0 ? "others" : site_name(name, owner[i].tag));
		owner[i].objects = 0;
	}
	if (nr > 5)
		say("  ... and more call sites: sites has them\n");
	CATCH(stats_print_page_words(pfn));
	EXPECT_STREQ(text, expected);
}

/* --- slabs --- */

enum { MOST = 512 }; /* objects of a slab of the smallest */

static struct slab *slab;
static void *object[MOST];
static u16 former[MOST];

static u16 *tag_of(void *p)
{
	struct slab_object_info info;

	ASSERT_TRUE(slab_object_of(p, &info));
	return &slab_of(p)->tag[info.index];
}

/* As many objects as a slab has, of one slab all or most; each with a tag of its own. */
static u32 fill(struct kmem_cache *c)
{
	u32 nr = c->nr_objects < MOST ? c->nr_objects : MOST;

	for (u32 i = 0; i < nr; i++) {
		object[i] = kmem_cache_alloc(c, GFP_KERNEL);
		ASSERT_NOT_NULL(object[i]);
		former[i] = *tag_of(object[i]);
	}
	slab = slab_of(object[nr / 2]);
	return nr;
}

/* Owners mixed, all with some; or one after the other, of which the last has most. */
static void own(u32 nr, u32 nr_owners, bool mixed)
{
	for (u32 i = 0; i < nr; i++) {
		u32 k = mixed ? i * 7919 % 101 % nr_owners : i < nr_owners ? i : nr_owners - 1;

		*tag_of(object[i]) = (u16)(TAG_FIRST_SITE + k);
	}
}

static void empty(struct kmem_cache *c, u32 nr)
{
	for (u32 i = 0; i < nr; i++) {
		*tag_of(object[i]) = former[i];
		kmem_cache_free(c, object[i]);
	}
}

static void expect_all_pages(void)
{
	u64 first = page_to_pfn(page_block_of(virt_to_phys(object[0]) >> PAGE_SHIFT));

	slab = slab_of(object[0]);
	for (u64 pfn = first; slab_of(phys_to_virt(pfn * PAGE_SIZE)) == slab; pfn++) {
		expect_objects(slab, pfn);
		expect_words(slab, pfn);
	}
}

TEST(stats_page, slabs_of_all_sizes)
{
	static const u32 sizes[] = {8, 24, 136, 200, 256, 272, 700, 1024, 2000, 3000, 5000, 9000};

	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct kmem_cache *c = kmem_cache_create("shape", sizes[i], 0, 0, NULL);
		u32 nr = fill(c);

		expect_all_pages();
		for (u32 k = 0; k < nr; k += 3)
			kmem_cache_free(c, object[k]);
		expect_all_pages();
		for (u32 k = 0; k < nr; k++)
			if (k % 3 != 0)
				kmem_cache_free(c, object[k]);
		EXPECT_EQ(kmem_cache_destroy(c), 0);
	}
}

/* The five that have most, by name as far as there is room for names; the first site's too. */
TEST(stats_page, owners_few_and_many)
{
	static const u32 nr_owners[] = {1, 2, 4, 5, 6, 7, 31, 32, 33, 34, 40, 97};
	struct kmem_cache *c = kmem_cache_create("owners", 8, 0, 0, NULL);
	u32 nr = fill(c);

	for (u32 i = 0; i < ARRAY_SIZE(nr_owners); i++) {
		own(nr, nr_owners[i], true);
		expect_words(slab, virt_to_phys(object[nr / 2]) >> PAGE_SHIFT);
		own(nr, nr_owners[i], false);
		expect_words(slab, virt_to_phys(object[nr / 2]) >> PAGE_SHIFT);
	}
	empty(c, nr);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Another CPU may take the slab apart between two looks. */
TEST(stats_page, a_slab_that_has_just_gone)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u64 pfn = page_to_pfn(page);

	ASSERT_NOT_NULL(page);
	page->slab = NULL;
	page->type = PAGE_SLAB;
	say_page(pfn);
	CATCH(stats_print_page(pfn));
	EXPECT_STREQ(text, expected);
	CATCH(stats_print_page_words(pfn));
	EXPECT_STREQ(text, expected);
	page->type = PAGE_ALLOCATED;
	free_page(page);
}

TEST(stats_page, no_slab_and_no_page)
{
	struct page *page = alloc_page(GFP_KERNEL);

	ASSERT_NOT_NULL(page);
	say_page(page_to_pfn(page));
	CATCH(stats_print_page_words(page_to_pfn(page)));
	EXPECT_STREQ(text, expected);
	free_page(page);
	CATCH(stats_print_page_words(0));
	EXPECT_TEXT("  not managed by the page allocator: no RAM, or reserved at boot\n");
}

TEST(stats_page, pages_of_the_second_node)
{
	static const struct mem_range memory[] = {{0, 64 * MIB, MEM_USABLE}};
	static const struct mm_topology two = {
	    .nr_nodes = 2,
	    .nr_ranges = 1,
	    .range = {{32 * MIB, 32 * MIB, 1}},
	};
	struct page *page;

	host_machine_borrow_nodes(memory, 1, &two, 1);
	page = alloc_pages_node(1, GFP_KERNEL, 2);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page_zone(page)->node, 1);
	say_page(page_to_pfn(page) + 1);
	CATCH(stats_print_page(page_to_pfn(page) + 1));
	EXPECT_STREQ(text, expected);
	host_machine_return();
}
#endif
