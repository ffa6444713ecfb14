/*
 * What the slab layer and kmalloc are when a machine has just come up, on machines with many CPUs
 * too. On the host only, where a machine can be exchanged for another in the middle of a test.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <mm/reclaim.h>
#include <tests/host/cpus.h>

#include "tests/model/expect.h"

static const u16 classes[] = {16,   32,   48,   64,   80,   96,   112,  128,  160,  192,  224,
                              256,  320,  384,  448,  512,  640,  768,  896,  1024, 1280, 1536,
                              1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192};

static const struct {
	const char *name;
	u32 size, flags;
} internal[] = {
    {"slab-record-128", 128, SLAB_ON_SLAB},
    {"slab-record-192", 192, SLAB_ON_SLAB},
    {"slab-record-256", 256, SLAB_ON_SLAB},
    {"slab-record-384", 384, SLAB_ON_SLAB},
    {"slab-record-512", 512, SLAB_ON_SLAB},
    {"slab-record-640", 640, SLAB_ON_SLAB},
    {"slab-record-768", 768, SLAB_ON_SLAB},
    {"slab-record-1024", 1024, SLAB_ON_SLAB},
    {"slab-record-1152", 1152, SLAB_ON_SLAB},
    {"slab-record-1408", 1408, SLAB_ON_SLAB},
    {"kmem_cache", sizeof(struct kmem_cache), SLAB_HWCACHE_ALIGN},
    {"magazines", sizeof(struct magazine), 0},
    {"cpu_objects", 0, 0}, /* by the number of contexts */
};

static u32 natural_align(u32 size)
{
	return is_pow2(size) && size <= 64 ? size : is_pow2(size) ? 64 : 8;
}

/* Returns the cache behind the last of them. */
static struct kmem_cache *expect_internal(void)
{
	struct kmem_cache *c = kmem_cache_next(NULL);

	for (unsigned i = 0; i < ARRAY_SIZE(internal); i++, c = kmem_cache_next(c)) {
		u32 size = internal[i].size;

		size = size != 0 ? size : (u32)sizeof(struct cpu_objects) * mm_nr_contexts();
		ASSERT_NOT_NULL(c);
		EXPECT_STREQ(c->name, internal[i].name);
		EXPECT_EQ(c->size, size);
		EXPECT_EQ(c->align,
		          internal[i].flags & SLAB_HWCACHE_ALIGN ? 64 : natural_align(size));
		EXPECT_EQ(c->flags,
		          internal[i].flags | SLAB_INTERNAL | SLAB_STATIC | SLAB_NO_MAGAZINE);
		EXPECT_TRUE(c->cpu == cpu_objects_none);
	}
	return c;
}

TEST(slab_cache_boot, the_manager_s_caches_then_kmalloc_s)
{
	struct kmem_cache *c;
	char name[32];

	host_machine_borrow(0, 2);
	c = expect_internal();
	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++, c = kmem_cache_next(c)) {
		ASSERT_NOT_NULL(c);
		format_buf(name, sizeof(name), "kmalloc-%u", classes[i]);
		EXPECT_STREQ(c->name, name);
		EXPECT_EQ(c->size, classes[i]);
		EXPECT_EQ(c->flags, SLAB_STATIC);
		EXPECT_NE(c->capacity, 0);
	}
	EXPECT_TRUE(c == NULL || strncmp(c->name, "kmalloc-", 8) != 0);
	EXPECT_SOUND(slab_check());
	host_machine_return();
}

TEST(slab_cache_boot, the_shrinker_is_registered)
{
	host_machine_borrow(0, 1);
	slab_shrink_all();
	drain_cpu_pages();
	EXPECT_EQ(reclaim_pages(1), 0);
	kfree(kmalloc(100, GFP_KERNEL));
	drain_cpu_pages();
	EXPECT_GT(reclaim_pages(1), 0);
	host_machine_return();
}

/* A 32nd of what is free, whatever was kept on the machine before. */
TEST(slab_kept_boot, the_bound_is_a_share_of_memory)
{
	struct mm_usage usage;

	slab_kept++; /* until the machine returns */
	host_machine_borrow(256 * MIB, 1);
	mm_usage(&usage);
	EXPECT_EQ(slab_kept, 0);
	EXPECT_LE(slab_kept_limit * 32, usage.managed_pages * PAGE_SIZE);
	EXPECT_GE(slab_kept_limit * 32, usage.free_pages * PAGE_SIZE);
	EXPECT_EQ(slab_kept_limit % (PAGE_SIZE / 32), 0);
	host_machine_return();
	EXPECT_EQ(slab_kept, 0);
}

TEST(slab_depot_boot, all_contexts_of_many_cpus_have_nothing)
{
	host_machine_borrow(0, MAX_CPUS);
	ASSERT_EQ(mm_nr_contexts(), 2 * MAX_CPUS);
	for (unsigned i = 0; i < mm_nr_contexts(); i++) {
		struct cpu_objects *o = &cpu_objects_none[i];

		EXPECT_NULL(o->loaded);
		EXPECT_NULL(o->spare);
		EXPECT_NOT_NULL(o->top);
		EXPECT_TRUE(o->top == o->limit);
		EXPECT_EQ(*o->top->tag, TAG_IN_SLAB);
		EXPECT_EQ(o->nr_spare, 0);
	}
	for (u64 at = 0; at < mm_nr_contexts() * sizeof(struct cpu_objects); at += PAGE_SIZE) {
		u8 type = virt_to_page((char *)cpu_objects_none + at)->type;

		EXPECT_TRUE(type != PAGE_FREE && type != PAGE_CACHED);
	}
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

TEST(kmalloc_boot, classes_and_what_they_are_aligned_to)
{
	u64 pages, objects;
	size_t size = 1;

	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++) /* nothing is left from before */
		memset(kmalloc_cache[(classes[i] - 1) / 16], 0, sizeof(struct kmem_cache));
	memset(kmalloc_cache, 0, sizeof(kmalloc_cache));
	host_machine_borrow(0, 1);
	pages = kmalloc_large_pages();
	objects = kmalloc_large_objects();
	EXPECT_EQ(pages, 0);
	EXPECT_EQ(objects, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++) {
		struct kmem_cache *c = kmalloc_cache[(classes[i] - 1) / 16];
		u32 align = 1u << lowest_bit(classes[i]);

		EXPECT_EQ(c->stride, classes[i]);
		EXPECT_EQ(c->align, align < PAGE_SIZE ? align : PAGE_SIZE);
		for (; size <= classes[i]; size++)
			EXPECT_EQ(kmalloc_class_size(size), classes[i]);
	}
	EXPECT_SOUND(kmalloc_check());
	host_machine_return();
}

/* What was large on the machine before is not this one's. */
TEST(kmalloc_boot, large_blocks_are_counted_from_none)
{
	host_machine_borrow(0, 1);
	EXPECT_NOT_NULL(kmalloc(20000, GFP_KERNEL));
	EXPECT_EQ(kmalloc_large_pages(), 5);
	EXPECT_EQ(kmalloc_large_objects(), 1);
	host_machine_return();
	host_machine_borrow(0, 1);
	EXPECT_EQ(kmalloc_large_pages(), 0);
	EXPECT_EQ(kmalloc_large_objects(), 0);
	EXPECT_SOUND(kmalloc_check());
	host_machine_return();
}

TEST(kmalloc_boot, the_largest_size_on_a_machine_that_has_it)
{
	volatile size_t size = KMALLOC_MAX_SIZE;
	void *p;

	host_machine_borrow(4 * GIB, 1);
	p = kmalloc(size, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	EXPECT_EQ(ksize(p), KMALLOC_MAX_SIZE);
	kfree(p);
	size++;
	EXPECT_NULL(kmalloc(size, GFP_KERNEL));
	host_machine_return();
}

/* --- another CPU --- */

static struct kmem_cache *c;
static u64 id_of_threads, id_of_handlers, id_before;
static u64 flushed;

static void look_at_contexts(void *unused)
{
	(void)unused;
	if (cpu_id() == 1) {
		u64 flags = irq_save();
		struct mm_context former = mm_context_enter(CONTEXT_INTERRUPTS);

		id_before = former.id;
		id_of_handlers = mm_this(id);
		mm_context_leave(former);
		id_of_threads = mm_this(id);
		irq_restore(flags);
	}
}

TEST(context_boot, each_cpu_has_its_own)
{
	host_machine_borrow(0, 3);
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		EXPECT_EQ(mm_context_of(id)->id, id);
		EXPECT_EQ(mm_context_of(id)->offset, id * CONTEXT_STRIDE);
		EXPECT_NOT_NULL(mm_context_of(id)->pages);
	}
	host_cpus_run(2, look_at_contexts, NULL);
	EXPECT_EQ(id_before, 2);
	EXPECT_EQ(id_of_threads, 2);
	EXPECT_EQ(id_of_handlers, 3);
	host_machine_return();
}

/* The table of the largest machine lies in memory that the page allocator never gets. */
TEST(context_boot, nobody_else_gets_the_table)
{
	host_machine_borrow(0, MAX_CPUS);
	for (unsigned id = 0; id < mm_nr_contexts(); id++)
		EXPECT_NULL(page_block_of(virt_to_phys(mm_context_of(id)) >> PAGE_SHIFT));
	host_machine_return();
}

/* Both kinds of CPU 1's contexts have objects in their magazines afterwards. */
static void use_on_cpu_1(void *unused)
{
	(void)unused;
	if (cpu_id() == 1) {
		u64 flags = irq_save();
		struct mm_context former = mm_context_enter(CONTEXT_INTERRUPTS);

		kmem_cache_free(c, kmem_cache_alloc(c, GFP_ATOMIC));
		mm_context_leave(former);
		irq_restore(flags);
		kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
	}
}

static void shrink_on_cpu_1(void *unused)
{
	(void)unused;
	if (cpu_id() == 1)
		flushed = kmem_cache_shrink(c);
}

static u64 count(unsigned context)
{
	return cpu_objects_count(cpu_objects_of(c, context));
}

static struct kmem_cache_stats stats(void)
{
	struct kmem_cache_stats s;

	kmem_cache_stats(c, &s);
	return s;
}

TEST(slab_depot_boot, a_cpu_gives_back_what_is_its_own)
{
	host_machine_borrow(0, 3);
	c = kmem_cache_create("cpus", 64, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
	host_cpus_run(2, use_on_cpu_1, NULL);
	EXPECT_GT(count(0), 0);
	EXPECT_GT(count(2), 0);
	EXPECT_GT(count(3), 0);
	EXPECT_EQ(stats().nr_cached, count(0) + count(2) + count(3));
	EXPECT_EQ(stats().nr_live, 0);
	EXPECT_GE(stats().nr_refills, 3);
	kmem_cache_shrink(c);
	EXPECT_EQ(count(0), 0);
	EXPECT_GT(count(2), 0);
	EXPECT_GT(count(3), 0);
	kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
	host_cpus_run(2, shrink_on_cpu_1, NULL);
	EXPECT_GT(count(0), 0);
	EXPECT_EQ(count(2), 0);
	EXPECT_EQ(count(3), 0);
	EXPECT_EQ(c->nr_magazines, 1);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	host_machine_return();
}

static void destroy_on_cpu_1(void *result)
{
	if (cpu_id() == 1)
		*(int *)result = kmem_cache_destroy(c);
}

/* Whichever CPUs' magazines its objects are in. */
TEST(slab_cache_boot, a_cache_is_destroyed_by_any_cpu)
{
	u64 used;
	int result = -1;
	struct mm_usage usage;

	host_machine_borrow(0, 3);
	slab_shrink_all();
	mm_usage(&usage);
	used = usage.used_pages;
	for (unsigned by = 0; by < 2; by++) {
		c = kmem_cache_create("cpus", 64, 0, 0, NULL);
		ASSERT_NOT_NULL(c);
		host_cpus_run(2, use_on_cpu_1, NULL);
		kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
		if (by == 0)
			result = kmem_cache_destroy(c);
		else
			host_cpus_run(2, destroy_on_cpu_1, &result);
		EXPECT_EQ(result, 0);
		EXPECT_SOUND(mm_check());
	}
	slab_shrink_all();
	mm_usage(&usage);
	EXPECT_EQ(usage.used_pages, used);
	host_machine_return();
}
#endif
