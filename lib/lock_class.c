/*
 * The table of lock classes: see lib/lock_class.h.
 *
 * Locks with static storage have no moment at which they could register, so a class is looked up by
 * name when it is first needed, and its number kept in the lock. The table only grows: an empty
 * entry is claimed by a compare-and-exchange of its name, which needs no lock, and works in any
 * context. Names are compared as text: equal literals of two files have two addresses.
 *
 *   K1  the used entries are 1 … n; a name stands in one of them only
 *   K2  a lock's number, once it is not 0, is that of its name
 *
 * Cost: a comparison with each class for a lock's first time; then one load.
 */
#include <lib/lock_class.h>
#include <lib/spinlock.h>
#include <lib/string.h>

static struct lock_class classes[MAX_LOCK_CLASSES] = {{.name = "(others)"}};

/* The entry has that name, or has it now. */
static bool claim(struct lock_class *c, const char *name)
{
	const char *found = NULL;

	if (__atomic_compare_exchange_n(&c->name, &found, name, false, __ATOMIC_ACQ_REL,
	                                __ATOMIC_ACQUIRE))
		return true;
	return strcmp(found, name) == 0;
}

u32 lock_class_of(struct spinlock *l)
{
	u32 n = __atomic_load_n(&l->class_nr, __ATOMIC_RELAXED);

	if (n != 0)
		return n;
	for (n = 1; n < MAX_LOCK_CLASSES && !claim(&classes[n], l->name); n++)
		;
	if (n == MAX_LOCK_CLASSES)
		return 0;
	__atomic_store_n(&l->class_nr, n, __ATOMIC_RELAXED);
	return n;
}

struct lock_class *lock_class(u32 number)
{
	return &classes[number];
}

u64 lock_class_nr_waited(struct spinlock *l)
{
	return __atomic_load_n(&classes[lock_class_of(l)].nr_waited, __ATOMIC_RELAXED);
}

static struct lock_class read_class(u32 number)
{
	const struct lock_class *c = &classes[number];

	return (struct lock_class){
	    __atomic_load_n(&c->name, __ATOMIC_ACQUIRE),
	    __atomic_load_n(&c->nr_waited, __ATOMIC_RELAXED),
	    __atomic_load_n(&c->nr_taken, __ATOMIC_RELAXED),
	};
}

void lock_class_visit(void (*visit)(void *context, const struct lock_class *c), void *context)
{
	struct lock_class c;

	for (u32 n = 1; n < MAX_LOCK_CLASSES && (c = read_class(n)).name != NULL; n++)
		visit(context, &c);
	c = read_class(0);
	if (c.nr_waited != 0 || c.nr_taken != 0)
		visit(context, &c);
}
