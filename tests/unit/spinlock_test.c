/*
 * lib/spinlock.c on one CPU: states, tickets and misuse. Contention needs several:
 * tests/host/spinlock_threads.c. What CONFIG=debug watches over: lock_check_test.c.
 */
#include <lib/spinlock.h>
#include <tests/test.h>

TEST(spinlock, lock_and_unlock)
{
	struct spinlock l = SPINLOCK_INIT("plain");

	EXPECT_FALSE(spin_is_locked(&l));
	spin_lock(&l);
	EXPECT_TRUE(spin_is_locked(&l));
	spin_unlock(&l);
	EXPECT_FALSE(spin_is_locked(&l));
	spin_init(&l, "again");
	EXPECT_FALSE(spin_is_locked(&l));
	EXPECT_STREQ(l.name, "again");
}

TEST(spinlock, try_lock_takes_only_a_free_lock)
{
	struct spinlock l = SPINLOCK_INIT("plain");

	EXPECT_TRUE(spin_try_lock(&l));
	EXPECT_FALSE(spin_try_lock(&l));
	EXPECT_TRUE(spin_is_locked(&l));
	spin_unlock(&l);
	EXPECT_TRUE(spin_try_lock(&l));
	spin_unlock(&l);
	EXPECT_FALSE(spin_is_locked(&l));
}

TEST(spinlock, tickets_wrap)
{
	struct spinlock l = {UINT32_MAX, UINT32_MAX, "plain", 0, 0};

	EXPECT_TRUE(spin_try_lock(&l));
	EXPECT_EQ(l.next, 0);
	EXPECT_FALSE(spin_try_lock(&l));
	spin_unlock(&l);
	EXPECT_EQ(l.serving, 0);
	spin_lock(&l);
	spin_unlock(&l);
	EXPECT_FALSE(spin_is_locked(&l));
}

TEST(spinlock, irq_form_restores_what_it_found)
{
	struct spinlock a = SPINLOCK_INIT("irq a"), b = SPINLOCK_INIT("irq b");
	bool enabled = irq_is_enabled();
	u64 outer = spin_lock_irq(&a), inner;

	EXPECT_FALSE(irq_is_enabled());
	inner = spin_lock_irq(&b);
	spin_unlock_irq(&b, inner);
	EXPECT_FALSE(irq_is_enabled());
	spin_unlock_irq(&a, outer);
	EXPECT_EQ(irq_is_enabled(), enabled);
}

TEST(spinlock, release_of_a_free_lock_is_caught)
{
	struct spinlock l = SPINLOCK_INIT("demo");

	EXPECT_PANIC("spinlock: released but not held: demo", spin_unlock(&l));
	EXPECT_FALSE(spin_is_locked(&l));
	spin_lock(&l);
	spin_unlock(&l);
	EXPECT_PANIC("spinlock: released but not held: demo", spin_unlock(&l));
}

TEST(spinlock, second_taking_by_the_holder_is_caught)
{
	struct spinlock l = SPINLOCK_INIT("demo");

	spin_lock(&l);
	EXPECT_PANIC("spinlock: taken again by its holder: demo", spin_lock(&l));
	spin_init(&l, "demo");
	EXPECT_TRUE(spin_try_lock(&l));
	EXPECT_PANIC("spinlock: taken again by its holder: demo", spin_lock(&l));
	spin_unlock(&l);
}

TEST(spinlock, counts_how_often_it_was_taken)
{
	struct spinlock l = SPINLOCK_INIT("plain");

	EXPECT_EQ(spin_nr_taken(&l), 0);
	spin_lock(&l);
	EXPECT_EQ(spin_nr_taken(&l), 1);
	EXPECT_FALSE(spin_try_lock(&l));
	spin_unlock(&l);
	EXPECT_EQ(spin_nr_taken(&l), 1);
	EXPECT_TRUE(spin_try_lock(&l));
	spin_unlock(&l);
	EXPECT_EQ(spin_nr_taken(&l), 2);
}

TEST(spinlock, knows_whether_this_cpu_holds_it)
{
	struct spinlock l = SPINLOCK_INIT("plain");

	EXPECT_FALSE(spin_is_held(&l));
	spin_lock(&l);
	EXPECT_TRUE(spin_is_held(&l));
	spin_unlock(&l);
	EXPECT_FALSE(spin_is_held(&l));
	EXPECT_TRUE(spin_try_lock(&l));
	EXPECT_TRUE(spin_is_held(&l));
	spin_unlock(&l);
	l.next++; /* another CPU's */
	EXPECT_TRUE(spin_is_locked(&l));
	EXPECT_FALSE(spin_is_held(&l));
}
