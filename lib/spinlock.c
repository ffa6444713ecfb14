/*
 * Ticket locks: see lib/spinlock.h.
 *
 * A taker draws a ticket from `next` and waits until `serving` shows it, so waiters are served in
 * the order of their arrival and each waits by reading alone. Both counters wrap: at most 2^32 - 1
 * waiters.
 *
 *   L1  next - serving (mod 2^32) = the holder + the waiters; 0: free
 *   L2  holder is this CPU only while this CPU holds the lock: it is cleared before the next is
 *       served
 *
 * Taking a lock acquires, releasing it releases: what one holder wrote, the next one sees. Two
 * mistakes are noticed, both of which would else be silent: a release of what nobody holds would
 * let two in at once later, and a second taking by the holder would wait for itself for ever. By L2
 * only the waiter has to look for the latter.
 *
 * Cost: one atomic instruction and a store to take, two plain stores to release. Counting costs
 * nothing: tickets number the takings, and waits are counted by those who wait anyway. The order of
 * locks and their use by interrupt handlers are watched over in CONFIG=debug (lock_check.c).
 */
#include <lib/assert.h>
#include <lib/lock_class.h>
#include <lib/spinlock.h>

void spin_init(struct spinlock *l, const char *name)
{
	lock_check_init(l);
	*l = (struct spinlock)SPINLOCK_INIT(name);
}

static void set_holder(struct spinlock *l, u32 holder)
{
	__atomic_store_n(&l->holder, holder, __ATOMIC_RELAXED);
}

bool spin_is_held(const struct spinlock *l)
{
	return __atomic_load_n(&l->holder, __ATOMIC_RELAXED) == cpu_id() + 1;
}

/* lab 6.1 */
static __noinline void wait_for(struct spinlock *l, u32 ticket)
{
	if (unlikely(spin_is_held(l)))
		panic("spinlock: taken again by its holder: %s", l->name);
	__atomic_fetch_add(&lock_class(lock_class_of(l))->nr_waited, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket)
		cpu_relax();
}

/* lab 6.1 */
void spin_lock(struct spinlock *l)
{
	u32 ticket;

	lock_check_take(l);
	ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
	if (unlikely(__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket))
		wait_for(l, ticket);
	set_holder(l, cpu_id() + 1);
	lock_check_taken(l);
}

/* lab 6.1 */
bool spin_try_lock(struct spinlock *l)
{
	u32 serving = __atomic_load_n(&l->serving, __ATOMIC_ACQUIRE), ticket = serving;

	lock_check_try(l);
	if (!__atomic_compare_exchange_n(&l->next, &ticket, serving + 1, false, __ATOMIC_ACQUIRE,
	                                 __ATOMIC_RELAXED))
		return false;
	set_holder(l, cpu_id() + 1);
	lock_check_taken(l);
	return true;
}

/* lab 6.1 */
bool spin_is_locked(const struct spinlock *l)
{
	return __atomic_load_n(&l->next, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&l->serving, __ATOMIC_RELAXED);
}

/* lab 6.1 */
void spin_unlock(struct spinlock *l)
{
	u32 serving = __atomic_load_n(&l->serving, __ATOMIC_RELAXED);

	if (unlikely(__atomic_load_n(&l->next, __ATOMIC_RELAXED) == serving))
		panic("spinlock: released but not held: %s", l->name);
	lock_check_release(l);
	set_holder(l, 0);
	__atomic_store_n(&l->serving, serving + 1, __ATOMIC_RELEASE);
}
