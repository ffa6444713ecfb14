/*
 * Who asked for pages: an event of a block has the number of the call, which has a name.
 */
#include "mm/event_record.h"

#include <mm/mm.h>

#include <tests/test.h>

static void start(void)
{
	ASSERT_EQ(event_start(&(struct event_options){.groups = EVENT_GROUP_PAGES}), 0);
}

static void stop(void)
{
	EXPECT_EQ(event_stop(), 0);
	event_release();
}

/* The last of a kind, at an address if that is not 0; or NULL. */
static const struct event *newest(unsigned kind, u64 address)
{
	static struct event last[64];

	for (size_t n = event_last(last, ARRAY_SIZE(last)); n-- > 0;)
		if (last[n].kind == kind && (address == 0 || last[n].address == address))
			return &last[n];
	return NULL;
}

static __noinline void ask_and_free(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	EXPECT_NOT_NULL(page);
	free_page(page);
}

static __noinline void ask_in_every_way(struct page *out[])
{
	void *exact;

	out[0] = alloc_page(GFP_KERNEL);
	out[1] = alloc_pages(GFP_KERNEL, 2);
	out[2] = alloc_pages(GFP_KERNEL, 6);
	out[3] = alloc_pages(GFP_KERNEL | __GFP_ZERO, 0);
	out[4] = alloc_pages_node(0, GFP_KERNEL, 0);
	out[5] = alloc_contig_pages(5, 1, GFP_KERNEL);
	exact = alloc_pages_exact(PAGE_SIZE, GFP_KERNEL);
	EXPECT_EQ(alloc_pages_bulk(GFP_KERNEL, 2, out + 7), 2);
	out[6] = virt_to_page(exact);
}

static void give_back(struct page *page[])
{
	free_page(page[0]);
	free_pages(page[1], 2);
	free_pages(page[2], 6);
	free_page(page[3]);
	free_page(page[4]);
	free_contig_pages(page[5], 5);
	free_pages_exact(page_address(page[6]), PAGE_SIZE);
	free_pages_bulk(2, page + 7);
}

/* Through a pointer, or the compiler may make a copy of the function for its one caller. */
static void (*volatile ask)(struct page *out[]) = ask_in_every_way;

/* Whether a site's name is that of a call inside the function. */
static bool is_called_in(u16 site, const void *function, u64 length)
{
	char name[96], wanted[96];
	bool found = false;

	event_site_name(name, site);
	for (u64 at = 1; at <= length && !found; at++)
		found = strcmp(name, platform_symbol(wanted, (u64)function + at)) == 0;
	return found;
}

TEST(event_callers, a_block_knows_the_call_that_asked)
{
	enum { NR = 9, CODE = 2000 }; /* at least the function's bytes */
	struct page *page[NR];

	start();
	ask(page);
	for (unsigned i = 0; i < NR; i++) {
		const struct event *e = newest(EVENT_PAGES_ALLOC, page_to_phys(page[i]));

		ASSERT_NOT_NULL(e);
		EXPECT_TRUE(is_called_in(e->site, ask_in_every_way, CODE));
		for (unsigned j = 0; j < i && i != 8; j++)
			EXPECT_NE(newest(EVENT_PAGES_ALLOC, page_to_phys(page[j]))->site, e->site);
	}
	give_back(page);
	stop();
}

/* The same call has the same number, whatever it gets; who frees is not asked. */
TEST(event_callers, a_call_has_one_number)
{
	u16 site[2];

	start();
	for (unsigned i = 0; i < 2; i++) {
		ask_and_free();
		ASSERT_NOT_NULL(newest(EVENT_PAGES_FREE, 0));
		EXPECT_EQ(newest(EVENT_PAGES_FREE, 0)->site, EVENT_NO_SITE);
		ASSERT_NOT_NULL(newest(EVENT_PAGES_ALLOC, 0));
		site[i] = newest(EVENT_PAGES_ALLOC, 0)->site;
	}
	EXPECT_NE(site[0], EVENT_NO_SITE);
	EXPECT_EQ(site[0], site[1]);
	stop();
}

/* A number stands for one address, to the end; when there is no place the rest have none. */
TEST(event_callers, more_callers_than_places)
{
	u16 number[1500];
	unsigned nr_without = 0;

	start();
	for (u64 i = 0; i < ARRAY_SIZE(number); i++) {
		number[i] = event_number_caller(0xffffffff80100000 + i * 8);
		nr_without += number[i] == EVENT_NO_SITE;
	}
	EXPECT_LE(nr_without, 1500 - 900);
	EXPECT_GE(nr_without, 1500 - 1024);
	for (u64 i = 0; i < ARRAY_SIZE(number); i++) {
		u64 address = 0xffffffff80100000 + i * 8;
		char name[96], wanted[96];

		EXPECT_EQ(event_number_caller(address), number[i]);
		if (number[i] != EVENT_NO_SITE)
			EXPECT_STREQ(event_site_name(name, number[i]),
			             platform_symbol(wanted, address));
	}
	stop();
}
