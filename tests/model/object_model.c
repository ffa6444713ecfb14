/*
 * Random operations on kmalloc and on object caches, against an oracle of what is live.
 *
 * Every live object is filled with a pattern of its own from its first byte to its last (large ones
 * at both ends), verified when it is freed or moved. So two owners of one byte, a write of the
 * allocator's into an object, or a krealloc that loses something, shows. The sums of live objects
 * must agree with the table at every check.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/free_memory.h"

#define NR_STEPS 120000u
#define STEPS_A_CHECK 15000u
#define MAX_LIVE 1024u
#define NR_CACHES 4u
#define HEAP NR_CACHES /* a kmalloc block */

struct live {
	u8 *p;
	u32 size, stamp;
	u8 kind; /* a cache's number, or HEAP */
};

static struct live live[MAX_LIVE];
static struct kmem_cache *caches[NR_CACHES];
static u32 nr_live, next_stamp;
static u64 live_bytes, limit_bytes;

static u32 below(u32 bound)
{
	return (u32)rng_below(test_rng(), bound);
}

static void construct(void *object)
{
	*(u64 *)object = 0x5eedull;
}

/* Different in size, alignment and flags; the last has a constructor. */
static void open_caches(void)
{
	caches[0] = kmem_cache_create("model-24", 24, 0, 0, NULL);
	caches[1] = kmem_cache_create("model-200", 200, 64, SLAB_ZERO_ON_FREE, NULL);
	caches[2] = kmem_cache_create("model-3000", 3000, 0, SLAB_NO_MAGAZINE, NULL);
	caches[3] = kmem_cache_create("model-ctor", 72, 0, SLAB_HWCACHE_ALIGN, construct);
	for (unsigned i = 0; i < NR_CACHES; i++)
		ASSERT_NOT_NULL(caches[i]);
}

/* The bytes that carry the pattern: all of a small object, both ends of a large one; a constructed
 * object keeps its first eight. */
static u32 first_byte(const struct live *l)
{
	return l->kind == 3 ? 8 : 0;
}

static void fill(const struct live *l)
{
	u32 from = first_byte(l), head = l->size - from;

	if (head > 96) {
		head = 48;
		memset(l->p + l->size - 48, (u8)(l->stamp ^ 0x55), 48);
	}
	memset(l->p + from, (u8)l->stamp, head);
}

/* Of the first `size` bytes, as krealloc keeps them. */
static void verify(const struct live *l, const u8 *p, u32 size)
{
	u32 from = first_byte(l), head = l->size - from;
	bool has_tail = head > 96;

	head = has_tail ? 48 : head;
	ASSERT_NULL(mem_find_other(p + from, (u8)l->stamp, min_u64(head, size - from)));
	if (has_tail && size >= l->size)
		ASSERT_NULL(mem_find_other(p + l->size - 48, (u8)(l->stamp ^ 0x55), 48));
	if (l->kind == 3)
		ASSERT_EQ(*(const u64 *)p, 0x5eed);
}

static void keep(void *p, u32 size, u32 kind)
{
	live[nr_live] = (struct live){p, size, next_stamp++, (u8)kind};
	fill(&live[nr_live++]);
	live_bytes += size;
}

static struct live drop(u32 at)
{
	struct live l = live[at];

	verify(&l, l.p, l.size);
	live[at] = live[--nr_live];
	live_bytes -= l.size;
	return l;
}

/* Mostly small, now and then up to some pages. */
static u32 random_size(void)
{
	u32 bits = below(1024);

	if (bits < 900)
		return 1 + below(300);
	return bits < 1000 ? 1 + below(3000) : 1 + below(40000);
}

static void heap_alloc(void)
{
	u32 size = random_size();
	bool zeroed = below(8) == 0;
	u8 *p = zeroed ? kzalloc(size, GFP_KERNEL) : kmalloc(size, GFP_ATOMIC);

	if (p == NULL)
		return;
	ASSERT_GE(ksize(p), size);
	ASSERT_TRUE(is_aligned((u64)p, is_pow2(size) ? min_u64(size, PAGE_SIZE) : 8));
	if (zeroed)
		ASSERT_NULL(mem_find_other(p, 0, size));
	keep(p, size, HEAP);
}

static void cache_alloc(void)
{
	u32 i = below(NR_CACHES);
	u8 *p = kmem_cache_alloc(caches[i], GFP_KERNEL);

	if (p == NULL)
		return;
	if (i == 1)
		ASSERT_TRUE(is_aligned((u64)p, 64));
	if (i == 3)
		ASSERT_EQ(*(u64 *)p, 0x5eed);
	keep(p, (u32)kmem_cache_size(caches[i]), i);
}

static void bulk_alloc(void)
{
	void *objects[20];
	u32 i = below(NR_CACHES - 1), n = below(ARRAY_SIZE(objects) + 1);

	if (nr_live + n > MAX_LIVE)
		return;
	n = (u32)kmem_cache_alloc_bulk(caches[i], GFP_KERNEL, n, objects);
	for (u32 j = 0; j < n; j++)
		keep(objects[j], (u32)kmem_cache_size(caches[i]), i);
}

static void free_one(u32 at)
{
	struct live l = drop(at);

	if (l.kind != HEAP)
		kmem_cache_free(caches[l.kind], l.p);
	else if (below(16) == 0)
		kfree_sensitive(l.p);
	else
		kfree(l.p);
	if (l.kind ==
	    1) /* nobody has it yet: its slab stays while others of it live, or is free memory */
		ASSERT_TRUE(slab_of(l.p) == NULL || free_memory_find_other(l.p, 0, 200) == NULL);
}

static void resize(u32 at)
{
	struct live l = live[at];
	u32 size = random_size();
	u8 *p;

	if (l.kind != HEAP) {
		free_one(at);
		return;
	}
	p = krealloc(l.p, size, GFP_KERNEL);
	if (p == NULL)
		return;
	verify(&l, p, (u32)min_u64(size, l.size));
	live[at] = live[--nr_live];
	live_bytes -= l.size;
	keep(p, size, HEAP);
}

static void step(u32 frees_in_16)
{
	u32 what = below(16);

	if (nr_live == MAX_LIVE || live_bytes > limit_bytes || (nr_live > 0 && what < frees_in_16))
		free_one(below(nr_live));
	else if (what == 15 && nr_live > 0)
		resize(below(nr_live));
	else if (what == 14)
		bulk_alloc();
	else if (what % 2 == 0)
		cache_alloc();
	else
		heap_alloc();
	if (below(4000) == 0)
		(void)slab_shrink_all();
}

static void check(u64 live_before)
{
	struct mm_usage usage;
	struct slab_object_info info;
	u32 of_cache[NR_CACHES + 1] = {0};

	ASSERT_SOUND(mm_check());
	mm_usage(&usage);
	ASSERT_EQ(usage.live_objects, live_before + nr_live);
	for (u32 i = 0; i < nr_live; i++) {
		of_cache[live[i].kind]++;
		if (slab_object_of(live[i].p, &info))
			ASSERT_TRUE(info.object == live[i].p && info.tag >= TAG_FIRST_SITE);
		else
			ASSERT_EQ(page_block_of(page_to_pfn(virt_to_page(live[i].p)))->bytes,
			          live[i].size);
	}
	for (u32 i = 0; i < NR_CACHES; i++) {
		struct kmem_cache_stats s;

		kmem_cache_stats(caches[i], &s);
		ASSERT_EQ(s.nr_live + s.nr_guarded, of_cache[i]);
	}
}

TEST(object_model, random_operations_against_patterns_in_every_object)
{
	struct mm_usage before;
	u32 frees_in_16 = 7;

	open_caches();
	mm_usage(&before);
	limit_bytes = min_u64(before.free_pages << PAGE_SHIFT >> 2, 2 * MIB);
	nr_live = next_stamp = 0;
	live_bytes = 0;
	for (u32 i = 1; i <= NR_STEPS; i++) {
		if (i % 2048 == 0)
			frees_in_16 = 4 + below(9);
		step(frees_in_16);
		if (i % STEPS_A_CHECK == 0)
			check(before.live_objects);
	}
	while (nr_live > 0)
		free_one(nr_live - 1);
	check(before.live_objects);
	for (unsigned i = 0; i < NR_CACHES; i++)
		EXPECT_EQ(kmem_cache_destroy(caches[i]), 0);
}
