/*
 * Functions of mm/ whose caller must hold a lock say so when it does not (CONFIG=debug). The other
 * half, that callers do, is what every other test shows.
 */
#ifdef CONFIG_DEBUG
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <tests/test.h>

static struct kmem_cache *c;
static struct list surplus;
static struct magazine_slot slot;

static void open(void)
{
	c = kmem_cache_create("unlocked", 64, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	list_init(&surplus);
}

static void close(void)
{
	EXPECT_TRUE(list_is_empty(&surplus));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(locked, objects_leave_and_enter_slabs_under_the_cache_s_lock)
{
	open();
	EXPECT_PANIC("spinlock: not held by this CPU: slab cache", slab_take_locked(c, &slot, 1));
	EXPECT_PANIC("spinlock: not held by this CPU: slab cache", slab_put_locked(c, &slot, 0));
	close();
}

TEST(locked, slabs_leave_their_cache_under_its_lock)
{
	open();
	EXPECT_PANIC("spinlock: not held by this CPU: slab cache",
	             slab_trim_locked(c, 1, &surplus));
	EXPECT_PANIC("spinlock: not held by this CPU: slab cache",
	             slab_take_empty_locked(c, &surplus));
	close();
}

/* One cache's lock is not another's. */
TEST(locked, by_the_right_lock)
{
	struct kmem_cache *other = kmem_cache_create("other", 64, 0, 0, NULL);
	u64 flags;

	ASSERT_NOT_NULL(other);
	open();
	flags = spin_lock_irq(&other->lock);
	EXPECT_PANIC("spinlock: not held by this CPU: slab cache",
	             slab_take_empty_locked(c, &surplus));
	slab_take_empty_locked(other, &surplus);
	spin_unlock_irq(&other->lock, flags);
	close();
	EXPECT_EQ(kmem_cache_destroy(other), 0);
}
#endif
