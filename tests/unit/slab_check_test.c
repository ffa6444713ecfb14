/*
 * The slab checker, checked: for each invariant of mm/slab_check.c damage that breaks exactly it,
 * in the first and the last slab, and the name that it must get. Undone, all is sound again.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/plain_cache.h"

#define NR_SLABS 5u

static struct kmem_cache *c;
static void *objects[1200];
static unsigned nr;
static struct slab *full, *partial, *empty;

/* This context's magazines. */
static struct cpu_objects *here(void)
{
	return cpu_objects_of(c, cpu_id() * NR_CONTEXT_KINDS);
}

/* Slabs 0 and 1 full, 2 and 3 partial, 4 empty, and some objects of slab 3 in the magazine. */
static void open_sound(void)
{
	c = plain_cache_create("test", 128, 0, 0);
	ASSERT_NOT_NULL(c);
	nr = NR_SLABS * c->nr_objects;
	ASSERT_LE(nr, ARRAY_SIZE(objects));
	for (unsigned i = 0; i < nr; i++)
		ASSERT_NOT_NULL(objects[i] = kmem_cache_alloc(c, GFP_KERNEL));
	kmem_cache_shrink(c);
	ASSERT_EQ(c->nr_slabs, NR_SLABS);
	for (unsigned i = 2 * c->nr_objects; i < nr; i++) {
		bool keep = i < 4 * c->nr_objects && i % 4 != 0;

		if (keep)
			continue;
		kmem_cache_free(c, objects[i]);
		objects[i] = NULL;
		if (here()->top == here()->limit)
			magazine_flush(c, false);
	}
	magazine_flush(c, false);
	full = slab_of(objects[0]);
	partial = slab_of(objects[4 * c->nr_objects - 1]);
	for (unsigned i = 0; i < 6; i++) {
		unsigned at = 4 * c->nr_objects - 1;

		while (objects[at] == NULL)
			at--;
		kmem_cache_free(c, objects[at]);
		objects[at] = NULL;
	}
	ASSERT_EQ(c->nr_empty, 1);
	empty = list_first(&c->slabs[SLABS_EMPTY], struct slab, link);
	ASSERT_SOUND(kmem_cache_check(c));
	ASSERT_SOUND(slab_check());
}

static void close(void)
{
	for (unsigned i = 0; i < nr; i++)
		kmem_cache_free(c, objects[i]);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

#define EXPECT_BREAKS(name, lvalue, wrong)                \
	({                                                \
		__typeof__(lvalue) right_ = (lvalue);     \
		(lvalue) = (__typeof__(lvalue))(wrong);   \
		EXPECT_BROKEN(kmem_cache_check(c), name); \
		EXPECT_BROKEN(mm_check(), name);          \
		(lvalue) = right_;                        \
		EXPECT_SOUND(kmem_cache_check(c));        \
	})

TEST(slab_check, S1_slabs_stand_on_their_lists)
{
	open_sound();
	EXPECT_BREAKS("S1:", full->list, SLABS_PARTIAL);
	EXPECT_BREAKS("S1:", partial->list, SLABS_EMPTY);
	EXPECT_BREAKS("S1:", empty->list, SLABS_FULL);
	EXPECT_BREAKS("S1:", full->nr_to_next, 0);
	EXPECT_BREAKS("S1:", full->nr_to_next, 2);
	EXPECT_BREAKS("S1:", empty->nr_to_next, empty->nr_to_next + 1);
	EXPECT_BREAKS("S1:", empty->nr_to_next, empty->nr_to_next - 1);
	EXPECT_BREAKS("S1:", partial->nr_to_next, 0);
	EXPECT_BREAKS("S1:", partial->nr_to_next, c->nr_objects + 1);
	EXPECT_BREAKS("S1:", c->nonempty_lists, c->nonempty_lists & ~(1u << SLABS_FULL));
	EXPECT_BREAKS("S1:", c->nonempty_lists, c->nonempty_lists & ~(1u << SLABS_EMPTY));
	EXPECT_BREAKS("S1:", c->nonempty_lists, c->nonempty_lists | 1u << (SLABS_EMPTY - 1));
	EXPECT_BREAKS("S1:", full->link.next->prev, &empty->link);
	close();
}

TEST(slab_check, S7_empty_slabs_are_counted)
{
	open_sound();
	EXPECT_BREAKS("S7:", c->nr_empty, 0);
	EXPECT_BREAKS("S7:", c->nr_empty, 2);
	close();
}

TEST(slab_check, S2_bits_are_as_many_as_free_objects)
{
	u64 *bits;

	open_sound();
	bits = slab_bits(c, full);
	EXPECT_BREAKS("S2:", bits[0], 1);
	EXPECT_BREAKS("S2:", bits[0], 1ull << (c->nr_objects - 1));
	if (c->nr_objects < 64) /* beyond the objects */
		EXPECT_BREAKS("S2:", bits[0], 1ull << c->nr_objects);
	bits = slab_bits(c, empty);
	EXPECT_BREAKS("S2:", bits[0], bits[0] & (bits[0] - 1));
	if (c->nr_objects < 64)
		EXPECT_BREAKS("S2:", bits[0], (bits[0] & (bits[0] - 1)) | 1ull << c->nr_objects);
	close();
}

TEST(slab_check, S2_bits_beyond_the_objects)
{
	u64 *bits;
	u32 last;

	c = plain_cache_create("test", 120, 0, 0);
	ASSERT_NOT_NULL(c);
	objects[0] = kmem_cache_alloc(c, GFP_KERNEL);
	nr = 1;
	ASSERT_NOT_NULL(objects[0]);
	ASSERT_NE(c->nr_objects % 64, 0);
	magazine_flush(c, false);
	bits = slab_bits(c, slab_of(objects[0])) + c->nr_objects / 64;
	last = c->nr_objects % 64;
	EXPECT_BREAKS("S2:", *bits, *bits | 1ull << last);
	EXPECT_BREAKS("S2:", *bits, *bits | 1ull << 63);
	EXPECT_BREAKS("S2:", *bits, (*bits & (*bits - 1)) | 1ull << last);
	close();
}

TEST(slab_check, S3_tags_and_bits_agree)
{
	u32 last;

	open_sound();
	last = c->nr_objects - 1;
	EXPECT_BREAKS("S3:", full->tag[0], TAG_IN_SLAB);
	EXPECT_BREAKS("S3:", full->tag[last], TAG_IN_SLAB);
	EXPECT_BREAKS("S3:", empty->tag[0], TAG_FIRST_SITE);
	EXPECT_BREAKS("S3:", empty->tag[last], TAG_IN_MAGAZINE);
	if (c->nr_slots > c->nr_objects)
		EXPECT_BREAKS("S3:", empty->tag[c->nr_objects], TAG_FIRST_SITE);
	close();
}

TEST(slab_check, S3_slots_that_are_no_objects)
{
	struct kmem_cache *odd = plain_cache_create("test", 120, 0, 0);
	void *object = kmem_cache_alloc(odd, GFP_KERNEL);
	u16 *tag;

	ASSERT_NOT_NULL(object);
	ASSERT_EQ(odd->nr_slots, odd->nr_objects + 1);
	tag = &slab_of(object)->tag[odd->nr_objects];
	*tag = TAG_FIRST_SITE;
	EXPECT_BROKEN(kmem_cache_check(odd), "S3:");
	*tag = TAG_IN_SLAB;
	EXPECT_SOUND(kmem_cache_check(odd));
	kmem_cache_free(odd, object);
	EXPECT_EQ(kmem_cache_destroy(odd), 0);
}

TEST(slab_check, S4_pages_and_records_lead_to_each_other)
{
	struct slab *slabs[3];

	open_sound();
	slabs[0] = full;
	slabs[1] = partial;
	slabs[2] = empty;
	for (unsigned i = 0; i < 3; i++) {
		struct page *head = virt_to_page((void *)slabs[i]->base);
		struct page *last = head + c->nr_pages - 1;

		EXPECT_BREAKS("S4:", head->type, PAGE_ALLOCATED);
		EXPECT_BREAKS("S4:", last->type, PAGE_INNER);
		EXPECT_BREAKS("S4:", head->slab, slabs[(i + 1) % 3]);
		EXPECT_BREAKS("S4:", last->slab, NULL);
		EXPECT_BREAKS("S4:", slabs[i]->cache, NULL);
		EXPECT_BREAKS("S4:", slabs[i]->nr_pages, c->nr_pages + 1);
	}
	close();
}

#define NO_OBJECT "S5: a magazine holds what is no object of its cache"

TEST(slab_check, S5_magazines_hold_objects_with_their_tags)
{
	struct cpu_objects *o;

	open_sound();
	o = here();
	ASSERT_GE(cpu_objects_count(o), 3);
	EXPECT_BREAKS("S5: a magazine is fuller than it can be", o->top, o->limit + 1);
	EXPECT_BREAKS("S5:", o->loaded->slot[0].object, c);
	EXPECT_BREAKS("S5:", o->loaded->slot[0].tag, o->top->tag);
	for (struct magazine_slot *slot = o->loaded->slot + 1; slot <= o->top;
	     slot += o->top - o->loaded->slot - 1) {
		EXPECT_BREAKS(NO_OBJECT, slot->object, (char *)slot->object + 8);
		EXPECT_BREAKS(NO_OBJECT, slot->object, c);
		EXPECT_BREAKS(NO_OBJECT, slot->object, NULL);
		EXPECT_BREAKS("S5:", slot->tag, slot->tag + 1);
		EXPECT_BREAKS("S5:", *slot->tag, TAG_FIRST_SITE);
	}
	close();
}

TEST(slab_check, S6_tags_are_as_many_as_magazines_hold)
{
	struct cpu_objects *o;

	open_sound();
	EXPECT_BREAKS("S6:", full->tag[0], TAG_IN_MAGAZINE);
	EXPECT_BREAKS("S6:", full->tag[c->nr_objects - 1], TAG_IN_MAGAZINE);
	o = here();
	EXPECT_BREAKS("S6:", o->top, o->top - 1);
	EXPECT_BREAKS("S6:", o->top[0], o->top[-1]); /* one twice, one never */
	close();
}

TEST(slab_check, S8_contexts_have_magazines_or_nothing)
{
	struct cpu_objects *o, *handlers;
	struct magazine_slot slot = {NULL, NULL};

	open_sound();
	o = here();
	slot.tag = o->loaded->slot[0].tag;
	handlers = cpu_objects_of(c, cpu_id() * NR_CONTEXT_KINDS + CONTEXT_INTERRUPTS);
	ASSERT_NULL(handlers->loaded);
	EXPECT_BREAKS("S8:", handlers->top, &slot);
	EXPECT_BREAKS("S8:", handlers->limit, &slot);
	EXPECT_BREAKS("S8:", handlers->spare, o->loaded);
	EXPECT_BREAKS("S8:", handlers->nr_spare, 1);
	EXPECT_BREAKS("S8:", o->top, (struct magazine_slot *)o->loaded - 1);
	EXPECT_BREAKS("S8:", o->limit, o->limit - 1);
	EXPECT_BREAKS("S8:", o->limit, o->limit + 1);
	EXPECT_BREAKS("S8:", o->nr_spare, 1);
	EXPECT_BREAKS("S8:", o->nr_spare, c->capacity);
	close();
}

TEST(slab_check, S9_magazines_are_counted)
{
	struct magazine *m;

	open_sound();
	EXPECT_BREAKS("S9:", c->nr_magazines, 0);
	EXPECT_BREAKS("S9:", c->nr_magazines, c->nr_magazines + 1);
	EXPECT_BREAKS("S9:", c->depot.nr_full, 1);
	EXPECT_BREAKS("S9:", c->depot.nr_empty, 1);
	m = here()->loaded;
	EXPECT_BREAKS("S9:", c->depot.empty, m); /* a list, but none counted */
	EXPECT_BREAKS("S9:", c->depot.full, m);
	close();
}

TEST(slab_check, S10_what_is_kept_is_counted)
{
	slab_kept++;
	EXPECT_BROKEN(mm_check(), "S10:");
	slab_kept -= 2;
	EXPECT_BROKEN(slab_check(), "S10:");
	slab_kept++;
	EXPECT_SOUND(slab_check());
}

TEST(slab_check, S7_sums_over_the_slabs)
{
	open_sound();
	EXPECT_BREAKS("S7:", c->nr_slabs, NR_SLABS + 1);
	EXPECT_BREAKS("S7:", c->nr_slabs, NR_SLABS - 1);
	EXPECT_BREAKS("S7:", c->nr_free, c->nr_free + 1);
	EXPECT_BREAKS("S7:", c->nr_free, 0);
	close();
}
