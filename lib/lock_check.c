/*
 * Spinlocks under watch, in CONFIG=debug: see lib/lock_check.h for what it reports.
 *
 * Two ideas of Linux's lockdep, in small. A class's mistakes are found when both halves of one have
 * ever happened, on whatever CPUs and however far apart: no deadlock has to come about. And what is
 * learned of one lock holds for its class, so a run that takes few locks says much.
 *
 * Order: after[a] is the set of classes that were taken while one of class a was held. A taking
 * that adds b to after[a] closes a cycle exactly when a can be reached from b. The bit is set
 * before the search: of two CPUs that add the two halves of a cycle at once, one sees both.
 *
 * Context: a class that handlers take must never be taken with interrupts on, or the handler would
 * wait for whom it interrupted.
 *
 *   W1  a CPU's list has the locks that it holds, in the order in which it took them
 *   W2  after[] has no cycle
 *   W3  no class has both USED_ON and one of USED_IRQ_FORM, USED_HANDLER
 *
 * A lock that is only tried for is held like others, but nobody waits for it there: the trial adds
 * nothing to after[] of those held before, and a handler may do it. Classes beyond the table
 * (number 0) are listed, not checked.
 *
 * Cost: a look at each lock that is held; a search only for an order never seen before.
 */
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/format.h>
#include <lib/lock_check.h>
#include <lib/lock_class.h>
#include <lib/platform.h>
#include <lib/spinlock.h>

#ifdef CONFIG_DEBUG

#define MAX_HELD 16u

enum { USED_ON = 1, USED_IRQ_FORM = 2, USED_HANDLER = 4 };

static_assert(MAX_LOCK_CLASSES <= 64, "a set of classes is a word");

static u64 after[MAX_LOCK_CLASSES]; /* A */
static u8 usage[MAX_LOCK_CLASSES];  /* A: USED_ bits */

/* I: its own CPU, with interrupts off; who puts back what it added may read without. */
static struct {
	u32 nr;
	struct {
		const struct spinlock *lock;
		const char *name; /* the lock's, which its class lacks when the table is full */
		u32 class_nr;
	} held[MAX_HELD];
} __aligned(64) cpus[MAX_CPUS];

static const char *name_of(u32 class_nr)
{
	return lock_class(class_nr)->name;
}

static u64 bit(u32 class_nr)
{
	return 1ull << class_nr;
}

/* --- order --- */

static u64 taken_after(u32 class_nr)
{
	return __atomic_load_n(&after[class_nr], __ATOMIC_SEQ_CST);
}

/* All classes to which a chain of takings leads: a class more in each round. */
static u64 reachable(u32 from)
{
	u64 seen = taken_after(from), done = 0;

	for (u32 round = 0; round < MAX_LOCK_CLASSES && seen != done; round++) {
		u32 next = (u32)__builtin_ctzll(seen & ~done);

		done |= bit(next);
		seen |= taken_after(next);
	}
	return seen;
}

/* The first step of a chain from one to the other; `to` when it is one step long. */
static u32 first_step(u32 from, u32 to)
{
	u64 steps = taken_after(from);

	for (u32 step = 0; step < MAX_LOCK_CLASSES && !(steps & bit(to)); step++)
		if ((steps & bit(step)) && (reachable(step) & bit(to)))
			return step;
	return to;
}

static _Noreturn void report_cycle(u32 held, u32 taken)
{
	u32 step = first_step(taken, held);
	bool direct = step == held;

	__atomic_fetch_and(&after[held], ~bit(taken), __ATOMIC_SEQ_CST); /* W2 */
	panic("lock order: taking %s while holding %s, but %s was taken while holding %s before"
	      "%s%s%s",
	      name_of(taken), name_of(held), name_of(held), name_of(taken),
	      direct ? "" : " (by way of ", direct ? "" : name_of(step), direct ? "" : ")");
}

static void check_order(u32 held, u32 taken)
{
	if (held == 0 || taken == 0 || (taken_after(held) & bit(taken)))
		return;
	if (held == taken)
		panic("lock order: taking %s while holding another %s", name_of(taken),
		      name_of(held));
	__atomic_fetch_or(&after[held], bit(taken), __ATOMIC_SEQ_CST);
	if (reachable(taken) & bit(held))
		report_cycle(held, taken);
}

/* --- context --- */

static const char *how(unsigned use)
{
	return use == USED_ON        ? "with interrupts on"
	       : use == USED_HANDLER ? "in an interrupt handler"
	                             : "by spin_lock_irq()";
}

/* Notes a use, unless the class was used in a way that excludes it. */
static void note_use(u32 class_nr, unsigned use, unsigned excluded)
{
	u8 uses = __atomic_fetch_or(&usage[class_nr], (u8)use, __ATOMIC_SEQ_CST);
	unsigned clash = uses & excluded;

	if (clash == 0 || class_nr == 0)
		return;
	__atomic_fetch_and(&usage[class_nr], (u8)~use, __ATOMIC_SEQ_CST); /* W3 */
	if (clash & USED_HANDLER)
		clash = USED_HANDLER;
	panic("lock context: %s taken %s, but %s before", name_of(class_nr), how(use), how(clash));
}

void lock_check_irq_form(struct spinlock *l)
{
	note_use(lock_class_of(l), USED_IRQ_FORM, USED_ON);
}

/* --- what a CPU holds --- */

/* Where the lock stands in this CPU's list; its length: nowhere. */
static u32 place_of(const struct spinlock *l)
{
	u32 i = cpus[cpu_id()].nr;

	while (i-- > 0)
		if (cpus[cpu_id()].held[i].lock == l)
			return i;
	return cpus[cpu_id()].nr;
}

static void push(const struct spinlock *l, u32 class_nr)
{
	u64 flags = irq_save();
	u32 nr = cpus[cpu_id()].nr;

	if (nr == MAX_HELD)
		panic("lock check: %s is one lock too many for this CPU, which holds %u", l->name,
		      nr);
	cpus[cpu_id()].held[nr].lock = l;
	cpus[cpu_id()].held[nr].name = l->name;
	cpus[cpu_id()].held[nr].class_nr = class_nr;
	cpus[cpu_id()].nr = nr + 1;
	irq_restore(flags);
}

/* Nothing where it is not listed: it was forgotten. */
static void pop(const struct spinlock *l)
{
	u64 flags = irq_save();
	u32 i = place_of(l), nr = cpus[cpu_id()].nr;

	if (i < nr) {
		for (; i + 1 < nr; i++)
			cpus[cpu_id()].held[i] = cpus[cpu_id()].held[i + 1];
		cpus[cpu_id()].nr = nr - 1;
	}
	irq_restore(flags);
}

void lock_check_init(const struct spinlock *l)
{
	pop(l);
}

void lock_check_try(struct spinlock *l)
{
	if (irq_is_enabled())
		note_use(lock_class_of(l), USED_ON, USED_IRQ_FORM | USED_HANDLER);
}

void lock_check_take(struct spinlock *l)
{
	u32 class_nr = lock_class_of(l);

	lock_check_try(l);
	if (platform_in_interrupt())
		note_use(class_nr, USED_HANDLER, USED_ON);
	if (spin_is_held(l))
		return; /* the wait for itself is spinlock.c's to report */
	for (u32 i = 0; i < cpus[cpu_id()].nr; i++)
		check_order(cpus[cpu_id()].held[i].class_nr, class_nr);
}

void lock_check_taken(struct spinlock *l)
{
	u32 class_nr = lock_class_of(l);

	__atomic_fetch_add(&lock_class(class_nr)->nr_taken, 1, __ATOMIC_RELAXED);
	push(l, class_nr);
}

void lock_check_release(struct spinlock *l)
{
	if (!spin_is_held(l))
		panic("spinlock: released by a CPU that does not hold it: %s", l->name);
	pop(l);
}

void lock_check_held(const struct spinlock *l)
{
	if (!spin_is_held(l))
		panic("spinlock: not held by this CPU: %s", l->name);
}

unsigned lock_check_nr_held(void)
{
	return cpus[cpu_id()].nr;
}

const char *lock_check_name(unsigned i)
{
	return cpus[cpu_id()].held[i].name;
}

void lock_check_forget(unsigned n)
{
	u64 flags = irq_save();

	if (n < cpus[cpu_id()].nr)
		cpus[cpu_id()].nr = n;
	irq_restore(flags);
}

void lock_check_print(void)
{
	unsigned nr = lock_check_nr_held();

	if (nr == 0)
		return;
	kprintf("holds the locks:");
	for (unsigned i = 0; i < nr; i++)
		kprintf("%s %s", i == 0 ? "" : ",", lock_check_name(i));
	kprintf("\n");
}

#endif
