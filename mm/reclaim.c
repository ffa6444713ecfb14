/*
 * Reclaim: asks whoever registered to give memory back, when the page allocator has none left.
 *
 * The shrinkers are asked in the order in which they registered until enough pages came back. An
 * allocation made by a shrinker does not reclaim again: a flag a CPU ends the recursion. The list's
 * lock is not held while a shrinker runs (it takes its own locks); a shrinker may therefore not be
 * unregistered while another CPU reclaims.
 */
#include "internal.h"

#include <lib/assert.h>
#include <mm/page_alloc.h>
#include <mm/reclaim.h>

static struct spinlock lock = SPINLOCK_INIT("reclaim");
static struct list shrinkers = LIST_INIT(shrinkers); /* guarded by lock */
static bool in_reclaim[MAX_CPUS];                    /* its own CPU */

void reclaim_init(void)
{
	list_init(&shrinkers);
}

void register_shrinker(struct shrinker *s)
{
	u64 flags;

	assert(s->shrink != NULL);
	flags = spin_lock_irq(&lock);
	list_push_back(&shrinkers, &s->link);
	spin_unlock_irq(&lock, flags);
}

void unregister_shrinker(struct shrinker *s)
{
	u64 flags = spin_lock_irq(&lock);

	list_remove(&s->link);
	spin_unlock_irq(&lock, flags);
}

static struct shrinker *next_shrinker(const struct shrinker *s)
{
	u64 flags = spin_lock_irq(&lock);
	struct list *next = s ? s->link.next : shrinkers.next;

	spin_unlock_irq(&lock, flags);
	return next == &shrinkers ? NULL : list_entry(next, struct shrinker, link);
}

u64 reclaim_pages(u64 nr_pages)
{
	bool *busy = &in_reclaim[cpu_id()];
	u64 freed = 0;

	if (*busy)
		return 0;
	*busy = true;
	for (struct shrinker *s = next_shrinker(NULL); s && freed < nr_pages; s = next_shrinker(s))
		freed += s->shrink(s, nr_pages - freed);
	*busy = false;
	if (freed != 0)
		drain_cpu_pages();
	return freed;
}
