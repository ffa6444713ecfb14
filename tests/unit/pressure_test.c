/*
 * More than there is: twenty-four times the machine's memory is asked for, in random sizes from a
 * word to megabytes, while much of it is held. Requests fail, with reclaim and without; nothing is
 * lost, what is held keeps its content, and at the end all blocks have merged again.
 */
#include "mm/internal.h"

#include <mm/mm.h>
#include <mm/reclaim.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define NR_SLOTS 4096u
#define MEMORIES 24u /* 12 GiB on a machine of 512 MiB */
#define MAX_BITS 23u

static struct slot {
	u64 *p;
	size_t size;
} slot[NR_SLOTS];

static struct free_shape shape;
static u64 nr_failed, nr_corrupt;

/* Each power of two is as likely as the next. */
static size_t random_size(void)
{
	u64 limit = 1ull << (3 + rng_below(test_rng(), MAX_BITS - 2));

	return (size_t)(limit / 2 + 1 + rng_below(test_rng(), limit / 2));
}

/* At both ends, where a neighbour would write. */
static void sign(struct slot *s)
{
	if (s->size > sizeof(s->size))
		*s->p = s->size;
	((u8 *)s->p)[s->size - 1] = (u8)s->size;
}

static void let_go(struct slot *s)
{
	if (s->p == NULL)
		return;
	nr_corrupt += s->size > sizeof(s->size) && *s->p != s->size;
	nr_corrupt += ((u8 *)s->p)[s->size - 1] != (u8)s->size;
	kfree(s->p);
	s->p = NULL;
}

static u64 managed_bytes(void)
{
	struct mm_usage u;

	mm_usage(&u);
	return u.managed_pages << PAGE_SHIFT;
}

static bool square(u64 key, void *value, void *unused)
{
	(void)unused;
	*(u64 *)value = key * key;
	return true;
}

/* A cache that grows whenever there is memory, beside those who ask. */
static void use(struct lru_cache *c, u64 key)
{
	u64 value[32] = {0};

	nr_corrupt += !lru_cache_read(c, key, value) || value[0] != key * key;
}

static void ask_for_much(gfp_t gfp)
{
	struct lru_cache *c = lru_cache_create("pressed", 256, square, NULL);
	u64 wanted = MEMORIES * managed_bytes();

	ASSERT_NOT_NULL(c);
	nr_failed = nr_corrupt = 0;
	for (u64 asked = 0, step = 0; asked < wanted; step++) {
		struct slot *s = &slot[rng_below(test_rng(), NR_SLOTS)];

		let_go(s);
		s->size = random_size();
		s->p = kmalloc(s->size, gfp | __GFP_NOWARN);
		asked += s->size;
		if (s->p != NULL)
			sign(s);
		else
			nr_failed++;
		use(c, step % 5000);
		if (nr_failed % 64 == 63) /* room for the next ones */
			for (unsigned i = 0; i < NR_SLOTS / 8; i++)
				let_go(&slot[rng_below(test_rng(), NR_SLOTS)]);
	}
	EXPECT_SOUND(mm_check());
	for (unsigned i = 0; i < NR_SLOTS; i++)
		let_go(&slot[i]);
	lru_cache_destroy(c);
}

static void press(gfp_t gfp)
{
	if (managed_bytes() > GIB)
		return test_skip("more memory than can be used up in seconds");
	(void)reclaim_pages(~0ull);
	free_shape_take(&shape);
	ask_for_much(gfp);
	EXPECT_GT(nr_failed, 0);
	EXPECT_EQ(nr_corrupt, 0);
	(void)reclaim_pages(~0ull);
	EXPECT_TRUE(free_shape_is(&shape));
	test_note("%lu requests failed", nr_failed);
}

TEST(pressure, who_would_rather_fail)
{
	press(GFP_KERNEL | __GFP_NORETRY);
}

TEST(pressure, who_may_reclaim)
{
	press(GFP_KERNEL);
}
