/*
 * lib/lock_check.c and lib/lock_class.c on one CPU: each mistake that CONFIG=debug reports is made
 * once. What is learned of a class stays, so each test has classes of its own, and passes when it
 * is run again.
 *
 * Interrupts are off wherever locks are held but in the tests of that: in the kernel a timer's
 * handler takes the run queue's lock, one more than the list may have room for, and what it
 * switches to must not find any held.
 */
#include <lib/assert.h>
#include <lib/lock_check.h>
#include <lib/lock_class.h>
#include <lib/platform.h>
#include <lib/spinlock.h>
#include <mm/context.h>
#include <mm/site.h>
#include <tests/test.h>

/* --- classes, in every build --- */

TEST(lock_class, is_that_of_the_name)
{
	static const char same[] = "class one";
	struct spinlock a = SPINLOCK_INIT("class one"), b = SPINLOCK_INIT(same),
	                c = SPINLOCK_INIT("class two");

	EXPECT_NE(lock_class_of(&a), 0);
	EXPECT_EQ(lock_class_of(&a), lock_class_of(&b));
	EXPECT_NE(lock_class_of(&a), lock_class_of(&c));
	EXPECT_STREQ(lock_class(lock_class_of(&b))->name, "class one");
	EXPECT_STREQ(lock_class(lock_class_of(&c))->name, "class two");
	EXPECT_EQ(a.class_nr, lock_class_of(&a));
	spin_init(&a, "class two");
	EXPECT_EQ(lock_class_of(&a), lock_class_of(&c));
}

/* Of the rest's name, but not of the rest; and of the first name of all. */
TEST(lock_class, names_that_are_there_already)
{
	struct spinlock others = SPINLOCK_INIT("(others)");
	struct spinlock first = SPINLOCK_INIT(lock_class(1)->name);

	EXPECT_NE(lock_class_of(&others), 0);
	EXPECT_EQ(lock_class_of(&first), 1);
}

static void keep_first(void *context, const struct lock_class *c)
{
	if (*(const char **)context == NULL)
		*(const char **)context = c->name;
}

TEST(lock_class, the_first_is_visited_first)
{
	const char *first = NULL;

	lock_class_visit(keep_first, &first);
	EXPECT_STREQ(first, lock_class(1)->name);
}

static void count_two(void *context, const struct lock_class *c)
{
	*(unsigned *)context += strcmp(c->name, "class two") == 0;
}

TEST(lock_class, is_visited_once)
{
	struct spinlock l = SPINLOCK_INIT("class two");
	unsigned n = 0;

	(void)lock_class_of(&l);
	lock_class_visit(count_two, &n);
	EXPECT_EQ(n, 1);
}

#ifdef CONFIG_DEBUG

TEST(lock_class, counts_what_is_taken)
{
	struct spinlock a = SPINLOCK_INIT("class two"), b = SPINLOCK_INIT("class two");
	const struct lock_class *c = lock_class(lock_class_of(&a));
	u64 taken = c->nr_taken, waited = c->nr_waited;
	u64 flags = irq_save();

	spin_lock(&a);
	spin_unlock(&a);
	EXPECT_TRUE(spin_try_lock(&b));
	EXPECT_FALSE(spin_try_lock(&b));
	spin_unlock(&b);
	EXPECT_EQ(c->nr_taken, taken + 2);
	EXPECT_EQ(c->nr_waited, waited);
	irq_restore(flags);
}

/* --- order --- */

static void take_both(struct spinlock *first, struct spinlock *second)
{
	u64 flags = irq_save();

	spin_lock(first);
	spin_lock(second);
	spin_unlock(second);
	spin_unlock(first);
	irq_restore(flags);
}

/* The taking that stops the machine comes to nothing: only `first` has to be put right. */
static void expect_cycle(const char *line, struct spinlock *first, struct spinlock *second)
{
	u64 flags = irq_save();

	EXPECT_PANIC(line, take_both(first, second));
	EXPECT_FALSE(spin_is_locked(second));
	EXPECT_TRUE(spin_is_held(first));
	spin_unlock(first);
	irq_restore(flags);
}

TEST(lock_order, of_two_that_were_taken_the_other_way_round)
{
	struct spinlock a = SPINLOCK_INIT("order a"), b = SPINLOCK_INIT("order b"),
	                other_a = SPINLOCK_INIT("order a");

	take_both(&a, &b);
	take_both(&a, &b);
	for (unsigned i = 0; i < 2; i++) { /* the refused order is not learned */
		expect_cycle("lock order: taking order a while holding order b, but order b was "
		             "taken while holding order a before",
		             &b, &a);
		expect_cycle("lock order: taking order a while holding order b", &b, &other_a);
		take_both(&other_a, &b);
	}
}

TEST(lock_order, by_way_of_a_third_and_a_fourth)
{
	struct spinlock a = SPINLOCK_INIT("chain a"), b = SPINLOCK_INIT("chain b"),
	                c = SPINLOCK_INIT("chain c"), d = SPINLOCK_INIT("chain d");

	take_both(&b, &c);
	take_both(&a, &b);
	take_both(&c, &d);
	expect_cycle("lock order: taking chain a while holding chain d, but chain d was taken "
	             "while holding chain a before (by way of chain b)",
	             &d, &a);
	take_both(&a, &d);
	expect_cycle("but chain d was taken while holding chain a before", &d, &a);
}

/* The panic's line, and nothing behind it. */
static char caught[256];
static void *back[5];

static void keep_line(const char *line)
{
	str_copy(caught, line, sizeof(caught));
	__builtin_longjmp(back, 1);
}

static __noinline void catch_line_of(struct spinlock *first, struct spinlock *second)
{
	panic_catcher former = panic_set_catcher(keep_line);

	if (__builtin_setjmp(back) == 0)
		take_both(first, second);
	panic_set_catcher(former);
}

TEST(lock_order, names_no_third_where_there_is_none)
{
	struct spinlock a = SPINLOCK_INIT("alone a"), b = SPINLOCK_INIT("alone b");
	u64 flags = irq_save();

	take_both(&a, &b);
	catch_line_of(&b, &a);
	EXPECT_STREQ(caught,
	             "lock order: taking alone a while holding alone b, but alone b was taken "
	             "while holding alone a before");
	spin_unlock(&b);
	irq_restore(flags);
}

/* Of two steps the one that leads there. */
TEST(lock_order, a_step_that_leads_elsewhere_is_not_named)
{
	struct spinlock x = SPINLOCK_INIT("fork x"), p = SPINLOCK_INIT("fork p"),
	                q = SPINLOCK_INIT("fork q"), r = SPINLOCK_INIT("fork r"),
	                s = SPINLOCK_INIT("fork s");

	take_both(&x, &p);
	take_both(&x, &q);
	take_both(&x, &s);
	take_both(&q, &r);
	expect_cycle("(by way of fork q)", &r, &x);
}

/* Those of the first number are looked at like all others. */
TEST(lock_order, two_of_the_first_class)
{
	struct spinlock a = SPINLOCK_INIT(lock_class(1)->name), b = SPINLOCK_INIT(a.name);
	u64 flags = irq_save();

	EXPECT_PANIC("while holding another", take_both(&a, &b));
	spin_unlock(&a);
	irq_restore(flags);
}

/* The second lock that is held matters as much as the latest. */
TEST(lock_order, looks_at_all_that_is_held)
{
	struct spinlock a = SPINLOCK_INIT("deep a"), b = SPINLOCK_INIT("deep b"),
	                c = SPINLOCK_INIT("deep c"), d = SPINLOCK_INIT("deep d");
	u64 flags = irq_save();

	take_both(&a, &b);
	spin_lock(&b);
	spin_lock(&c);
	EXPECT_PANIC("lock order: taking deep a while holding deep b", spin_lock(&a));
	spin_unlock(&c);
	spin_unlock(&b);
	spin_lock(&d);
	spin_lock(&b);
	EXPECT_PANIC("lock order: taking deep a while holding deep b", spin_lock(&a));
	spin_unlock(&b);
	spin_unlock(&d);
	irq_restore(flags);
}

TEST(lock_order, two_of_one_class)
{
	struct spinlock a = SPINLOCK_INIT("twin"), b = SPINLOCK_INIT("twin");

	expect_cycle("lock order: taking twin while holding another twin", &a, &b);
}

TEST(lock_order, trials_wait_for_nobody)
{
	struct spinlock a = SPINLOCK_INIT("tried a"), b = SPINLOCK_INIT("tried b");
	u64 flags = irq_save();

	take_both(&a, &b);
	spin_lock(&b);
	EXPECT_TRUE(spin_try_lock(&a)); /* the other way round */
	spin_unlock(&a);
	spin_unlock(&b);
	take_both(&a, &b);
	EXPECT_TRUE(spin_try_lock(&b)); /* but what is had by a trial is held */
	EXPECT_PANIC("lock order: taking tried a while holding tried b", spin_lock(&a));
	spin_unlock(&b);
	irq_restore(flags);
}

/* --- what is held --- */

TEST(lock_held, in_the_order_of_taking_and_released_in_any)
{
	struct spinlock a = SPINLOCK_INIT("held a"), b = SPINLOCK_INIT("held b"),
	                c = SPINLOCK_INIT("held c");
	u64 flags = irq_save();

	EXPECT_EQ(lock_check_nr_held(), 0);
	spin_lock(&a);
	spin_lock(&b);
	EXPECT_TRUE(spin_try_lock(&c));
	ASSERT_EQ(lock_check_nr_held(), 3);
	EXPECT_STREQ(lock_check_name(0), "held a");
	EXPECT_STREQ(lock_check_name(1), "held b");
	EXPECT_STREQ(lock_check_name(2), "held c");
	spin_unlock(&a);
	ASSERT_EQ(lock_check_nr_held(), 2);
	EXPECT_STREQ(lock_check_name(0), "held b");
	EXPECT_STREQ(lock_check_name(1), "held c");
	spin_unlock(&c);
	ASSERT_EQ(lock_check_nr_held(), 1);
	EXPECT_STREQ(lock_check_name(0), "held b");
	spin_unlock(&b);
	EXPECT_EQ(lock_check_nr_held(), 0);
	irq_restore(flags);
}

static void panic_under(struct spinlock *l)
{
	spin_lock(l);
	panic("under a lock");
}

TEST(lock_held, a_caught_panic_leaves_the_lock_taken_and_the_list_as_before)
{
	struct spinlock a = SPINLOCK_INIT("held a"), b = SPINLOCK_INIT("held b");
	u64 flags = irq_save();

	spin_lock(&a);
	EXPECT_PANIC("under a lock", panic_under(&b));
	EXPECT_EQ(lock_check_nr_held(), 1);
	EXPECT_TRUE(spin_is_held(&b));
	spin_unlock(&b); /* not on the list, and no mistake */
	EXPECT_EQ(lock_check_nr_held(), 1);
	EXPECT_STREQ(lock_check_name(0), "held a");
	spin_unlock(&a);
	irq_restore(flags);
}

TEST(lock_held, forgetting_leaves_interrupts_as_they_are)
{
	ASSERT_TRUE(irq_is_enabled());
	lock_check_forget(0);
	EXPECT_TRUE(irq_is_enabled());
}

TEST(lock_held, a_lock_that_begins_again_is_not)
{
	struct spinlock a = SPINLOCK_INIT("held a");
	u64 flags = irq_save();

	spin_lock(&a);
	spin_init(&a, "held a");
	EXPECT_EQ(lock_check_nr_held(), 0);
	spin_lock(&a);
	EXPECT_EQ(lock_check_nr_held(), 1);
	spin_unlock(&a);
	irq_restore(flags);
}

TEST(lock_held, can_be_asserted)
{
	struct spinlock a = SPINLOCK_INIT("held a");
	u64 flags = irq_save();

	EXPECT_PANIC("spinlock: not held by this CPU: held a", spin_assert_held(&a));
	spin_lock(&a);
	spin_assert_held(&a);
	a.holder++; /* another CPU's */
	EXPECT_PANIC("spinlock: not held by this CPU: held a", spin_assert_held(&a));
	EXPECT_PANIC("spinlock: released by a CPU that does not hold it: held a", spin_unlock(&a));
	a.holder--;
	spin_unlock(&a);
	EXPECT_FALSE(spin_is_locked(&a));
	irq_restore(flags);
}

TEST(lock_held, sums_over_call_sites_need_their_lock)
{
	EXPECT_PANIC("spinlock: not held by this CPU: site sums",
	             site_sums_add(TAG_FIRST_SITE, 1, 1));
}

TEST(lock_held, more_than_the_list_has_room_for)
{
	struct spinlock l[17];
	u64 flags = irq_save();

	for (unsigned i = 0; i < 16; i++) {
		spin_init(&l[i], "many");
		EXPECT_TRUE(spin_try_lock(&l[i]));
	}
	spin_init(&l[16], "many");
	EXPECT_PANIC("lock check: many is one lock too many for this CPU, which holds 16",
	             spin_try_lock(&l[16]));
	for (unsigned i = 0; i < 16; i++)
		spin_unlock(&l[i]);
	EXPECT_EQ(lock_check_nr_held(), 0);
	irq_restore(flags);
}

/* --- context --- */

static void take(struct spinlock *l)
{
	spin_lock(l);
	spin_unlock(l);
}

static void take_irq(struct spinlock *l)
{
	spin_unlock_irq(l, spin_lock_irq(l));
}

static void take_in_handler(struct spinlock *l)
{
	u64 flags = irq_save();
	struct mm_context former = mm_context_enter(CONTEXT_INTERRUPTS);

	take(l);
	mm_context_leave(former);
	irq_restore(flags);
}

/* A panic comes from the middle of the handler. */
static void expect_panic_in_handler(const char *line, struct spinlock *l)
{
	struct mm_context context = mm_context_read();

	EXPECT_PANIC(line, take_in_handler(l));
	mm_context_leave(context);
	EXPECT_FALSE(spin_is_locked(l));
}

TEST(lock_context, plain_and_then_in_a_handler)
{
	struct spinlock l = SPINLOCK_INIT("context a");

	ASSERT_TRUE(irq_is_enabled());
	take(&l);
	expect_panic_in_handler("lock context: context a taken in an interrupt handler, but with "
	                        "interrupts on before",
	                        &l);
	EXPECT_PANIC("lock context: context a taken by spin_lock_irq(), but with interrupts on "
	             "before",
	             take_irq(&l));
	take(&l); /* what was refused is not learned */
}

TEST(lock_context, in_a_handler_and_then_plain)
{
	struct spinlock l = SPINLOCK_INIT("context b");
	u64 flags;

	ASSERT_TRUE(irq_is_enabled());
	take_in_handler(&l);
	EXPECT_PANIC("lock context: context b taken with interrupts on, but in an interrupt "
	             "handler before",
	             take(&l));
	EXPECT_PANIC("lock context: context b taken with interrupts on", (void)spin_try_lock(&l));
	EXPECT_FALSE(spin_is_locked(&l));
	take_irq(&l);
	flags = irq_save();
	take(&l);
	irq_restore(flags);
	take_in_handler(&l);
}

TEST(lock_context, by_the_irq_form_and_then_plain)
{
	struct spinlock l = SPINLOCK_INIT("context c");

	ASSERT_TRUE(irq_is_enabled());
	take_irq(&l);
	EXPECT_PANIC("lock context: context c taken with interrupts on, but by spin_lock_irq() "
	             "before",
	             take(&l));
	take_in_handler(&l);
	EXPECT_PANIC("lock context: context c taken with interrupts on, but in an interrupt "
	             "handler before",
	             take(&l)); /* which says more */
}

/* Interrupts off alone says nothing: whoever holds another lock has them off. */
TEST(lock_context, plain_with_interrupts_off_is_neutral)
{
	struct spinlock l = SPINLOCK_INIT("context d");
	u64 flags = irq_save();

	take(&l);
	irq_restore(flags);
	ASSERT_TRUE(irq_is_enabled());
	take(&l);
}

#if __STDC_HOSTED__
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What lock_check_print() prints, on one line. */
TEST(lock_held, is_printed)
{
	struct spinlock a = SPINLOCK_INIT("held a"), b = SPINLOCK_INIT("held b");
	FILE *terminal = stdout;
	char text[128] = "";
	u64 flags = irq_save();

	stdout = fmemopen(text, sizeof(text), "w");
	lock_check_print();
	spin_lock(&a);
	spin_lock(&b);
	lock_check_print();
	fclose(stdout);
	stdout = terminal;
	spin_unlock(&a);
	spin_unlock(&b);
	EXPECT_STREQ(text, "holds the locks: held a, held b\n");
	irq_restore(flags);
}

static void keep_last(void *context, const struct lock_class *c)
{
	*(struct lock_class *)context = *c;
}

/* More names than the table has room for: unchecked, but counted. 0, or what was wrong. */
static int overfill(void)
{
	static char name[MAX_LOCK_CLASSES][16];
	struct lock_class last = {NULL, 0, 0};
	struct spinlock a, b;

	for (u32 i = 0; i < MAX_LOCK_CLASSES; i++) {
		format_buf(name[i], sizeof(name[i]), "filler %u", i);
		spin_init(&a, name[i]);
		(void)lock_class_of(&a);
	}
	spin_init(&b, "beyond");
	lock_class_visit(keep_last, &last);
	if (lock_class_of(&b) != 0 || strcmp(last.name, "(others)") == 0)
		return 1;
	spin_init(&a, lock_class(1)->name); /* one with a number */
	take_irq(&b);
	take(&b); /* unchecked: as a class of the table it would panic */
	take_both(&a, &b);
	take_both(&b, &a);
	spin_lock(&b);
	if (strcmp(lock_check_name(0), "beyond") != 0) /* held locks are told by their own names */
		return 4;
	spin_unlock(&b);
	lock_class_visit(keep_last, &last);
	if (strcmp(last.name, "(others)") != 0)
		return 2;
	return last.nr_taken >= 4 && lock_check_nr_held() == 0 ? 0 : 3;
}

/* In a process of its own: names are never forgotten. */
TEST(lock_class, there_may_be_more_than_fit)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(overfill());
	ASSERT_GT(child, 0);
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
}
#endif
#endif
