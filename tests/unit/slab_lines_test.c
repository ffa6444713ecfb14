/*
 * What two CPUs write to in their fast ways lies on different cache lines: the tags of their hot
 * objects, small objects themselves, and the struct pages of their hot pages. Otherwise each waits
 * for the other's stores though they share nothing (false sharing; docs/benchmarks-host.md,
 * threads_scaling). One thread is both CPUs by turns. On the host, where machines are made.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <mm/harden.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

#include "tests/model/expect.h"

enum { NR_CPUS = 2, EACH = 24, LINE = 64 };

static void *hot[NR_CPUS][EACH];

static void on_cpu(unsigned cpu)
{
	host_cpu_enter(cpu);
}

/* By turns, as two CPUs that begin together would. */
static void take_by_turns(size_t size)
{
	for (unsigned i = 0; i < EACH; i++)
		for (unsigned cpu = 0; cpu < NR_CPUS; cpu++) {
			on_cpu(cpu);
			hot[cpu][i] =
			    size != 0 ? kmalloc(size, GFP_KERNEL) : alloc_page(GFP_KERNEL);
			ASSERT_NOT_NULL(hot[cpu][i]);
		}
}

static void give_back(size_t size)
{
	for (unsigned i = 0; i < EACH; i++)
		for (unsigned cpu = 0; cpu < NR_CPUS; cpu++) {
			on_cpu(cpu);
			size != 0 ? kfree(hot[cpu][i]) : free_page(hot[cpu][i]);
		}
	on_cpu(0);
}

static u64 tag_line(const void *object)
{
	struct slab *s = slab_of(object);

	return (u64)&s->tag[((u64)object - s->base) / s->cache->stride] / LINE;
}

static u64 own_line(const void *p)
{
	return (u64)p / LINE;
}

/* How many of CPU 0's lie on a line with one of CPU 1's. */
static unsigned nr_shared(u64 (*line)(const void *))
{
	unsigned nr = 0;

	for (unsigned i = 0; i < EACH; i++)
		for (unsigned k = 0; k < EACH; k++)
			if (line(hot[0][i]) == line(hot[1][k])) {
				nr++;
				break;
			}
	return nr;
}

static bool was_random;

/* Objects that are taken at random (mm/harden.h) are of any line. */
static void begin(void)
{
	host_machine_borrow(64 * MIB, NR_CPUS);
	host_cpus_answer = true;
	was_random = kmalloc_cache[0]->random != 0;
	slab_randomize(0);
}

static void end(void)
{
	on_cpu(0);
	if (was_random)
		slab_randomize(test_seed() | 1);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

TEST(slab_lines, two_cpus_hot_objects_share_none)
{
	static const u16 sizes[] = {8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096};

	begin();
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		take_by_turns(sizes[i]);
		EXPECT_EQ(nr_shared(tag_line), 0);
		EXPECT_EQ(nr_shared(own_line), 0);
		give_back(sizes[i]);
	}
	end();
}

/* The header before the tags is read by every free: no tag of another slab lies on its line. */
TEST(slab_lines, records_fill_whole_ones)
{
	begin();
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		if (c->record_cache == NULL)
			continue;
		EXPECT_EQ(c->record_cache->stride % LINE, 0);
		for (unsigned list = 0; list < NR_SLAB_LISTS; list++) {
			struct slab *s;

			list_for_each(s, &c->slabs[list], link) {
				EXPECT_TRUE(is_aligned((u64)s, LINE));
				EXPECT_TRUE(is_aligned((u64)s->tag, LINE));
			}
		}
	}
	end();
}

/* Every allocation reads the first; trips write from the lock on. */
TEST(slab_lines, a_cache_s_first_is_only_read)
{
	struct kmem_cache *c = kmem_cache_create("lines", 100, 0, 0, NULL);

	ASSERT_NOT_NULL(c);
	EXPECT_NE((u64)&c->hot / LINE, (u64)&c->lock / LINE);
	EXPECT_NE((u64)&c->hot / LINE, (u64)&c->nr_magazines / LINE);
	EXPECT_TRUE(is_aligned((u64)c, LINE));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_lines, two_cpus_hot_pages_share_none)
{
	begin();
	take_by_turns(0);
	EXPECT_EQ(nr_shared(own_line), 0);
	give_back(0);
	end();
}
#endif
