/*
 * The checker, checked: for each invariant of vmem*.c damage that breaks exactly it, and the name
 * that vmem_check() must give it. Undone, all is sound again.
 */
#include "mm/vmem_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

static struct vmem *v, *parent;
static struct vmem_seg *seg[16]; /* in the order of the list, markers too */
static u64 cached, live;

/* Spans: 0x10000 … 0x20000 with segments of 0x1000 taken, free, taken, free; and an imported one.
 */
static void open(void)
{
	unsigned nr = 0;

	parent =
	    vmem_create("parent", 0x1000000, 0x1000000, 0x1000, NULL, NULL, NULL, 0, GFP_KERNEL);
	ASSERT_NOT_NULL(parent);
	v = vmem_create("test", 0x10000, 0x10000, 0x1000, NULL, NULL, parent, 0x2000, GFP_KERNEL);
	ASSERT_NOT_NULL(v);
	for (u64 i = 0; i < 3; i++)
		ASSERT_EQ(vmem_xalloc(v, 0x1000, 0, 0, 0, 0x10000, 0, GFP_KERNEL | VM_NEXTFIT),
		          0x10000 + 0x1000 * i);
	vmem_xfree(v, 0x11000, 0x1000);
	cached = vmem_alloc(v, 0x2000, GFP_KERNEL); /* imports a slab */
	live = vmem_alloc(v, 0x2000, GFP_KERNEL);
	vmem_free(v, cached, 0x2000);
	for_each_seg(s, v) seg[nr++] = s;
	ASSERT_EQ(seg[2]->type, SEG_FREE);
	ASSERT_SOUND(vmem_check(v));
}

static void close(void)
{
	ASSERT_SOUND(vmem_check(v));
	vmem_free(v, live, 0x2000);
	vmem_xfree(v, 0x10000, 0x1000);
	vmem_xfree(v, 0x12000, 0x1000);
	ASSERT_EQ(vmem_destroy(v), 0);
	ASSERT_EQ(vmem_destroy(parent), 0);
}

/* Stores a wrong value, expects the checker to name it, and puts the right one back. */
#define EXPECT_BREAKS(name, lvalue, wrong)              \
	({                                              \
		__typeof__(lvalue) right_ = (lvalue);   \
		(lvalue) = (__typeof__(lvalue))(wrong); \
		EXPECT_BROKEN(vmem_check(v), name);     \
		(lvalue) = right_;                      \
		EXPECT_SOUND(vmem_check(v));            \
	})

/* The same where more than the value has to be put back. */
#define EXPECT_BREAKS_WITH(name, lvalue, wrong)         \
	({                                              \
		__typeof__(lvalue) right_ = (lvalue);   \
		(lvalue) = (__typeof__(lvalue))(wrong); \
		EXPECT_BROKEN(vmem_check(v), name);     \
		(lvalue) = right_;                      \
	})

TEST(vmem_check, V1_segments_tile_their_span)
{
	open();
	EXPECT_BREAKS("V1:", seg[1]->end, seg[1]->end - 0x1000);
	EXPECT_BREAKS("V1:", seg[1]->end, seg_start(seg[1]));
	EXPECT_BREAKS("V1:", seg[1]->end, seg[1]->end - 1);
	EXPECT_BREAKS("V1:", seg[4]->end, seg[4]->end - 0x1000); /* the span's last */
	EXPECT_BREAKS("V1:", seg[4]->end, seg[4]->end + 0x1000);
	EXPECT_BREAKS("V1:", seg[0]->node.key, 0x11000);
	EXPECT_BREAKS("V1:", seg[0]->node.key, 0);
	EXPECT_BREAKS("V1:", seg[0]->end, 0x10000);
	EXPECT_BREAKS("V1:", seg[1]->type, SEG_SPAN);
	EXPECT_BREAKS("V1:", seg[0]->type, SEG_ALLOC);
	EXPECT_BREAKS("V1:", seg[3]->link.prev, &seg[1]->link);
	close();
}

/* What two segments, or a span and its first, agree on may be wrong all the same. */
TEST(vmem_check, V1_neighbours_that_agree)
{
	open();
	seg[0]->node.key = 0;
	EXPECT_BREAKS_WITH("V1:", seg[1]->node.key, 0);
	seg[0]->node.key = 0x10000;
	seg[1]->end = 0x10000;
	EXPECT_BREAKS_WITH("V1:", seg[2]->node.key, 0x10000);
	seg[1]->end = 0x11001;
	EXPECT_BREAKS_WITH("V1:", seg[2]->node.key, 0x11001);
	seg[1]->end = 0x11000;
	close();
}

TEST(vmem_check, V1_spans_do_not_overlap)
{
	struct vmem_seg *other;

	open();
	other = seg[5];
	ASSERT_EQ(other->type, SEG_SPAN);
	EXPECT_BREAKS("V1:", seg[0]->end, other->end);
	close();
}

TEST(vmem_check, V2_free_segments_are_merged)
{
	open();
	EXPECT_BREAKS("V2:", seg[1]->type, SEG_FREE);
	EXPECT_BREAKS("V2:", seg[3]->type, SEG_FREE);
	close();
}

TEST(vmem_check, V2_imported_spans_are_in_use)
{
	struct vmem *plain;

	open();
	plain = vmem_create("plain", 1, 10, 1, NULL, NULL, NULL, 0, GFP_KERNEL);
	ASSERT_NOT_NULL(plain);
	EXPECT_SOUND(vmem_check(plain));
	seg_next(&plain->head)->imported = true;
	EXPECT_BROKEN(vmem_check(plain), "V2:");
	ASSERT_EQ(vmem_destroy(plain), 0);
	close();
}

TEST(vmem_check, V3_free_lists_hold_what_is_free)
{
	open();
	EXPECT_BREAKS("V3:", v->nonempty, v->nonempty | 1);
	EXPECT_BREAKS("V3:", v->nonempty, v->nonempty & (v->nonempty - 1));
	EXPECT_BREAKS("V3:", v->nr_free, v->nr_free + 1);
	EXPECT_BREAKS("V3:", v->nr_free, v->nr_free - 1);
	EXPECT_BREAKS("V3:", seg[2]->free.prev, &seg[2]->free);
	list_remove(&seg[2]->free);
	list_push_front(&v->free_list[13], &seg[2]->free);
	EXPECT_BROKEN(vmem_check(v), "V3:");
	list_remove(&seg[2]->free);
	list_push_front(&v->free_list[12], &seg[2]->free);
	close();
}

TEST(vmem_check, V3_every_free_segment_is_listed)
{
	open();
	list_remove(&seg[2]->free);
	v->nonempty &= ~(1ull << 12);
	v->nr_free--;
	EXPECT_BROKEN(vmem_check(v), "V3:");
	list_push_front(&v->free_list[12], &seg[2]->free);
	v->nonempty |= 1ull << 12;
	v->nr_free++;
	close();
}

TEST(vmem_check, V4_the_table_holds_what_is_allocated)
{
	struct hash_node stray = {NULL, 0x15000}, **bucket;

	open();
	bucket = hash_bucket(&v->hash, hash_bucket_of(&v->hash, 0x10000));
	EXPECT_BREAKS("V4:", *bucket, NULL);
	EXPECT_BREAKS("V4:", v->hash.nr, v->hash.nr + 1);
	EXPECT_BREAKS("V4:", v->hash.nr, v->hash.nr - 1);
	EXPECT_BREAKS("V4:", v->hash.nr_buckets, 8);
	bucket = hash_bucket(&v->hash, hash_bucket_of(&v->hash, 0x15000));
	stray.next = *bucket;
	EXPECT_BREAKS("V4:", *bucket, &stray);
	bucket = hash_bucket(&v->hash, hash_bucket_of(&v->hash, 0x15000) ^ 1);
	stray.next = *bucket;
	*bucket = &stray;
	v->hash.nr++;
	EXPECT_BROKEN(vmem_check(v), "V4:"); /* in a bucket that is not its own */
	v->hash.nr--;
	*bucket = stray.next;
	close();
}

/* The first bucket is looked at too. */
TEST(vmem_check, V4_a_stray_in_the_first_bucket)
{
	struct hash_node stray = {NULL, 0x14000}, **bucket;

	open();
	while (hash_bucket_of(&v->hash, stray.key) != 0)
		stray.key += 0x1000;
	bucket = hash_bucket(&v->hash, 0);
	stray.next = *bucket;
	v->hash.nr++;
	EXPECT_BREAKS_WITH("V4:", *bucket, &stray);
	v->hash.nr--;
	close();
}

TEST(vmem_check, all_arenas_are_checked)
{
	open();
	EXPECT_SOUND(vmem_check_all());
	v->nr_spans++;
	EXPECT_BROKEN(vmem_check_all(), "V5:");
	v->nr_spans--;
	close();
}

TEST(vmem_check, V5_sums_are_those_of_the_segments)
{
	open();
	EXPECT_BREAKS("V5:", v->size, v->size + 0x1000);
	EXPECT_BREAKS("V5:", v->in_use, v->in_use - 0x1000);
	EXPECT_BREAKS("V5:", v->nr_spans, 1);
	close();
}

TEST(vmem_check, V6_the_rotor_is_a_segment_before_the_place)
{
	open();
	ASSERT_NOT_NULL(v->rotor);
	EXPECT_BREAKS("V6:", v->rotor, seg[0]);
	EXPECT_BREAKS("V6:", v->rotor, &v->head);
	EXPECT_BREAKS("V6:", v->next, 0x11000);
	v->next = seg_start(v->rotor);
	EXPECT_SOUND(vmem_check(v));
	close();
}

TEST(vmem_check, V7_spare_tags_hold_nothing)
{
	struct vmem_seg *spare;

	open();
	spare = list_first(&v->spare, struct vmem_seg, link);
	EXPECT_BREAKS("V7:", spare->type, SEG_FREE);
	EXPECT_BREAKS("V7:", v->nr_spare, v->nr_spare + 1);
	EXPECT_BREAKS("V7:", v->nr_spare, v->nr_spare - 1);
	EXPECT_BREAKS("V7:", seg[2]->type, SEG_SPARE);
	EXPECT_BREAKS("V7:", seg[2]->type, SEG_SLAB + 1);
	close();
}

/* --- quantum caches --- */

static struct quantum_slab *slab_of(u64 addr)
{
	ASSERT_NOT_NULL(quantum_find(v, addr));
	return quantum_find(v, addr);
}

TEST(vmem_check, Q1_slabs_are_in_their_table)
{
	struct quantum_slab *s;
	struct quantum_table *t;

	open();
	s = slab_of(live);
	t = quantum_table_of(v, live);
	EXPECT_BREAKS("Q1:", s->node.key, s->node.key + QUANTUM_TABLES);
	EXPECT_BREAKS("Q1:", s->units, 0);
	EXPECT_BREAKS("Q1:", s->units, 3);
	EXPECT_BREAKS("Q1:", t->hash.nr, 2);
	EXPECT_BREAKS("Q1:", seg[1]->type, SEG_SLAB);
	close();
}

TEST(vmem_check, Q2_bits_and_tags_agree)
{
	struct quantum_slab *s;

	open();
	s = slab_of(live);
	EXPECT_BREAKS("Q2:", s->free, s->free & (s->free - 1));
	EXPECT_BREAKS("Q2:", s->free, s->free | 1ull << (quantum_index(v, live)));
	EXPECT_BREAKS("Q2:", s->tag[(quantum_index(v, live)) + 1], TAG_FIRST_SITE);
	EXPECT_BREAKS("Q2:", s->tag[quantum_index(v, live)], TAG_IN_SLAB);
	close();
}

TEST(vmem_check, Q3_magazines_hold_what_is_cached)
{
	struct quantum_magazine *m;

	open();
	m = &v->quantum_caches->magazines[cpu_id() * v->quantum_caches->nr_classes + 1];
	ASSERT_GT(m->nr, 0);
	EXPECT_BREAKS("Q3:", m->nr, QUANTUM_MAGAZINE + 1);
	EXPECT_BREAKS("Q3:", *m->slot[0].tag, TAG_FIRST_SITE);
	EXPECT_BREAKS("Q3:", m->slot[0].addr, m->slot[0].addr + 0x2000);
	ASSERT_GT(m->nr, 1);
	EXPECT_BREAKS("Q3:", m->slot[m->nr - 1].addr, m->slot[m->nr - 1].addr + 0x2000);
	close();
}

TEST(vmem_check, Q4_sums_and_lists_are_those_of_the_slabs)
{
	struct quantum_class *c;
	struct quantum_slab *s;

	open();
	c = &v->quantum_caches->of_units[2];
	s = slab_of(live);
	EXPECT_BREAKS("Q4:", c->nr_slabs, 2);
	EXPECT_BREAKS("Q4:", c->nr_empty, 1);
	EXPECT_BREAKS("Q4:", c->nr_free, c->nr_free - 1);
	list_remove(&s->link);
	EXPECT_BROKEN(vmem_check(v), "Q4:");
	list_push_front(&c->partial, &s->link);
	close();
}

/* Four segments a slab: of two slabs one is all free, then none of either. */
TEST(vmem_check, Q4_slabs_are_listed_in_their_order)
{
	struct vmem *q = vmem_create("listed", 64, 1 << 20, 1, NULL, NULL, NULL, 16, GFP_KERNEL);
	struct list *partial;
	struct quantum_slab *s;
	u64 at[8];

	ASSERT_NOT_NULL(q);
	partial = &q->quantum_caches->of_units[16].partial;
	for (unsigned i = 0; i < 8; i++)
		at[i] = vmem_alloc(q, 16, GFP_KERNEL);
	quantum_flush_here(q);
	ASSERT_TRUE(list_is_empty(partial));
	s = quantum_find(q, at[0]);
	list_push_back(partial, &s->link);
	EXPECT_BROKEN(vmem_check(q), "Q4:"); /* nothing of it is free */
	list_remove(&s->link);
	for (unsigned i = 0; i < 5; i++)
		vmem_free(q, at[i], 16);
	quantum_flush_here(q);
	EXPECT_SOUND(vmem_check(q));
	s = list_first(partial, struct quantum_slab, link);
	list_remove(&s->link);
	list_push_back(partial, &s->link);
	EXPECT_BROKEN(vmem_check(q), "Q4:"); /* the one that is all free is not the last */
	list_remove(&s->link);
	list_push_front(partial, &s->link);
	q->quantum_caches->of_units[1].nr_free++;
	EXPECT_BROKEN(vmem_check(q), "Q4:"); /* of a size that nobody uses */
	q->quantum_caches->of_units[1].nr_free--;
	for (unsigned i = 5; i < 8; i++)
		vmem_free(q, at[i], 16);
	ASSERT_EQ(vmem_destroy(q), 0);
}
