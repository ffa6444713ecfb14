/*
 * Creating caches when there is no memory: for the cache's own record, and for its magazines. Both
 * fail without a trace.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define MANY 256

static struct kmem_cache *made[MANY];

/* Creates caches until it fails; returns how many were. */
static unsigned create_all(struct kmem_cache *caches[], unsigned max, unsigned flags)
{
	unsigned n = 0;

	while (n < max && (caches[n] = kmem_cache_create("one-more", 64, 0, flags, NULL)) != NULL)
		n++;
	return n;
}

static void destroy_all(struct kmem_cache *caches[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		EXPECT_EQ(kmem_cache_destroy(caches[i]), 0);
}

static unsigned nr_caches(void)
{
	unsigned n = 0;

	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		n++;
	return n;
}

TEST(slab_more, no_memory_for_a_cache)
{
	static struct hoard hoard;
	unsigned caches = nr_caches(), n, with_magazines;

	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	n = create_all(made, MANY, SLAB_NO_MAGAZINE);
	ASSERT_LT(n, MANY);
	EXPECT_EQ(nr_caches(), caches + n);
	EXPECT_SOUND(mm_check());
	destroy_all(made, n);
	EXPECT_EQ(nr_caches(), caches);

	/* As many records as before, but each wants memory for magazines too. */
	with_magazines = create_all(made, MANY, 0);
	EXPECT_LE(with_magazines, n);
	EXPECT_EQ(nr_caches(), caches + with_magazines);
	EXPECT_SOUND(mm_check());
	destroy_all(made, with_magazines);
	hoard_drop_all(&hoard);
	EXPECT_EQ(nr_caches(), caches);
}

/* Refused arguments leave nothing behind either. */
TEST(slab_more, refused_caches_are_not_listed)
{
	unsigned caches = nr_caches();

	EXPECT_NULL(kmem_cache_create(NULL, 8, 0, 0, NULL));
	EXPECT_NULL(kmem_cache_create("", 8, 0, 0, NULL));
	EXPECT_NULL(kmem_cache_create("x", 8, 3, 0, NULL));
	EXPECT_NULL(kmem_cache_create("x", 8, 2 * PAGE_SIZE, 0, NULL));
	EXPECT_NULL(kmem_cache_create("x", SLAB_MAX_SIZE + 1, 0, 0, NULL));
	EXPECT_NULL(kmem_cache_create("x", 8, 0, SLAB_INTERNAL, NULL));
	EXPECT_EQ(nr_caches(), caches);
}

TEST(slab_more, a_node_that_cannot_be)
{
	char *p = kmalloc_node(100, GFP_KERNEL, 0);

	EXPECT_NOT_NULL(p);
	EXPECT_NULL(kmalloc_node(100, GFP_KERNEL, MAX_NODES));
	kfree(p);
	p = kmalloc_node(100, GFP_KERNEL, MAX_NODES - 1); /* the node is a wish */
	EXPECT_NOT_NULL(p);
	kfree(p);
}

/* What a request for a node's object takes of a slab. */
TEST(slab_more, one_object_is_one)
{
	struct kmem_cache *c = kmem_cache_create("one-more", 64, 0, 0, NULL);
	void *object = kmem_cache_alloc(c, GFP_KERNEL);
	struct magazine_slot slot;
	u64 flags, nr_free;

	ASSERT_NOT_NULL(object);
	kmem_cache_free(c, object);
	magazine_flush(c, false);
	flags = spin_lock_irq(&c->lock);
	nr_free = c->nr_free;
	slot = slab_take_one_locked(c, list_first(&c->slabs[SLABS_EMPTY], struct slab, link));
	EXPECT_EQ(c->nr_free, nr_free - 1);
	EXPECT_EQ(*slot.tag, TAG_IN_MAGAZINE);
	slab_put_locked(c, &slot, 1);
	EXPECT_EQ(c->nr_free, nr_free);
	spin_unlock_irq(&c->lock, flags);
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}
