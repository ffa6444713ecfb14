/*
 * Page stacks that are closed and opened, on all CPUs or none, and zones that come later: each
 * context follows, keeps what it holds, and knows the zones of its node. On the host; one thread is
 * all CPUs by turns.
 */
#if __STDC_HOSTED__
#include "mm/internal.h"

#include <mm/mm.h>
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

#include "tests/model/expect.h"

static void borrow(unsigned nr_cpus)
{
	host_machine_borrow(64 * MIB, nr_cpus);
	host_cpus_answer = true;
}

static bool caches(const struct cpu_pages *cpu)
{
	return cpu->nr_zones != 0;
}

static u64 used_pages(void)
{
	struct mm_usage u;

	mm_usage(&u);
	return u.used_pages;
}

static void cache_a_page_on_each_cpu(void)
{
	for (unsigned cpu = 0; cpu < mm_nr_cpus; cpu++) {
		host_cpu_enter(cpu);
		free_page(alloc_page(GFP_KERNEL));
		mm_context_enter(CONTEXT_INTERRUPTS);
		free_page(alloc_page(GFP_ATOMIC));
	}
	host_cpu_enter(0);
}

/* --- the bypass --- */

TEST(cpu_pages_more, the_bypass_empties_every_context)
{
	u64 used;

	borrow(3);
	used = used_pages();
	cache_a_page_on_each_cpu();
	EXPECT_GE(cpu_pages_count(), 3 * NR_CONTEXT_KINDS);
	ASSERT_TRUE(cpu_pages_bypass(true));
	EXPECT_EQ(cpu_pages_count(), 0);
	EXPECT_EQ(used_pages(), used);
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		EXPECT_FALSE(caches(cpu_pages_of(id)));
		for (unsigned z = 0; z < MAX_ZONES; z++)
			EXPECT_TRUE(cpu_pages_of(id)->of_zone[z] ==
			            cpu_pages_of(id)->of_zone[MAX_ZONES - 1]);
	}
	cache_a_page_on_each_cpu();
	EXPECT_EQ(cpu_pages_count(), 0);
	ASSERT_TRUE(cpu_pages_bypass(false));
	for (unsigned id = 0; id < mm_nr_contexts(); id++)
		EXPECT_TRUE(caches(cpu_pages_of(id)));
	cache_a_page_on_each_cpu();
	EXPECT_GE(cpu_pages_count(), 3 * NR_CONTEXT_KINDS);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* A zone in the very first place too. */
TEST(cpu_pages_more, the_bypass_leaves_no_zone_out)
{
	struct page *page;

	borrow(1);
	page = alloc_page(GFP_KERNEL | __GFP_DMA);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page->zone, 0);
	ASSERT_TRUE(cpu_pages_bypass(true));
	free_page(page);
	EXPECT_EQ(page->type, PAGE_FREE);
	ASSERT_TRUE(cpu_pages_bypass(false));
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* Where other CPUs cannot be told nothing has changed, nor does it later. */
TEST(cpu_pages_more, no_bypass_where_others_cannot_be_told)
{
	borrow(2);
	host_cpus_answer = false;
	EXPECT_FALSE(cpu_pages_bypass(true));
	EXPECT_FALSE(cpu_pages_divert(true));
	host_cpus_answer = true;
	cpu_pages_set_node(0, 0); /* chooses again */
	cpu_pages_set_node(1, 0);
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		EXPECT_TRUE(caches(cpu_pages_of(id)));
		EXPECT_FALSE(cpu_pages_of(id)->diverted);
	}
	host_machine_return();
}

/* --- diverted --- */

TEST(cpu_pages_more, every_context_is_diverted_and_keeps_what_it_holds)
{
	u64 held;

	borrow(3);
	cache_a_page_on_each_cpu();
	held = cpu_pages_count();
	ASSERT_TRUE(cpu_pages_divert(true));
	EXPECT_EQ(cpu_pages_count(), held);
	for (unsigned id = 0; id < mm_nr_contexts(); id++)
		EXPECT_TRUE(cpu_pages_of(id)->diverted);
	EXPECT_SOUND(mm_check());
	ASSERT_TRUE(cpu_pages_divert(true)); /* again */
	ASSERT_TRUE(cpu_pages_divert(false));
	EXPECT_EQ(cpu_pages_count(), held);
	for (unsigned id = 0; id < mm_nr_contexts(); id++)
		EXPECT_FALSE(cpu_pages_of(id)->diverted);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* A bypass while it is diverted, and the end of either in any order. */
TEST(cpu_pages_more, bypassed_and_diverted)
{
	u64 used;

	borrow(2);
	used = used_pages();
	cache_a_page_on_each_cpu();
	ASSERT_TRUE(cpu_pages_divert(true));
	ASSERT_TRUE(cpu_pages_bypass(true));
	EXPECT_EQ(cpu_pages_count(), 0);
	EXPECT_EQ(used_pages(), used);
	for (unsigned id = 0; id < mm_nr_contexts(); id++)
		EXPECT_TRUE(cpu_pages_of(id)->diverted);
	cache_a_page_on_each_cpu();
	EXPECT_EQ(cpu_pages_count(), 0);
	ASSERT_TRUE(cpu_pages_bypass(false));
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		EXPECT_TRUE(cpu_pages_of(id)->diverted);
		EXPECT_TRUE(caches(cpu_pages_of(id)));
	}
	EXPECT_SOUND(mm_check());
	cache_a_page_on_each_cpu();
	EXPECT_GT(cpu_pages_count(), 0);
	ASSERT_TRUE(cpu_pages_divert(false));
	cache_a_page_on_each_cpu();
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* The former machine's choices are gone with it. */
TEST(cpu_pages_more, a_boot_begins_open)
{
	ASSERT_TRUE(cpu_pages_bypass(true));
	ASSERT_TRUE(cpu_pages_divert(true));
	host_machine_borrow(64 * MIB, 1);
	EXPECT_FALSE(mm_this(pages)->diverted);
	EXPECT_TRUE(caches(mm_this(pages)));
	cache_a_page_on_each_cpu();
	EXPECT_GT(cpu_pages_count(), 0);
	host_machine_return();
}

/* --- zones that come later --- */

static struct memmap *small_machine(unsigned nr_cpus)
{
	static const struct mem_range low_alone[] = {{0, 640 * KIB, MEM_USABLE},
	                                             {MIB, 63 * MIB, MEM_USABLE}};
	static const struct mm_topology one_node = {.nr_nodes = 1};

	host_machine_borrow(64 * MIB, nr_cpus); /* remembers the machine */
	mm_set_topology(&one_node);
	host_cpus_answer = true;
	return (struct memmap *)host_machine_boot(low_alone, ARRAY_SIZE(low_alone));
}

static void come(struct memmap *map, u64 base, u64 bytes)
{
	map->range[map->nr++] = (struct mem_range){base, bytes, MEM_UNREACHABLE};
	ASSERT_EQ(mm_online(map, base, bytes), 0);
}

TEST(cpu_pages_more, every_context_gets_a_zone_that_came)
{
	struct memmap *map = small_machine(3);
	u64 used = used_pages();

	cache_a_page_on_each_cpu();
	for (unsigned id = 0; id < mm_nr_contexts(); id++)
		EXPECT_EQ(cpu_pages_of(id)->nr_zones, 2);
	come(map, 4 * GIB, 64 * MIB);
	EXPECT_EQ(used_pages(), used);
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		struct cpu_pages *cpu = cpu_pages_of(id);

		EXPECT_EQ(cpu->nr_zones, 3);
		EXPECT_TRUE(cpu->zone[0] == &zone_table[ZONE_ID(0, ZONE_NORMAL)]);
		EXPECT_TRUE(cpu->zone[2] == &zone_table[ZONE_ID(0, ZONE_DMA)]);
		EXPECT_TRUE(cpu->of_zone[ZONE_ID(0, ZONE_NORMAL)] == cpu->stack[0]);
		EXPECT_TRUE(cpu->of_zone[ZONE_ID(0, ZONE_DMA)] == cpu->stack[2]);
	}
	EXPECT_TRUE(irq_is_enabled());
	cache_a_page_on_each_cpu();
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* More of a zone that is there: the stacks stay as they are, with what they hold. */
TEST(cpu_pages_more, more_of_a_zone_changes_no_stack)
{
	struct memmap *map = small_machine(1);
	u64 cached;

	come(map, 4 * GIB, 64 * MIB);
	cache_a_page_on_each_cpu();
	cached = cpu_pages_count();
	EXPECT_GT(cached, 0);
	come(map, 5 * GIB, 64 * MIB);
	EXPECT_EQ(cpu_pages_count(), cached);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* --- nodes of CPUs --- */

static const struct mem_range memory[] = {{0, 128 * MIB, MEM_USABLE}};
static const struct mm_topology two_nodes = {
    .nr_nodes = 2, .nr_ranges = 1, .range = {{64 * MIB, 64 * MIB, 1}}};

TEST(cpu_pages_more, one_cpu_moves_and_no_other)
{
	host_machine_borrow_nodes(memory, 1, &two_nodes, 2);
	host_cpus_answer = true;
	cache_a_page_on_each_cpu();
	cpu_pages_set_node(1, 0);
	for (unsigned id = 0; id < 2 * NR_CONTEXT_KINDS; id++)
		EXPECT_EQ(cpu_pages_of(id)->node, 0);
	EXPECT_EQ(cpu_pages_of(0)->nr_refills != 0, true);
	EXPECT_EQ(cpu_pages_of(NR_CONTEXT_KINDS)->nr_refills, 0);
	cpu_pages_set_node(0, 1);
	EXPECT_EQ(cpu_pages_of(0)->node, 1);
	EXPECT_EQ(cpu_pages_of(1)->node, 1);
	EXPECT_EQ(cpu_pages_of(NR_CONTEXT_KINDS)->node, 0);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}
#endif
