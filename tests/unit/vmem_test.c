/*
 * Arenas: what they give, refuse and report; spans, policies, constraints, imports, quantum caches.
 * Everything random is in tests/model/vmem_model.c.
 */
#include "mm/vmem_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

static struct vmem *must_create(u64 base, u64 size, u64 quantum, u64 qcache_max)
{
	struct vmem *v =
	    vmem_create("test", base, size, quantum, NULL, NULL, NULL, qcache_max, GFP_KERNEL);

	ASSERT_NOT_NULL(v);
	return v;
}

static u64 must_alloc(struct vmem *v, u64 size, gfp_t policy)
{
	u64 addr = vmem_alloc(v, size, GFP_KERNEL | policy);

	ASSERT_NE(addr, 0);
	return addr;
}

static void must_destroy(struct vmem *v)
{
	EXPECT_SOUND(vmem_check(v));
	ASSERT_EQ(vmem_destroy(v), 0);
}

/* --- alloc and free --- */

TEST(vmem, gives_whole_quanta_and_takes_them_back)
{
	struct vmem *v = must_create(0x1000, 0x10000, 0x1000, 0);
	u64 a = must_alloc(v, 1, 0), b = must_alloc(v, 0x1001, 0);

	EXPECT_EQ(a % 0x1000, 0);
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC), 0x3000);
	EXPECT_EQ(vmem_size(v, VMEM_FREE), 0xd000);
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC | VMEM_FREE), 0x10000);
	EXPECT_TRUE(b >= a + 0x1000 || a >= b + 0x2000);
	vmem_free(v, a, 1);
	vmem_free(v, b, 0x2000); /* the rounded size is the same size */
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC), 0);
	must_destroy(v);
}

TEST(vmem, gives_all_of_an_arena_and_then_none)
{
	struct vmem *v = must_create(1, 100, 1, 0);

	for (u64 i = 0; i < 100; i++)
		EXPECT_EQ(must_alloc(v, 1, 0), 1 + i);
	EXPECT_EQ(vmem_alloc(v, 1, GFP_KERNEL), 0);
	EXPECT_EQ(vmem_alloc(v, 1, GFP_NOWAIT | VM_BESTFIT), 0);
	EXPECT_EQ(vmem_alloc(v, 1, GFP_NOWAIT | VM_NEXTFIT), 0);
	for (u64 i = 100; i > 0; i--)
		vmem_free(v, i, 1);
	EXPECT_EQ(must_alloc(v, 100, 0), 1);
	vmem_free(v, 1, 100);
	must_destroy(v);
}

TEST(vmem, merges_with_both_neighbours)
{
	struct vmem *v = must_create(16, 48, 16, 0);

	for (u64 i = 1; i <= 3; i++)
		EXPECT_EQ(must_alloc(v, 16, 0), 16 * i);
	vmem_free(v, 16, 16);
	vmem_free(v, 48, 16);
	EXPECT_EQ(vmem_alloc(v, 32, GFP_NOWAIT), 0);
	vmem_free(v, 32, 16);
	EXPECT_EQ(must_alloc(v, 48, 0), 16);
	vmem_free(v, 16, 48);
	must_destroy(v);
}

TEST(vmem, spans_never_merge)
{
	struct vmem *v = must_create(10, 10, 1, 0);

	ASSERT_EQ(vmem_add(v, 20, 10, GFP_KERNEL), 0);
	EXPECT_EQ(vmem_alloc(v, 11, GFP_NOWAIT), 0);
	EXPECT_EQ(must_alloc(v, 10, 0) + must_alloc(v, 10, 0), 30);
	vmem_free(v, 10, 10);
	vmem_free(v, 20, 10);
	must_destroy(v);
}

/* --- bad input --- */

static u64 get_none(void *source, u64 size, gfp_t flags)
{
	(void)source;
	(void)size;
	(void)flags;
	return 0;
}

static void give_back(void *source, u64 addr, u64 size)
{
	(void)source;
	(void)addr;
	(void)size;
}

TEST(vmem, refuses_impossible_arenas)
{
	static u8 dummy;

	EXPECT_NULL(vmem_create(NULL, 1, 1, 1, NULL, NULL, NULL, 0, GFP_KERNEL));
	EXPECT_NULL(vmem_create("", 1, 1, 1, NULL, NULL, NULL, 0, GFP_KERNEL));
	EXPECT_NULL(vmem_create("x", 1, 1, 0, NULL, NULL, NULL, 0, GFP_KERNEL));
	EXPECT_NULL(vmem_create("x", 3, 3, 3, NULL, NULL, NULL, 0, GFP_KERNEL));
	EXPECT_NULL(vmem_create("x", 0, 0, 1ull << 57, NULL, NULL, NULL, 0, GFP_KERNEL));
	EXPECT_NULL(
	    vmem_create("x", 1, 1, 1, NULL, NULL, NULL, VMEM_QCACHE_QUANTA + 1, GFP_KERNEL));
	EXPECT_NULL(vmem_create("x", 16, 16, 16, NULL, NULL, NULL, 8, GFP_KERNEL));
	EXPECT_NULL(vmem_create("x", 0, 16, 16, NULL, NULL, NULL, 0, GFP_KERNEL)); /* holds 0 */
	EXPECT_NULL(vmem_create("x", 0, 0, 1, NULL, give_back, &dummy, 0, GFP_KERNEL));
	EXPECT_NULL(vmem_create("x", 0, 0, 1, get_none, NULL, &dummy, 0, GFP_KERNEL));
	EXPECT_NULL(vmem_create("x", 0, 0, 1, get_none, give_back, NULL, 0, GFP_KERNEL));
}

TEST(vmem, refuses_impossible_spans)
{
	struct vmem *v = must_create(0x2000, 0x2000, 0x1000, 0);
	u64 top = align_down(~0ull, 0x1000);

	EXPECT_EQ(vmem_add(v, 0x8000, 0, GFP_KERNEL), -EINVAL);
	EXPECT_EQ(vmem_add(v, 0, 0x1000, GFP_KERNEL), -EINVAL);
	EXPECT_EQ(vmem_add(v, 0x8000, 0x1001, GFP_KERNEL), -EINVAL);
	EXPECT_EQ(vmem_add(v, 0x8001, 0x1000, GFP_KERNEL), -EINVAL);
	EXPECT_EQ(vmem_add(v, top, 0x1000, GFP_KERNEL), -EINVAL); /* its end would be 0 */
	EXPECT_EQ(vmem_add(v, top, 0x2000, GFP_KERNEL), -EINVAL);
	EXPECT_EQ(vmem_add(v, 0x1000, 0x2000, GFP_KERNEL), -EEXIST);
	EXPECT_EQ(vmem_add(v, 0x3000, 0x1000, GFP_KERNEL), -EEXIST);
	EXPECT_EQ(vmem_add(v, 0x1000, 0x8000, GFP_KERNEL), -EEXIST);
	EXPECT_EQ(vmem_add(v, 0x1000, 0x1000, GFP_KERNEL), 0);
	EXPECT_EQ(vmem_add(v, 0x4000, 0x1000, GFP_KERNEL), 0);
	EXPECT_EQ(vmem_add(v, top - 0x1000, 0x1000, GFP_KERNEL), 0);
	EXPECT_EQ(vmem_size(v, VMEM_FREE), 0x5000);
	must_destroy(v);
}

static void impossible(struct vmem *v, u64 size, u64 align, u64 phase, u64 nocross, u64 min,
                       u64 max)
{
	EXPECT_EQ(vmem_xalloc(v, size, align, phase, nocross, min, max, GFP_KERNEL | __GFP_NOWARN),
	          0);
}

TEST(vmem, refuses_impossible_requests)
{
	struct vmem *v = must_create(16, 1 << 20, 16, 64);

	EXPECT_EQ(vmem_alloc(v, 0, GFP_KERNEL), 0);
	EXPECT_EQ(vmem_alloc(v, ~0ull, GFP_KERNEL | __GFP_NOWARN), 0);
	EXPECT_EQ(vmem_alloc(v, ~15ull, GFP_KERNEL | __GFP_NOWARN), 0);
	EXPECT_EQ(vmem_alloc(v, 1ull << 63, GFP_KERNEL | __GFP_NOWARN), 0);
	impossible(v, 0, 0, 0, 0, 0, 0);
	impossible(v, ~0ull, 0, 0, 0, 0, 0);
	impossible(v, 16, 48, 0, 0, 0, 0);    /* no power of two */
	impossible(v, 16, 64, 64, 0, 0, 0);   /* phase beyond the alignment */
	impossible(v, 16, 64, 8, 0, 0, 0);    /* half a quantum */
	impossible(v, 16, 0, 0, 48, 0, 0);    /* no power of two */
	impossible(v, 128, 0, 0, 64, 0, 0);   /* crosses whatever it does */
	impossible(v, 64, 64, 16, 64, 0, 0);  /* so does this */
	impossible(v, 16, 0, 0, 0, 100, 100); /* no room */
	impossible(v, 64, 0, 0, 0, 160, 192);
	impossible(v, 16, 0, 0, 0, 192, 160);      /* limits in the wrong order */
	impossible(v, 16, 1ull << 63, 0, 0, 0, 0); /* possible, but not here */
	impossible(v, 1ull << 62, 1ull << 63, 0, 0, 0, 0);
	impossible(v, 16, 1ull << 63, 1ull << 62, 1ull << 63, 0, 0);
	must_destroy(v);
}

/* --- constraints --- */

TEST(vmem, meets_alignment_and_phase)
{
	struct vmem *v = must_create(0x3000, 0x100000, 0x1000, 0);
	u64 a = vmem_xalloc(v, 0x1000, 0x10000, 0x2000, 0, 0, 0, GFP_KERNEL);
	u64 b = vmem_xalloc(v, 0x2000, 0x8000, 0, 0, 0, 0, GFP_KERNEL);
	u64 c = vmem_xalloc(v, 0x1000, 1, 0, 0, 0, 0, GFP_KERNEL); /* less than a quantum: as one */

	EXPECT_EQ(a, 0x12000);
	EXPECT_EQ(b % 0x8000, 0);
	EXPECT_NE(b, 0);
	EXPECT_EQ(c % 0x1000, 0);
	vmem_xfree(v, a, 0x1000);
	vmem_xfree(v, b, 0x2000);
	vmem_xfree(v, c, 0x1000);
	must_destroy(v);
}

TEST(vmem, crosses_no_border_that_it_must_not)
{
	struct vmem *v = must_create(12, 100, 1, 0);

	EXPECT_EQ(vmem_xalloc(v, 8, 0, 0, 16, 0, 0, GFP_KERNEL), 16);
	EXPECT_EQ(vmem_xalloc(v, 4, 0, 0, 16, 0, 0, GFP_KERNEL), 12);
	EXPECT_EQ(vmem_xalloc(v, 4, 4, 2, 16, 0, 0, GFP_KERNEL), 26);
	EXPECT_EQ(vmem_xalloc(v, 16, 0, 0, 16, 0, 0, GFP_KERNEL), 32);
	vmem_xfree(v, 16, 8);
	vmem_xfree(v, 12, 4);
	vmem_xfree(v, 26, 4);
	vmem_xfree(v, 32, 16);
	must_destroy(v);
}

TEST(vmem, stays_within_the_limits)
{
	struct vmem *v = must_create(10, 100, 1, 0);

	EXPECT_EQ(vmem_xalloc(v, 10, 0, 0, 0, 50, 60, GFP_KERNEL), 50);
	EXPECT_EQ(vmem_xalloc(v, 1, 0, 0, 0, 50, 60, GFP_KERNEL), 0);
	EXPECT_EQ(vmem_xalloc(v, 5, 0, 0, 0, 45, 60, GFP_KERNEL), 45);
	EXPECT_EQ(vmem_xalloc(v, 9, 0, 0, 0, 101, 0, GFP_KERNEL), 101);
	EXPECT_EQ(vmem_xalloc(v, 1, 0, 0, 0, 110, 0, GFP_KERNEL), 0);
	vmem_xfree(v, 50, 10);
	vmem_xfree(v, 45, 5);
	vmem_xfree(v, 101, 9);
	must_destroy(v);
}

/* --- policies --- */

/* Free: 4 at 10, 2 at 20, 7 at 30. */
static struct vmem *with_holes(void)
{
	struct vmem *v = must_create(10, 4, 1, 0);

	ASSERT_EQ(vmem_add(v, 20, 2, GFP_KERNEL), 0);
	ASSERT_EQ(vmem_add(v, 30, 7, GFP_KERNEL), 0);
	return v;
}

TEST(vmem, best_fit_takes_the_smallest_that_fits)
{
	struct vmem *v = with_holes();

	ASSERT_EQ(vmem_add(v, 40, 3, GFP_KERNEL), 0);
	EXPECT_EQ(must_alloc(v, 2, VM_BESTFIT), 20);
	EXPECT_EQ(must_alloc(v, 2, VM_BESTFIT), 40);
	EXPECT_EQ(must_alloc(v, 1, VM_BESTFIT), 42);
	EXPECT_EQ(must_alloc(v, 5, VM_BESTFIT), 30);
	vmem_free(v, 20, 2);
	vmem_free(v, 40, 2);
	vmem_free(v, 42, 1);
	vmem_free(v, 30, 5);
	must_destroy(v);
}

/* 3 fits surely into 4 … 7; those of 2 and 3 are looked at only when there are no others. */
TEST(vmem, instant_fit_takes_one_that_surely_fits)
{
	struct vmem *v = must_create(20, 3, 1, 0);

	ASSERT_EQ(vmem_add(v, 30, 4, GFP_KERNEL), 0);
	EXPECT_EQ(must_alloc(v, 3, 0), 30);
	EXPECT_EQ(must_alloc(v, 3, 0), 20);
	vmem_free(v, 20, 3);
	vmem_free(v, 30, 3);
	must_destroy(v);
}

TEST(vmem, next_fit_does_not_reuse_at_once)
{
	struct vmem *v = must_create(1, 10, 1, 0);

	for (u64 round = 0; round < 3; round++)
		for (u64 id = 1; id <= 10; id++) {
			EXPECT_EQ(must_alloc(v, 1, VM_NEXTFIT), id);
			vmem_free(v, id, 1);
			EXPECT_SOUND(vmem_check(v));
		}
	must_destroy(v);
}

TEST(vmem, next_fit_goes_around_through_all_spans)
{
	static const u64 expected[] = {10, 12, 20, 30, 32, 34, 10, 12};
	struct vmem *v = with_holes();

	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
		EXPECT_EQ(must_alloc(v, 2, VM_NEXTFIT), expected[i]);
		if (i >= 3)
			vmem_free(v, expected[i], 2);
		if (i == 4) {
			vmem_free(v, 10, 2);
			vmem_free(v, 12, 2);
		}
	}
	vmem_free(v, 20, 2);
	must_destroy(v);
}

/* --- imports --- */

TEST(vmem, imports_what_is_missing_and_gives_it_back)
{
	struct vmem *parent = must_create(0x1000, 0x100000, 0x1000, 0), *v;
	u64 a, b;

	v = vmem_create("child", 0, 0, 0x100, NULL, NULL, parent, 0, GFP_KERNEL);
	ASSERT_NOT_NULL(v);
	a = must_alloc(v, 0x1000, 0);
	EXPECT_EQ(vmem_size(parent, VMEM_ALLOC), 0x1000);
	b = vmem_xalloc(v, 0x1000, 0x4000, 0x200, 0, 0, 0, GFP_KERNEL);
	EXPECT_EQ(b % 0x4000, 0x200);
	EXPECT_EQ(vmem_size(parent, VMEM_ALLOC), 0x1000 + 0x5000);
	EXPECT_EQ(vmem_xalloc(v, 0x8000, 0, 0, 0, 0x1000, 0, GFP_KERNEL), 0); /* a limit */
	vmem_free(v, a, 0x1000);
	EXPECT_EQ(vmem_size(parent, VMEM_ALLOC), 0x5000);
	EXPECT_SOUND(vmem_check(v));
	vmem_xfree(v, b, 0x1000);
	EXPECT_EQ(vmem_size(parent, VMEM_ALLOC), 0);
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC | VMEM_FREE), 0);
	must_destroy(v);
	must_destroy(parent);
}

TEST(vmem, fails_when_its_source_does)
{
	struct vmem *parent = must_create(0x1000, 0x4000, 0x1000, 0), *v;

	v = vmem_create("child", 0, 0, 0x1000, NULL, NULL, parent, 0, GFP_KERNEL);
	ASSERT_NOT_NULL(v);
	EXPECT_EQ(vmem_alloc(v, 0x5000, GFP_KERNEL), 0);
	EXPECT_EQ(vmem_xalloc(v, 0x1000, 1ull << 63, 0, 1ull << 63, 0, 0, GFP_KERNEL), 0);
	EXPECT_EQ(vmem_size(parent, VMEM_ALLOC), 0);
	must_destroy(v);
	must_destroy(parent);
}

/* --- quantum caches --- */

enum { NR_CACHED = 500 };

TEST(vmem, quantum_caches_give_distinct_segments_of_every_size)
{
	static u64 at[NR_CACHED];
	struct vmem *v = must_create(0x1000, 0x10000000, 0x1000, 0x20000);
	u64 sum = 0;

	for (unsigned i = 0; i < NR_CACHED; i++) {
		at[i] = must_alloc(v, 0x1000 * (1 + i % 32), 0);
		sum += 0x1000 * (1 + i % 32);
		for (unsigned j = 0; j < i; j++)
			ASSERT_TRUE(at[i] >= at[j] + 0x1000 * (1 + j % 32) ||
			            at[j] >= at[i] + 0x1000 * (1 + i % 32));
	}
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC), sum);
	EXPECT_SOUND(vmem_check(v));
	for (unsigned i = 0; i < NR_CACHED; i++)
		vmem_free(v, at[i], 0x1000 * (1 + i % 32));
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC), 0);
	EXPECT_EQ(vmem_size(v, VMEM_FREE), 0x10000000);
	vmem_reap(v);
	EXPECT_EQ(v->in_use, 0); /* all slabs are back */
	must_destroy(v);
}

/* What comes in waves finds its slabs again, where they are nothing to the arena; nobody else's. */
TEST(vmem, large_arenas_keep_slabs_that_idle)
{
	static u64 at[10 * 64];
	struct vmem *v = must_create(0x40000, 1ull << 34, 0x1000, 0x1000);

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		at[i] = must_alloc(v, 0x1000, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		vmem_free(v, at[i], 0x1000);
	EXPECT_GE(v->in_use, 5 * 0x40000); /* a 2^-12th of it is 16 slabs */
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC), 0);
	vmem_reap(v);
	EXPECT_EQ(v->in_use, 0);
	must_destroy(v);
}

/* Too small for an aligned slab: the arena serves small sizes by itself. */
TEST(vmem, quantum_caches_step_aside_where_no_slab_fits)
{
	struct vmem *v = must_create(1, 60, 1, 4);

	for (u64 i = 0; i < 60; i++)
		EXPECT_NE(must_alloc(v, 1, 0), 0);
	EXPECT_EQ(vmem_alloc(v, 1, GFP_KERNEL), 0);
	for (u64 i = 1; i <= 60; i++)
		vmem_free(v, i, 1);
	must_destroy(v);
}

TEST(vmem, what_idles_in_quantum_caches_serves_a_large_request)
{
	struct vmem *v = must_create(64, 64, 1, 4);
	u64 a = must_alloc(v, 4, 0);

	vmem_free(v, a, 4);
	EXPECT_EQ(vmem_alloc(v, 64, GFP_NOWAIT), 0);
	EXPECT_EQ(vmem_alloc(v, 64, GFP_KERNEL | __GFP_NORETRY), 0);
	EXPECT_EQ(vmem_alloc(v, 64, GFP_KERNEL), 64);
	vmem_free(v, 64, 64);
	must_destroy(v);
}

/* What an arena in use has of memory depends on its segments, not on what it went through. */
TEST(vmem, a_settled_arena_has_what_its_segments_need)
{
	static u64 at[3000];
	struct vmem *v = must_create(1, 100000, 1, 0);
	u64 kept[20];
	struct test_usage before, after;

	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		kept[i] = must_alloc(v, 1, VM_NEXTFIT);
	vmem_reap(v);
	EXPECT_EQ(v->nr_spare, SEGS_NEEDED);
	EXPECT_EQ(v->hash.nr_buckets, ARRAY_SIZE(kept));
	test_usage_now(&before);
	for (unsigned n = 1; n <= ARRAY_SIZE(at); n = n * 3 + 1) {
		for (unsigned i = 0; i < n; i++)
			at[i] = must_alloc(v, 1, VM_NEXTFIT);
		for (unsigned i = 0; i < n; i++)
			vmem_free(v, at[i * 17 % n], 1);
		vmem_reap(v);
		EXPECT_EQ(v->hash.nr_buckets, ARRAY_SIZE(kept));
		EXPECT_SOUND(vmem_check(v));
		test_usage_now(&after);
		EXPECT_EQ(after.objects, before.objects);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		vmem_free(v, kept[i], 1);
	must_destroy(v);
}

/* --- wrong frees --- */

TEST(vmem, names_what_is_wrong_with_a_free)
{
	struct vmem *v = must_create(0x1000, 0x10000, 0x1000, 0);
	u64 a = must_alloc(v, 0x2000, 0);

	EXPECT_PANIC("vmem: wrong size arena=test addr=0x1000 size=0x1000",
	             vmem_free(v, a, 0x1000));
	EXPECT_PANIC("vmem: wrong size", vmem_free(v, a, 0x3000));
	EXPECT_PANIC("vmem: wrong size", vmem_free(v, a, 0));
	EXPECT_PANIC("vmem: inside a segment", vmem_free(v, a + 0x1000, 0x1000));
	EXPECT_PANIC("vmem: free of what no span holds", vmem_free(v, 0x20000, 0x1000));
	EXPECT_PANIC("vmem: free of what no span holds", vmem_free(v, 0, 0x1000));
	EXPECT_PANIC("vmem: double free", vmem_free(v, 0x8000, 0x1000));
	vmem_free(v, a, 0x2000);
	EXPECT_PANIC("vmem: double free arena=test addr=0x1000 size=0x2000",
	             vmem_free(v, a, 0x2000));
	EXPECT_PANIC("vmem: double free", vmem_xfree(v, a, 0x2000));
	must_destroy(v);
}

TEST(vmem, names_what_is_wrong_with_a_free_into_quantum_caches)
{
	struct vmem *v = must_create(0x100000, 0x100000, 0x1000, 0x4000);
	u64 a = must_alloc(v, 0x2000, 0), b = must_alloc(v, 0x2000, 0);

	EXPECT_PANIC("vmem: wrong size arena=test addr=", vmem_free(v, a, 0x1000));
	EXPECT_PANIC("vmem: inside a segment", vmem_free(v, a + 0x1000, 0x2000));
	EXPECT_PANIC("vmem: inside a segment", vmem_free(v, a + 1, 0x2000));
	EXPECT_PANIC("vmem: the quantum caches have it", vmem_free(v, a, 0x8000));
	EXPECT_PANIC("vmem: the quantum caches have it", vmem_xfree(v, a, 0x2000));
	EXPECT_PANIC("vmem: the quantum caches have it",
	             vmem_xfree(v, align_down(a, 0x40000), 0x40000));
	vmem_free(v, a, 0x2000);
	EXPECT_PANIC("vmem: double free arena=test addr=", vmem_free(v, a, 0x2000));
	vmem_reap_here();
	EXPECT_PANIC("vmem: double free", vmem_free(v, a, 0x2000)); /* in the slab now */
	vmem_free(v, b, 0x2000);
	vmem_reap(v);
	EXPECT_PANIC("vmem: double free", vmem_free(v, b, 0x2000)); /* no slab any more */
	must_destroy(v);
}

TEST(vmem, a_damaged_tag_of_a_cached_segment_is_seen)
{
	struct vmem *v = must_create(0x100000, 0x100000, 0x1000, 0x1000);
	u64 a = must_alloc(v, 0x1000, 0);
	u16 *tag;

	vmem_free(v, a, 0x1000);
	tag = v->quantum_caches->magazines[cpu_id()]
	          .slot[v->quantum_caches->magazines[cpu_id()].nr - 1]
	          .tag;
	*tag = TAG_FIRST_SITE;
	EXPECT_PANIC("vmem: cached segment is in use", (void)must_alloc(v, 0x1000, 0));
	*tag = TAG_IN_MAGAZINE;
	must_destroy(v);
}

TEST(vmem, no_fail_stops_the_machine_instead)
{
	struct vmem *v = must_create(1, 2, 1, 0);

	EXPECT_PANIC("vmem: nothing left and may not fail arena=test size=0x3",
	             (void)vmem_alloc(v, 3, GFP_KERNEL | __GFP_NOFAIL));
	must_destroy(v);
}

TEST(vmem, is_not_destroyed_while_segments_are_live)
{
	struct vmem *v = must_create(0x100000, 0x100000, 0x1000, 0x4000);
	u64 small = must_alloc(v, 0x1000, 0), large = must_alloc(v, 0x9000, 0);

	EXPECT_EQ(vmem_destroy(v), -EBUSY);
	EXPECT_SOUND(vmem_check(v));
	vmem_free(v, large, 0x9000);
	EXPECT_EQ(vmem_destroy(v), -EBUSY);
	vmem_free(v, small, 0x1000);
	EXPECT_EQ(vmem_destroy(v), 0);
	EXPECT_EQ(vmem_destroy(NULL), 0);
}

/* --- without memory --- */

TEST(vmem, works_on_its_own_tags_without_memory)
{
	struct vmem *v = must_create(1, 1000, 1, 0);
	struct hoard hoard = {0};
	u64 at[100], nr = 0;

	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	while (nr < ARRAY_SIZE(at) && (at[nr] = vmem_alloc(v, 3, GFP_NOWAIT | __GFP_NOWARN)) != 0)
		nr++;
	EXPECT_GE(nr, 2); /* a span and its segment took two of four */
	EXPECT_SOUND(vmem_check(v));
	while (nr > 0)
		vmem_free(v, at[--nr], 3);
	EXPECT_SOUND(vmem_check(v));
	hoard_drop_all(&hoard);
	must_destroy(v);
}

TEST(vmem, without_memory_failures_change_nothing)
{
	struct vmem *parent = must_create(0x1000, 0x10000000, 0x1000, 0), *v;
	struct hoard hoard = {0};
	u64 nr = 0;
	int error = 0;

	v = vmem_create("child", 0, 0, 0x1000, NULL, NULL, parent, 0x4000, GFP_KERNEL);
	ASSERT_NOT_NULL(v);
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	EXPECT_NULL(vmem_create("none", 1, 1, 1, NULL, NULL, NULL, 1, GFP_NOWAIT | __GFP_NOWARN));
	while (vmem_xalloc(v, 0x1000, 0, 0, 0, 0, 0, GFP_NOWAIT | __GFP_NOWARN) != 0)
		nr++;
	EXPECT_EQ(vmem_alloc(v, 0x1000, GFP_NOWAIT | __GFP_NOWARN), 0);
	for (u64 at = 0x20000000; error == 0 && at < 0x20100000; at += 0x2000)
		error = vmem_add(parent, at, 0x1000, GFP_NOWAIT | __GFP_NOWARN);
	EXPECT_EQ(error, -ENOMEM);
	EXPECT_SOUND(vmem_check(v));
	EXPECT_SOUND(vmem_check(parent));
	EXPECT_EQ(vmem_size(parent, VMEM_ALLOC), nr * 0x1000);
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC), nr * 0x1000);
	hoard_drop_all(&hoard);
	for (u64 at = 0x1000; nr > 0; nr--, at += 0x1000)
		vmem_xfree(v, at, 0x1000);
	must_destroy(v);
	must_destroy(parent);
}

/* --- looking in --- */

struct seen {
	u64 nr[9], size[9];
};

static void count(void *context, unsigned kind, u64 addr, u64 size, u32 tag)
{
	struct seen *seen = context;

	seen->nr[kind]++;
	seen->size[kind] += size;
	EXPECT_NE(addr, 0);
	if (kind == VMEM_ALLOC)
		EXPECT_STREQ(site_of_tag(tag)->function, "must_alloc");
}

TEST(vmem, walk_and_stats_tell_what_there_is)
{
	struct vmem *v = must_create(0x100000, 0x100000, 0x1000, 0x4000);
	u64 small = must_alloc(v, 0x3000, 0), large = must_alloc(v, 0x9000, 0);
	struct seen seen = {0};
	struct vmem_stats stats;

	vmem_walk(v, VMEM_ALLOC | VMEM_FREE | VMEM_SPAN | VMEM_QCACHE, count, &seen);
	EXPECT_EQ(seen.nr[VMEM_ALLOC], 2);
	EXPECT_EQ(seen.size[VMEM_ALLOC], 0xc000);
	EXPECT_EQ(seen.nr[VMEM_SPAN], 1);
	EXPECT_EQ(seen.size[VMEM_SPAN], 0x100000);
	EXPECT_EQ(seen.nr[VMEM_QCACHE], 1);
	EXPECT_EQ(seen.size[VMEM_FREE], 0x100000 - 0x40000 - 0x9000);
	vmem_stats(v, &stats);
	EXPECT_STREQ(stats.name, "test");
	EXPECT_EQ(stats.nr_allocated, 2);
	EXPECT_EQ(stats.nr_free, seen.nr[VMEM_FREE]);
	EXPECT_EQ(stats.nr_spans, 1);
	EXPECT_EQ(stats.allocated, 0x49000);
	EXPECT_EQ(stats.idle, 0x40000 - 0x3000);
	EXPECT_EQ(stats.largest_free, 0x40000 << 1);
	vmem_free(v, small, 0x3000);
	vmem_free(v, large, 0x9000);
	must_destroy(v);
}

TEST(vmem, arenas_are_listed_in_the_order_of_creation)
{
	struct vmem *a = must_create(1, 1, 1, 0), *b = must_create(1, 1, 1, 0), *last = NULL;

	for (struct vmem *v = vmem_next(NULL); v != NULL; v = vmem_next(v))
		last = v;
	EXPECT_TRUE(last == b);
	EXPECT_TRUE(vmem_next(a) == b);
	EXPECT_SOUND(vmem_check_all());
	must_destroy(a);
	must_destroy(b);
}

/* --- many --- */

enum { NR_MANY = 20000 };

/* The table grows and shrinks with them, and neither loses any. */
TEST(vmem, many_segments_come_and_go)
{
	struct vmem *v = must_create(0x1000, 2ull * NR_MANY << 12, 0x1000, 0);

	for (u64 i = 0; i < NR_MANY; i++)
		ASSERT_NE(vmem_alloc(v, 0x1000, GFP_KERNEL), 0);
	EXPECT_GT(v->hash.nr_buckets, NR_MANY / 2);
	EXPECT_SOUND(vmem_check(v));
	for (u64 i = 0; i < NR_MANY; i += 2)
		vmem_free(v, 0x1000 + (i << 12), 0x1000);
	EXPECT_SOUND(vmem_check(v));
	for (u64 i = 1; i < NR_MANY; i += 2)
		vmem_free(v, 0x1000 + (i << 12), 0x1000);
	EXPECT_LT(v->hash.nr_buckets, 100);
	must_destroy(v);
}
