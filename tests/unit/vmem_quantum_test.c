/*
 * Quantum caches from inside: what a magazine takes and gives, which slabs stay, what is remembered
 * of them, and other CPUs' share. What users see: vmem_test.c; broken states: vmem_check_test.c.
 */
#include "mm/vmem_internal.h"

#include <lib/assert.h>
#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#if __STDC_HOSTED__
#include <tests/host/cpus.h>
#endif

#define HALF (QUANTUM_MAGAZINE / 2)

/* Quantum 1, all sixteen sizes. */
static struct vmem *open(const char *name)
{
	struct vmem *v =
	    vmem_create(name, 64, 1 << 20, 1, NULL, NULL, NULL, VMEM_QCACHE_QUANTA, GFP_KERNEL);

	ASSERT_NOT_NULL(v);
	return v;
}

static void close(struct vmem *v)
{
	EXPECT_SOUND(vmem_check(v));
	ASSERT_EQ(vmem_destroy(v), 0);
}

static struct quantum_magazine *magazine(struct vmem *v, unsigned units)
{
	return quantum_magazine(v, cpu_id(), units);
}

static struct quantum_class *class_of(struct vmem *v, unsigned units)
{
	return &v->quantum_caches->of_units[units];
}

static u64 take(struct vmem *v, unsigned units)
{
	u64 at = vmem_alloc(v, units, GFP_KERNEL);

	ASSERT_NE(at, 0);
	return at;
}

TEST(vmem_quantum, a_slab_has_as_many_segments_as_fit)
{
	struct vmem *v = open("test");

	for (unsigned units = 1; units <= 16; units++) {
		EXPECT_EQ(bit_count(class_of(v, units)->all), 64 / units);
		EXPECT_EQ(highest_bit(class_of(v, units)->all), (64 / units - 1) * units);
	}
	close(v);
}

/* From one slab, or from as many as it takes. */
TEST(vmem_quantum, half_a_magazine_is_taken_at_a_time)
{
	struct vmem *v = open("test");
	u64 a = take(v, 1), large[2 * HALF];

	EXPECT_EQ(magazine(v, 1)->nr, HALF - 1);
	vmem_free(v, a, 1);
	for (unsigned i = 0; i < 8; i++)
		large[i] = take(v, 16);
	for (unsigned i = 0; i < 8; i++)
		vmem_free(v, large[i], 16);
	EXPECT_EQ(magazine(v, 16)->nr, 8);
	quantum_flush_here(v);
	EXPECT_EQ(magazine(v, 16)->nr, 0);
	EXPECT_EQ(class_of(v, 16)->nr_empty, 2);
	EXPECT_SOUND(vmem_check(v)); /* with two that are all free */
	a = take(v, 16);
	EXPECT_EQ(magazine(v, 16)->nr, HALF - 1); /* four of one, three of the other */
	EXPECT_SOUND(vmem_check(v));
	vmem_free(v, a, 16);
	close(v);
}

TEST(vmem_quantum, half_a_magazine_is_given_back_at_a_time)
{
	struct vmem *v = open("test");
	u64 at[QUANTUM_MAGAZINE + 1];

	for (unsigned i = 0; i <= QUANTUM_MAGAZINE; i++)
		at[i] = take(v, 2);
	quantum_flush_here(v);
	for (unsigned i = 0; i <= QUANTUM_MAGAZINE; i++) {
		EXPECT_EQ(magazine(v, 2)->nr, i);
		vmem_free(v, at[i], 2);
		EXPECT_SOUND(vmem_check(v)); /* a full one too */
	}
	EXPECT_EQ(magazine(v, 2)->nr, QUANTUM_MAGAZINE - HALF + 1);
	EXPECT_EQ(magazine(v, 2)->slot[0].addr, at[HALF]); /* the longest unused went */
	close(v);
}

/* The one that no list has comes back to it, whichever of its segments is freed. */
TEST(vmem_quantum, a_slab_without_free_segments_is_found_again)
{
	struct vmem *v = open("test");
	u64 at[64], slab;

	for (unsigned i = 0; i < 64; i++)
		at[i] = take(v, 1);
	EXPECT_EQ(class_of(v, 1)->nr_slabs, 1);
	EXPECT_TRUE(list_is_empty(&class_of(v, 1)->partial));
	slab = align_down(at[0], 64);
	for (u64 i = 0; i < 2; i++) {
		vmem_free(v, slab + i, 1);
		quantum_flush_here(v);
		EXPECT_EQ(class_of(v, 1)->nr_free, 1);
		EXPECT_SOUND(vmem_check(v));
		EXPECT_EQ(take(v, 1), slab + i);
		EXPECT_EQ(class_of(v, 1)->nr_slabs, 1);
	}
	for (unsigned i = 0; i < 64; i++)
		vmem_free(v, at[i], 1);
	close(v);
}

/* One and an eighth of those that there were. */
TEST(vmem_quantum, empty_slabs_beyond_an_eighth_go_back)
{
	static u64 at[320];
	struct vmem *v = open("test");
	struct quantum_class *c = class_of(v, 16);
	const u64 share = v->size >> (quantum_slab_shift(v) + 12); /* slabs, of the arena */
	unsigned nr_trims = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		at[i] = take(v, 16);
	EXPECT_EQ(c->nr_slabs, 80);
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		u64 before = c->nr_slabs;

		vmem_free(v, at[i], 16);
		if (c->nr_slabs != before) {
			nr_trims++;
			EXPECT_EQ(c->nr_empty, 1 + before / 8 + share);
		}
	}
	EXPECT_GT(nr_trims, 10);
	close(v);
}

/* 17 and more in each of the eight tables, which grow and shrink again. */
TEST(vmem_quantum, tables_grow_with_the_slabs)
{
	static u64 at[640];
	struct vmem *v = open("test");

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		at[i] = vmem_alloc(v, 16, GFP_KERNEL | (i % 8 < 4 ? __GFP_DMA : __GFP_DMA32));
	for (unsigned i = 0; i < QUANTUM_TABLES; i++) {
		ASSERT_NOT_NULL(v->quantum_caches->table[i].hash.part[1]);
		EXPECT_LT(ksize(v->quantum_caches->table[i].hash.part[1]), PAGE_SIZE); /* no DMA */
		EXPECT_EQ(v->quantum_caches->table[i].hash.nr, 20);
		EXPECT_EQ(v->quantum_caches->table[i].hash.nr_buckets, 20);
	}
	EXPECT_SOUND(vmem_check(v));
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		vmem_free(v, at[i], 16);
	vmem_reap(v);
	for (unsigned i = 0; i < QUANTUM_TABLES; i++)
		EXPECT_EQ(v->quantum_caches->table[i].hash.nr_buckets, 16);
	close(v);
}

/* A part that came when it was no longer needed goes with the arena. */
TEST(vmem_quantum, its_end_frees_the_tables)
{
	struct vmem *v = open("test");

	for (unsigned i = 0; i < QUANTUM_TABLES; i++) {
		struct vmem_hash *h = &v->quantum_caches->table[i].hash;

		h->part[1] = kmalloc(16 * sizeof(struct hash_node *), GFP_KERNEL);
		ASSERT_NOT_NULL(h->part[1]);
	}
	close(v);
}

/* --- what a magazine remembers --- */

TEST(vmem_quantum, the_slab_of_the_last_free_is_remembered)
{
	struct vmem *v = open("test");
	u64 a = take(v, 3), b = take(v, 3);

	EXPECT_FALSE(quantum_push(v, a, 3));
	vmem_free(v, a, 3);
	EXPECT_EQ(magazine(v, 3)->slab_number, a / 64);
	EXPECT_EQ(magazine(v, 3)->generation, v->quantum_caches->generation);
	EXPECT_TRUE(quantum_push(v, b, 3));
	close(v);
}

/* Its record serves another arena by now. */
TEST(vmem_quantum, a_slab_that_left_is_not_remembered)
{
	struct vmem *v = open("test"), *other = open("other");
	u64 a = take(v, 1), b;

	vmem_free(v, a, 1);
	vmem_reap(v);
	EXPECT_EQ(class_of(v, 1)->nr_slabs, 0);
	b = take(other, 1);
	EXPECT_EQ(take(v, 1), a);
	vmem_free(v, a, 1);
	EXPECT_SOUND(vmem_check(v));
	EXPECT_SOUND(vmem_check(other));
	vmem_free(other, b, 1);
	close(v);
	close(other);
}

/* --- looking in --- */

struct seen {
	u64 nr, addresses, nr_other;
};

static void sum_up(void *context, unsigned kind, u64 addr, u64 size, u32 tag)
{
	struct seen *seen = context;

	(void)size;
	if (kind != VMEM_ALLOC) {
		seen->nr_other++;
		return;
	}
	EXPECT_EQ(tag, TAG_FIRST_SITE);
	seen->nr++;
	seen->addresses += addr;
}

/* All of a slab, for the first of all call sites. */
TEST(vmem_quantum, walks_see_every_live_segment)
{
	struct vmem *v = open("test");
	struct seen seen = {0};
	u64 at[64], sum = 0;

	for (unsigned i = 0; i < 64; i++) {
		at[i] = vmem_alloc_tag(v, 1, GFP_KERNEL, TAG_FIRST_SITE);
		sum += at[i];
	}
	vmem_walk(v, VMEM_ALLOC, sum_up, &seen);
	EXPECT_EQ(seen.nr, 64);
	EXPECT_EQ(seen.addresses, sum);
	EXPECT_EQ(seen.nr_other, 0);
	seen = (struct seen){0};
	vmem_walk(v, VMEM_QCACHE, sum_up, &seen);
	EXPECT_EQ(seen.nr, 0);
	EXPECT_EQ(seen.nr_other, 1);
	vmem_reap_here(); /* nothing of it idles */
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC), 64);
	for (unsigned i = 0; i < 64; i++)
		vmem_free(v, at[i], 1);
	EXPECT_GT(magazine(v, 1)->nr, 0);
	vmem_reap_here();
	EXPECT_EQ(magazine(v, 1)->nr, 0);
	close(v);
}

static void expect_at(void *expected, unsigned kind, u64 addr, u64 size, u32 tag)
{
	(void)kind;
	(void)tag;
	EXPECT_EQ(addr, *(u64 *)expected);
	EXPECT_EQ(size, 48);
}

/* Its address is in quanta of any size. */
TEST(vmem_quantum, walks_say_where_a_segment_is)
{
	struct vmem *v = vmem_create("test", 1024, 1 << 20, 16, NULL, NULL, NULL, 64, GFP_KERNEL);
	u64 a = vmem_alloc(v, 48, GFP_KERNEL), b = vmem_alloc(v, 48, GFP_KERNEL),
	    last = max_u64(a, b);

	vmem_free(v, min_u64(a, b), 48); /* the slab's first would be where the slab is */
	vmem_walk(v, VMEM_ALLOC, expect_at, &last);
	vmem_free(v, last, 48);
	close(v);
}

/* --- without --- */

/* Smaller than a slab, so small sizes are the arena's own; any size that rounds to theirs frees. */
TEST(vmem_quantum, sizes_are_rounded_where_no_slab_fits)
{
	struct vmem *v = vmem_create("test", 16, 512, 16, NULL, NULL, NULL, 64, GFP_KERNEL);
	u64 a = vmem_alloc(v, 17, GFP_KERNEL);

	EXPECT_EQ(a, 16);
	EXPECT_EQ(v->in_use, 32);
	vmem_free(v, a, 17);
	EXPECT_EQ(v->in_use, 0);
	close(v);
}

/* All free objects of every size class, each with a pointer to the one before. */
static void *take_all_objects(gfp_t gfp)
{
	void *all = NULL, *p;

	for (size_t size = KMALLOC_MAX_CLASS; size != 0; size -= 16) {
		while ((p = kmalloc(size, gfp)) != NULL) {
			*(void **)p = all;
			all = p;
		}
	}
	return all;
}

/* Enough for the arena and its caches, not for the magazines. */
TEST(vmem_quantum, without_memory_for_magazines_there_is_no_arena)
{
	static struct hoard hoard;
	const gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN;
	void *arena = kmalloc(sizeof(struct vmem), GFP_KERNEL);
	void *caches = kmalloc(sizeof(struct vmem_quantum), GFP_KERNEL), *all, *p;

	hoard_take_all(&hoard, GFP_NOWAIT);
	all = take_all_objects(gfp);
	kfree(arena);
	kfree(caches);
	EXPECT_NULL(vmem_create("none", 64, 1 << 20, 1, NULL, NULL, NULL, 16, gfp));
	hoard_drop_all(&hoard);
	for (; all != NULL; all = p) {
		p = *(void **)all;
		kfree(all);
	}
}

#if __STDC_HOSTED__
/* Objects of the manager's that are in use. */
static u64 live_objects(void)
{
	struct mm_usage usage;

	mm_usage(&usage);
	return usage.live_objects;
}

static void use_on_the_other(void *arena)
{
	struct vmem *v = arena;

	if (cpu_id() == 1)
		vmem_free(v, vmem_alloc(v, 5, GFP_KERNEL), 5);
}

/* What idles there is free, is looked at, and comes back at the end. */
TEST(vmem_quantum, magazines_of_other_cpus_count)
{
	struct quantum_magazine *m;
	struct vmem *v;
	u64 right, before;

	host_machine_borrow(0, 2);
	before = live_objects();
	v = open("test");
	host_cpus_run(2, use_on_the_other, v);
	m = quantum_magazine(v, 1, 5);
	EXPECT_EQ(m->nr, HALF);
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC), 0);
	EXPECT_SOUND(vmem_check(v));
	right = m->slot[HALF - 1].addr;
	m->slot[HALF - 1].addr += 5;
	EXPECT_BROKEN(vmem_check(v), "Q3:");
	m->slot[HALF - 1].addr = right;
	close(v);
	EXPECT_EQ(live_objects(), before); /* the slab came back too */
	host_machine_return();
}
#endif
