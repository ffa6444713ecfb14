/*
 * Each letter of `slab_debug=` on caches: what it catches is planted, reported in the expected
 * line, repaired, and nothing is reported then.
 */
#include "mm/debug/debug_internal.h"

#include <mm/mm.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"

static struct kmem_cache *c;

static void begin_with(const char *letters, size_t size, size_t align, unsigned flags,
                       void (*ctor)(void *))
{
	debugged_begin(letters);
	c = kmem_cache_create("debugged", size, align, flags, ctor);
	debugged_end();
	ASSERT_NOT_NULL(c);
}

static void end(void)
{
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static char *must_alloc(void)
{
	char *p = kmem_cache_alloc(c, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	return p;
}

/* The statement reports the damage of one byte, once it is planted, and runs when it is repaired.
 */
#define EXPECT_DAMAGE(line, at, statement)               \
	({                                               \
		u8 was_ = plant(at, 0x77);               \
		EXPECT_PANIC(line, statement);           \
		EXPECT_BROKEN(kmem_cache_check(c), "D"); \
		(void)plant(at, was_);                   \
		EXPECT_SOUND(kmem_cache_check(c));       \
	})

static const size_t sizes[] = {1, 8, 16, 24, 61, 64, 100, 256, 1000, 4096, 5000, 8192};

/* --- Z --- */

TEST(debug_slab, Z_finds_the_bytes_on_both_sides)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *p;

		begin_with("Z", sizes[i], 0, 0, NULL);
		p = must_alloc();
		EXPECT_DAMAGE("BUG: right red zone overwritten in debugged: object", p + sizes[i],
		              kmem_cache_free(c, p));
		EXPECT_DAMAGE("BUG: right red zone overwritten in debugged: object",
		              p + sizes[i] + 7, kmem_cache_free(c, p));
		EXPECT_DAMAGE("BUG: left red zone overwritten in debugged: object", p - 1,
		              kmem_cache_free(c, p));
		EXPECT_DAMAGE("BUG: left red zone overwritten in debugged: object", p - 8,
		              kmem_cache_free(c, p));
		kmem_cache_free(c, p);
		end();
	}
}

/* Also of the first object of a slab and of the last, and of free ones when they are allocated. */
TEST(debug_slab, Z_guards_every_object_of_a_slab)
{
	char *p[SLAB_DEBUG_OBJECTS];

	begin_with("Z", 100, 0, 0, NULL);
	for (u32 i = 0; i < c->nr_objects; i++)
		p[i] = must_alloc();
	for (u32 i = 0; i < c->nr_objects; i++) {
		EXPECT_DAMAGE("right red zone", p[i] + 100, kmem_cache_free(c, p[i]));
		EXPECT_DAMAGE("left red zone", p[i] - 1, kmem_cache_free(c, p[i]));
	}
	for (u32 i = 0; i < c->nr_objects; i++)
		kmem_cache_free(c, p[i]);
	EXPECT_DAMAGE("right red zone overwritten in debugged", p[0] + 100, (void)must_alloc());
	end();
}

TEST(debug_slab, the_first_line_says_what_where_and_by_whom)
{
	char line[160], *p;
	u8 was;

	begin_with("Z", 100, 0, 0, NULL);
	p = must_alloc();
	was = plant(p + 103, 0x41);
	format_buf(line, sizeof(line),
	           "BUG: right red zone overwritten in debugged: object %p+103 (size 100) is 0x41, "
	           "not 0xcc, by %s:",
	           (void *)p, __FILE__);
	EXPECT_PANIC(line, kmem_cache_free(c, p));
	(void)plant(p + 103, was);
	was = plant(p - 2, 0x42);
	format_buf(line, sizeof(line), "object %p-2 (size 100) is 0x42, not 0xcc", (void *)p);
	EXPECT_PANIC(line, kmem_cache_free(c, p));
	(void)plant(p - 2, was);
	kmem_cache_free(c, p);
	end();
}

TEST(debug_slab, alignments_are_kept)
{
	for (size_t align = 8; align <= PAGE_SIZE; align *= 2)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			char *p, *q;

			begin_with("FZPUQ", sizes[i], align, 0, NULL);
			p = must_alloc();
			q = must_alloc();
			EXPECT_TRUE(is_aligned((u64)p, align) && is_aligned((u64)q, align));
			memset(p, 0xff, sizes[i]);
			memset(q, 0xff, sizes[i]);
			kmem_cache_free(c, p);
			kmem_cache_free(c, q);
			end();
		}
}

/* --- P --- */

TEST(debug_slab, P_finds_each_byte_written_after_a_free)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const size_t at[] = {0, sizes[i] / 2, sizes[i] - 1};
		char *p;

		begin_with("P", sizes[i], 0, 0, NULL);
		p = must_alloc();
		memset(p, 0xff, sizes[i]);
		kmem_cache_free(c, p);
		EXPECT_EQ(mark_read(p), sizes[i] == 1 ? POISON_END : POISON_FREE);
		EXPECT_EQ(mark_read(p + sizes[i] - 1), POISON_END);
		for (size_t j = 0; j < ARRAY_SIZE(at); j++)
			EXPECT_DAMAGE("BUG: write after free in debugged: object", p + at[j],
			              (void)must_alloc());
		end();
	}
}

/* Who wrote there is not known, but who had the object is. */
TEST(debug_slab, P_names_the_last_owner)
{
	char line[160], *p;
	u8 was;

	begin_with("P", 64, 0, 0, NULL);
	p = must_alloc();
	kmem_cache_free(c, p);
	was = plant(p + 9, 1);
	format_buf(line, sizeof(line), "object %p+9 (size 64) is 0x01, not 0x6b, by %s:", (void *)p,
	           __FILE__);
	EXPECT_PANIC(line, (void)must_alloc());
	(void)plant(p + 9, was);
	end();
}

static unsigned nr_constructed;

static void construct(void *object)
{
	memset(object, 0x21, 100);
	nr_constructed++;
}

/* A constructor's work stays, and writes into free objects are found nevertheless. */
TEST(debug_slab, P_leaves_constructed_objects_as_they_are)
{
	char *p;

	nr_constructed = 0;
	begin_with("FZP", 100, 0, 0, construct);
	p = must_alloc();
	EXPECT_EQ(nr_constructed, c->nr_objects);
	EXPECT_EQ(p[0], 0x21);
	EXPECT_EQ(p[99], 0x21);
	p[50] = 0x22;
	kmem_cache_free(c, p);
	EXPECT_DAMAGE("BUG: write after free in debugged: object", p + 99, (void)must_alloc());
	EXPECT_TRUE(must_alloc() == p);
	EXPECT_EQ(p[50], 0x22);
	EXPECT_DAMAGE("right red zone", p + 100, kmem_cache_free(c, p));
	kmem_cache_free(c, p);
	end();
}

/* Zeros are the pattern where zeros were asked for. */
TEST(debug_slab, P_of_a_cache_that_zeroes_on_free)
{
	char *p;

	begin_with("P", 64, 0, SLAB_ZERO_ON_FREE, NULL);
	p = must_alloc();
	memset(p, 0xff, 64);
	kmem_cache_free(c, p);
	EXPECT_NULL(mark_find_other(p, 0, 64));
	EXPECT_DAMAGE("is 0x77, not 0x00", p + 63, (void)must_alloc());
	end();
}

/* A slab with a damaged free object does not go back to the page allocator unseen. */
TEST(debug_slab, P_looks_before_a_slab_goes)
{
	struct slab *s;
	char *p;

	begin_with("P", 64, 0, 0, NULL);
	p = must_alloc();
	s = slab_of(p);
	kmem_cache_free(c, p);
	(void)plant(p + 5, 0);
	EXPECT_PANIC("BUG: write after free in debugged", slab_debug_leave(c, s));
	(void)plant(p + 5, POISON_FREE);
	slab_debug_leave(c, s);
	end();
}

/* --- F --- */

/* Damage of a neighbour shows at once, not when that one is used. */
TEST(debug_slab, F_looks_at_the_whole_slab)
{
	char *p, *q;

	begin_with("FZP", 100, 0, 0, NULL);
	p = must_alloc();
	q = must_alloc();
	EXPECT_DAMAGE("right red zone overwritten", q + 100, kmem_cache_free(c, p));
	EXPECT_DAMAGE("left red zone overwritten", p - 1, (void)must_alloc());
	kmem_cache_free(c, q);
	EXPECT_DAMAGE("write after free", q, kmem_cache_free(c, p));
	kmem_cache_free(c, p);
	end();
}

TEST(debug_slab, F_checks_the_record)
{
	struct slab *s;
	char *p;

	begin_with("F", 100, 0, 0, NULL);
	p = must_alloc();
	s = slab_of(p);
	s->nr_to_next++;
	EXPECT_PANIC("BUG: inconsistent slab in debugged: object", kmem_cache_free(c, p));
	EXPECT_PANIC(": S", kmem_cache_free(c, p));
	s->nr_to_next--;
	kmem_cache_free(c, p);
	end();
}

/* --- U --- */

static __noinline void *alloc_somewhere(void)
{
	void *p = kmem_cache_alloc(c, GFP_KERNEL);

	__asm__ volatile("" : : : "memory"); /* no tail call */
	return p;
}

TEST(debug_slab, U_keeps_the_stacks)
{
	struct stack_depot former = stack_depot;
	const u64 *frames;
	struct object_debug *o;
	bool found = false;
	size_t n;
	char *p;

	ASSERT_TRUE(stack_depot_create(64 * KIB));
	begin_with("U", 100, 0, 0, NULL);
	p = alloc_somewhere();
	ASSERT_NOT_NULL(p);
	o = slab_object_debug(c, slab_of(p), 0);
	n = stack_depot_get(o->alloc_stack, &frames);
	EXPECT_GT(n, 1);
	for (size_t i = 0; i < n; i++)
		found |= frames[i] - (u64)alloc_somewhere < 256;
	EXPECT_TRUE(found);
	EXPECT_EQ(stack_depot_get(o->free_stack, &frames), 0);
	kmem_cache_free(c, p);
	EXPECT_GT(stack_depot_get(o->free_stack, &frames), 1);
	EXPECT_NE(o->free_stack, o->alloc_stack);
	end();
	stack_depot_destroy();
	stack_depot = former;
}

/* --- Q --- */

TEST(debug_slab, Q_keeps_objects_away_for_a_while)
{
	char *first, *p;
	u32 limit;

	begin_with("Q", 64, 0, 0, NULL);
	first = must_alloc();
	kmem_cache_free(c, first);
	limit = c->quarantine->limit;
	EXPECT_GT(limit, 1);
	for (u32 i = 1; i < limit; i++) {
		p = must_alloc();
		EXPECT_TRUE(p != first);
		kmem_cache_free(c, p);
	}
	EXPECT_EQ(quarantine_count(c), limit);
	EXPECT_TRUE(quarantine_at(c->quarantine, 0)->object == first);
	p = must_alloc();
	kmem_cache_free(c, p); /* first goes home */
	EXPECT_EQ(quarantine_count(c), limit);
	EXPECT_TRUE(quarantine_at(c->quarantine, 0)->object != first);
	EXPECT_TRUE(quarantine_at(c->quarantine, limit - 1)->object == p);
	EXPECT_PANIC("slab: double free object=", kmem_cache_free(c, p));
	EXPECT_SOUND(kmem_cache_check(c));
	end();
}

TEST(debug_slab, Q_counts_as_cached_and_is_emptied_by_shrinking)
{
	struct kmem_cache_stats s;
	char *p;

	begin_with("FZPQ", 64, 0, 0, NULL);
	p = must_alloc();
	kmem_cache_free(c, p);
	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.nr_cached, 1);
	EXPECT_EQ(s.nr_live, 0);
	EXPECT_DAMAGE("write after free", p + 1, kmem_cache_free(c, must_alloc()));
	EXPECT_GT(kmem_cache_shrink(c), 0);
	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.nr_cached, 0);
	EXPECT_EQ(s.nr_slabs, 0);
	end();
}

TEST(debug_slab, Q_holds_less_of_large_objects)
{
	begin_with("Q", 64 * KIB, 0, 0, NULL);
	EXPECT_EQ(c->quarantine->limit, 256 * KIB / c->stride);
	end();
	begin_with("Q", SLAB_MAX_SIZE, 0, 0, NULL);
	EXPECT_EQ(c->quarantine->limit, 1);
	end();
}

/* --- the rest of the interface --- */

TEST(debug_slab, bulk_takes_and_gives_one_by_one)
{
	void *objects[100];
	char *pin; /* its slab stays */

	begin_with("FZP", 100, 0, 0, NULL);
	pin = must_alloc();
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL | __GFP_ZERO, 100, objects), 100);
	for (size_t i = 0; i < 100; i++)
		EXPECT_NULL(mem_find_other(objects[i], 0, 100));
	EXPECT_SOUND(kmem_cache_check(c));
	kmem_cache_free_bulk(c, 100, objects);
	EXPECT_PANIC("slab: double free", kmem_cache_free_bulk(c, 1, objects));
	kmem_cache_free(c, pin);
	end();
}

TEST(debug_slab, objects_of_a_node)
{
	char *p;

	begin_with("FZP", 100, 0, 0, NULL);
	p = kmem_cache_alloc_node(c, GFP_KERNEL | __GFP_ZERO, 0);
	ASSERT_NOT_NULL(p);
	EXPECT_NULL(mem_find_other(p, 0, 100));
	kmem_cache_free(c, p);
	end();
}

TEST(debug_slab, no_other_cache_is_touched)
{
	struct kmem_cache *plain;

	debugged_begin("FZPUQ;-,plain");
	plain = kmem_cache_create("plain", 100, 0, 0, NULL);
	c = kmem_cache_create("opted_out", 100, 0, SLAB_NO_DEBUG, NULL);
	debugged_end();
	ASSERT_TRUE(plain != NULL && c != NULL);
	EXPECT_EQ(plain->debug | c->debug, 0);
	EXPECT_GT(plain->capacity, 0);
	EXPECT_GT(c->capacity, 0);
	EXPECT_EQ(kmem_cache_destroy(plain), 0);
	end();
}
