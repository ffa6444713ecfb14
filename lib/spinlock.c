/*
 * Ticket locks: see lib/spinlock.h.
 *
 * A taker draws a ticket from `next` and waits until `serving` shows it, so waiters are served in
 * the order of their arrival and each waits by reading alone. Both counters wrap: at most 2^32 - 1
 * waiters.
 *
 *   L1  next - serving (mod 2^32) = the holder + the waiters; 0: free
 *
 * Taking a lock acquires, releasing it releases: what one holder wrote, the next one sees.
 * Releasing a lock that nobody holds would let two in at once later, so it stops the machine at
 * once.
 *
 * Cost: one atomic instruction to take, a plain store to release. A holder that takes its own lock
 * again waits for ever; the watch over lock order is not here.
 */
#include <lib/assert.h>
#include <lib/spinlock.h>

void spin_init(struct spinlock *l, const char *name)
{
	*l = (struct spinlock)SPINLOCK_INIT(name);
}

void spin_lock(struct spinlock *l)
{
	u32 ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket)
		cpu_relax();
}

bool spin_try_lock(struct spinlock *l)
{
	u32 serving = __atomic_load_n(&l->serving, __ATOMIC_ACQUIRE), ticket = serving;

	return __atomic_compare_exchange_n(&l->next, &ticket, serving + 1, false, __ATOMIC_ACQUIRE,
	                                   __ATOMIC_RELAXED);
}

bool spin_is_locked(const struct spinlock *l)
{
	return __atomic_load_n(&l->next, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&l->serving, __ATOMIC_RELAXED);
}

void spin_unlock(struct spinlock *l)
{
	u32 serving = __atomic_load_n(&l->serving, __ATOMIC_RELAXED);

	if (unlikely(__atomic_load_n(&l->next, __ATOMIC_RELAXED) == serving))
		panic("spinlock: released but not held: %s", l->name);
	__atomic_store_n(&l->serving, serving + 1, __ATOMIC_RELEASE);
}
